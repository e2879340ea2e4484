// The comparison: two of the pictures with a divider between them, and one position and zoom for both.
const MAX_SCALE = 64; // screen pixels for one pixel of the picture

function start(root, data) {
  const $ = (selector) => root.querySelector(selector);
  const stage = $(".stage"), divider = $(".divider"), { width, height, pictures } = data;
  const names = Object.keys(pictures), sides = { left: null, right: null };
  let split = 0.5, zoom = 1, x = 0, y = 0; // zoom 1: the whole picture; x, y: where its corner lies on the stage
  let lowest = 1; // zoom of a small picture that begins with one pixel for each of the screen's
  let known = 0; // the stage's width when it was last measured
  let center = data.center; // the pixel to begin at, until the stage has a size

  // 1. The choice of two pictures
  $(".title").textContent = data.title;
  $(".notes").textContent = data.notes.join(" ");
  const halves = { left: $(".before"), right: $(".after") };
  for (const half of Object.values(halves))
    for (const name of names)
      half.append(make("img", { width, height, src: pictures[name].source, alt: pictures[name].label, draggable: "false", "data-name": name }));
  const choices = {};
  const options = names.map((name) => [name, pictures[name].label]);
  for (const [side, other, first] of [["left", "right", names[0]], ["right", "left", names[1]]]) {
    choices[side] = choice($(`.bar .${side}`), options, (name) => {
      const before = sides[side];
      sides[side] = name;
      if (sides[other] === name && before) choices[other].press(before); // the same picture twice is no comparison: they swap
      for (const image of halves[side].children) image.hidden = image.dataset.name !== name;
      $(`.captions .${side} b`).textContent = pictures[name].label;
      $(`.captions .${side} .score`).textContent = pictures[name].score;
      describe();
    }, first);
  }
  function describe() {
    const at = Math.round(split * 100);
    divider.setAttribute("aria-valuenow", at);
    const label = (side) => pictures[sides[side]]?.label;
    divider.setAttribute("aria-valuetext", `${label("left")} up to ${at} percent, ${label("right")} after it`);
  }

  // 2. Divider, position and zoom
  function divide(part) {
    split = clamp(part, 0, 1);
    stage.style.setProperty("--split", `${split * 100}%`);
    describe();
  }
  const fitted = () => Math.min(stage.clientWidth / width, stage.clientHeight / height); // screen pixels for one pixel, when the whole is shown
  function place() {
    const scale = fitted() * zoom;
    const within = (at, length, room) => (length <= room ? (room - length) / 2 : clamp(at, room - length, 0));
    x = within(x, width * scale, stage.clientWidth);
    y = within(y, height * scale, stage.clientHeight);
    stage.style.setProperty("--place", `translate(${x}px, ${y}px) scale(${scale})`);
    stage.dataset.scale = scale;
    stage.classList.toggle("near", zoom > 1);
    stage.classList.toggle("coarse", scale * devicePixelRatio >= 2); // from here on, pixels are visible as squares
    $(".fit").textContent = scale < 10 ? `${Math.round(scale * 100)} %` : `${Math.round(scale)} ×`;
    $(".out").disabled = zoom <= lowest;
    $(".in").disabled = zoom >= highest();
  }
  const highest = () => Math.max(1, MAX_SCALE / fitted());
  function magnify(factor, at = [stage.clientWidth / 2, stage.clientHeight / 2]) {
    const next = clamp(zoom * factor, lowest, highest()), ratio = next / zoom;
    x = at[0] - (at[0] - x) * ratio; // what is under the pointer stays there
    y = at[1] - (at[1] - y) * ratio;
    zoom = next;
    place();
  }
  const whole = () => { zoom = 1; place(); };
  function size() { // as high as the picture at full width, but not higher than the window
    const tallest = alone ? innerHeight - (root.offsetHeight - stage.offsetHeight) : 0.7 * screen.height;
    const before = stage.clientWidth;
    stage.style.height = `${Math.min((before * height) / width, Math.max(tallest, 240))}px`;
    x *= before / (known || before), known = before; // what is shown stays in view
    place();
    if (center && before) {
      const [across, down] = center;
      center = null;
      zoom = 1 / fitted(); // one pixel for each of the screen's
      lowest = Math.min(1, zoom);
      x = stage.clientWidth / 2 - across, y = stage.clientHeight / 2 - down;
      place();
    }
  }
  // 3. Pointers: one drags the divider, or the picture when zoomed in; two pinch
  const pointers = new Map();
  let dragging = null;
  const inside = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pointers.set(event.pointerId, inside(event));
    dragging = divider.contains(event.target) || zoom === 1 ? "divider" : "picture";
    stage.setPointerCapture(event.pointerId);
    stage.classList.toggle("moving", dragging === "picture");
    if (dragging === "divider") divider.focus({ preventScroll: true }), divide(inside(event)[0] / stage.clientWidth);
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId), now = inside(event);
    if (!before) return;
    pointers.set(event.pointerId, now);
    if (pointers.size === 2) {
      const [, other] = [...pointers].find(([id]) => id !== event.pointerId);
      const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
      x += (now[0] - before[0]) / 2, y += (now[1] - before[1]) / 2;
      magnify(apart(now) / apart(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    } else if (dragging === "divider") divide(now[0] / stage.clientWidth);
    else x += now[0] - before[0], y += now[1] - before[1], place();
  });
  const release = (event) => {
    pointers.delete(event.pointerId);
    if (pointers.size === 1) dragging = zoom > 1 ? "picture" : null; // after a pinch the other finger must not jump
    if (!pointers.size) stage.classList.remove("moving");
  };
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  // Two fingers zoom the pictures, not the page.
  stage.addEventListener("touchmove", (event) => event.touches.length > 1 && event.preventDefault(), { passive: false });
  stage.addEventListener("wheel", (event) => {
    // A notebook is scrolled by the wheel: there the pictures take it once they were touched.
    const page = document.scrollingElement, scrolls = !alone || page.scrollHeight > innerHeight + 1;
    if (scrolls && !event.ctrlKey && !stage.contains(document.activeElement)) return;
    event.preventDefault();
    magnify(Math.exp(-clamp(event.deltaY * (event.deltaMode ? 30 : 1), -120, 120) / 240), inside(event));
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => (zoom > 1 ? whole() : magnify(4 / Math.min(fitted(), 2), inside(event))));

  // 4. Keys and buttons
  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "+" || event.key === "=") magnify(1.5);
    else if (event.key === "-") magnify(1 / 1.5);
    else if (event.key === "0") whole();
    else if (way && event.shiftKey) x -= way[0] * 60, y -= way[1] * 60, place();
    else if (way && (way[0] || event.target === divider)) divide(split + (way[0] || -way[1]) * 0.02);
    else if (event.key === "PageUp" || event.key === "PageDown") divide(split + (event.key === "PageUp" ? 0.1 : -0.1));
    else if (event.key === "Home" || event.key === "End") divide(event.key === "Home" ? 0 : 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  root.addEventListener("keydown", key);
  const alone = root.parentElement === document.body && document.querySelectorAll(".srcnn-page").length === 1;
  if (alone) document.addEventListener("keydown", (event) => event.target === document.body && key(event));
  $(".in").onclick = () => magnify(2);
  $(".out").onclick = () => magnify(1 / 2);
  $(".fit").onclick = whole;

  divide(split);
  size();
  new ResizeObserver(size).observe(root);
  addEventListener("resize", size);
}
