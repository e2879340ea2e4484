// The four pictures, the small one of the whole photograph, and the pixel that is chosen in them.

function PicturesPanel(lab) {
  const { root, state, now } = lab, $ = (selector) => root.querySelector(selector);
  const names = ["bicubic", "srcnn", "original", "error"], whole = $(".whole");
  let errorLimit = 1, thumbnail = null, still = {};

  function begin() {
    const { scene } = lab, { photograph } = scene, error = scene.bicubicY.map((v, n) => v - scene.job.target[n]);
    errorLimit = magnitude(error, 0.995, 1e-3);
    thumbnail = pictureImage(photograph.original);
    whole.setAttribute("aria-label", `${photograph.name}, with the crop outlined; click to move the crop`);
    still = { bicubic: pictureImage(scene.bicubic), original: pictureImage(scene.truth) };
    const mse = meanSquare(scene.bicubicY, scene.job.target);
    $(".bicubic-psnr").textContent = decibels(mse < 1e-12 ? null : decibelsOf(mse));
    const tone = Math.max(2, photograph.original.width / 90);
    put(whole, thumbnail, (context) => {
      for (const [color, line] of [["#fff", 2 * tone], ["#d9650b", tone]]) {
        context.strokeStyle = color, context.lineWidth = line;
        context.strokeRect(scene.left, scene.top, scene.width, scene.height);
      }
    });
  }

  function draw() {
    const { scene } = lab, shown = lab.shown(), { height, width } = scene;
    const mark = (canvas, image) => put(canvas, image, now.pixel && ((context) => cross(context, now.pixel)));
    mark($(".bicubic"), still.bicubic), mark($(".original"), still.original);
    const changed = now.off.size || now.swaps.size, count = lab.net().widths[1];
    $(".now").textContent = changed ? `With ${count - now.off.size} of ${count} channels` : "SRCNN now";
    $(".hint").textContent = now.pixel
      ? `The ring marks the pixel x ${now.pixel[1]}, y ${now.pixel[0]}; the view Pixel takes it apart. Click another one, or move it with the arrow keys.`
      : "Click a pixel to see how it came about.";
    if (!shown) return;
    mark($(".srcnn"), pictureImage(toPicture(scene, lab.net(), shown.output)));
    const error = shown.y.map((v, n) => v - scene.job.target[n]);
    // One range over the training, so that colors can be compared; with channels off the errors are of another size.
    let limit = errorLimit;
    while (changed && limit < magnitude(error, 0.995, 1e-3)) limit *= 2;
    const beyond = error.reduce((count, v) => count + (Math.abs(v) > limit), 0) / error.length;
    mark($(".error"), signedImage(error, height, width, limit, lab.colors.signed));
    legend($(".error-range"), -limit, limit, "levels");
    $(".beyond").textContent = limit > errorLimit ? `The range is ${limit / errorLimit} times as wide as with all channels.`
      : beyond >= 0.01 ? `${percent(beyond)} of the pixels are beyond the range.` : "";
  }

  function cross(context, [y, x]) { // a ring around the pixel: the pixel itself stays visible
    context.fillStyle = "#fff";
    for (const [dx, dy, w, h] of [[-4, 0, 3, 1], [2, 0, 3, 1], [0, -4, 1, 3], [0, 2, 1, 3]]) context.fillRect(x + dx, y + dy, w, h);
    context.fillStyle = "#d9650b";
    for (const [dx, dy] of [[-2, 0], [2, 0], [0, -2], [0, 2]]) context.fillRect(x + dx, y + dy, 1, 1);
  }
  const place = (event, canvas, height, width) => {
    const { left, top, width: w, height: h } = canvas.getBoundingClientRect();
    return [clamp(Math.floor(((event.clientY - top) / h) * height), 0, height - 1),
      clamp(Math.floor(((event.clientX - left) / w) * width), 0, width - 1)];
  };
  function choose(pixel) {
    const { height, width } = lab.scene;
    state.set({ pixel: [clamp(pixel[0], 0, height - 1), clamp(pixel[1], 0, width - 1)], view: "pixel" });
    lab.reveal();
  }
  for (const name of names) $(`.${name}`).onclick = (event) =>
    lab.scene && choose(place(event, event.currentTarget, lab.scene.height, lab.scene.width));
  function moveCrop([y, x]) {
    const { height, width, photograph: { original } } = lab.scene;
    const top = clamp(Math.round(y - height / 2), 0, original.height - height);
    state.set({ pixel: null, box: [top, clamp(Math.round(x - width / 2), 0, original.width - width)] });
  }
  whole.onclick = (event) => lab.scene && moveCrop(place(event, whole, lab.scene.photograph.original.height, lab.scene.photograph.original.width));
  whole.onkeydown = (event) => {
    const by = { ArrowLeft: [0, -16], ArrowRight: [0, 16], ArrowUp: [-16, 0], ArrowDown: [16, 0] }[event.key];
    if (!by || !lab.scene) return;
    event.preventDefault(), event.stopPropagation();
    const { top, left, height, width } = lab.scene;
    moveCrop([top + by[0] + height / 2, left + by[1] + width / 2]);
  };

  /** Handles a key in a picture; returns whether it did. */
  function key(name) {
    const { height, width } = lab.scene;
    if (name === "Enter") { choose(now.pixel || [height >> 1, width >> 1]); return true; }
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[name];
    if (!by || !now.pixel) return false;
    choose([now.pixel[0] + by[0], now.pixel[1] + by[1]]);
    return true;
  }
  return { begin, draw, key };
}
