// The player: one number, the snapshot that is shown, drives every panel.
const SECONDS = 8; // from the first snapshot to the last
const LUMA = [0.299, 0.587, 0.114]; // BT.601

function start(root, data) {
  const $ = (selector, within = root) => within.querySelector(selector);
  const say = (selector, text, within = root) => { $(selector, within).textContent = text; };
  const { frames, side: [height, width] } = data;
  const last = frames.length - 1;
  const range = $("input[type=range]");
  const signed = ramp(data.colors), positive = ramp(data.colors.slice(data.colors.length >> 1));
  let now = last; // the snapshot that was asked for
  let order = 0, drawn = 0; // numbers of requests: an old one that is decoded late must not overwrite a newer one
  let content = null; // decoded pixels of the snapshot that is drawn
  let enlarged = null; // {panel, channel}
  let timer = null; // while playing

  // Decoding. A snapshot is decoded when it is shown, or before, and then kept: 96 maps take 1 MB.
  const decoded = new Map();
  function decode(n) {
    if (!decoded.has(n)) {
      const { picture, maps, kernels } = frames[n];
      const all = Promise.all([picture, ...maps, ...kernels].map(pixels));
      decoded.set(n, all.then(([picture, one, two, ...kernels]) => ({ picture, maps: [plane(one), plane(two)], kernels })));
    }
    return decoded.get(n);
  }
  let warming = false;
  async function warm() { // from the first interaction on, decodes all snapshots, the likeliest next one first
    if (warming) return;
    warming = true;
    for (let n = 0; n <= last; n++) {
      await decode(timer ? n : nearest());
      await new Promise((resume) => setTimeout(resume, 4));
    }
  }
  function nearest() {
    for (let away = 0; away <= last; away++)
      for (const n of [now + away, now - away])
        if (n >= 0 && n <= last && !decoded.has(n)) return n;
    return now;
  }

  // Going to a snapshot
  async function go(n) {
    now = clamp(n, 0, last);
    const { step, epoch, psnr } = frames[now], mine = ++order;
    range.value = now;
    range.setAttribute("aria-valuetext", `step ${step}, epoch ${epoch}, ${decibels(psnr)}`);
    say(".step", spaced(step)), say(".epoch", epoch), say(".psnr", decibels(psnr));
    say(".srcnn-psnr", decibels(psnr));
    const gain = psnr === null || data.psnr === null ? null : psnr - data.psnr;
    say(".gain", gain === null ? "" : decibels(gain, true));
    $(".gain").classList.toggle("behind", gain < 0);
    chart.point(now);
    const ready = await decode(now);
    if (mine < drawn) return;
    drawn = mine, content = ready;
    root.dataset.drawn = mine === order ? now : ""; // what the panels show; tests wait for it
    draw();
  }

  function draw() {
    put($(".srcnn"), content.picture);
    put($(".error"), difference(content.picture, original, data.error, signed));
    panels.forEach((panel) => panel.draw());
  }

  // A layer: the sheet of its channels, and one channel enlarged
  function Layer(number, place) {
    const layer = data.layers[number], tile = layer.tile;
    const section = $("template").content.firstElementChild.cloneNode(true);
    const sheet = $(".sheet", section), large = $(".large", section);
    const most = Math.max(...layer.limits), [inputs, size] = layer.kernel.slice(1);
    const rgb = number === 0 && inputs === 3; // after layer 1, three inputs are three channels rather than colors
    let common = false; // one range for all channels, or one for each
    say("h3", layer.title, section);
    say(".size", `${layer.limits.length} channels`, section);
    sheet.setAttribute("aria-label", `${layer.title}: its channels`);
    const tiles = layer.limits.map((_, channel) => tileButton(sheet, channel, width, height, `Enlarge channel ${channel}`));
    // The kernels of layer 1 can be read by eye: they have a sheet of their own.
    const kernels = number ? [] : layer.limits.map((_, channel) =>
      tileButton($(".kernels .sheet"), channel, size, size, `Kernel of channel ${channel}`));
    const panel = { draw, open, section };
    [...tiles, ...kernels].forEach((button, n) => { button.onclick = () => show(panel, n % tiles.length); });
    rove(tiles), rove(kernels);
    place.append(section);
    const toggle = $(".common", section);
    toggle.title = `Show all maps from 0 to ${plain(most)}, or each from 0 to its own maximum over all snapshots`;
    toggle.onclick = () => {
      common = !common;
      toggle.setAttribute("aria-pressed", common);
      if (enlarged?.panel === panel) open(enlarged.channel);
      if (content) draw();
    };

    function map(canvas, channel) { // cuts a channel out of its sheet
      const source = content.maps[number], columns = layer.columns, stride = source.width;
      const from = ((channel / columns) | 0) * tile[0] * stride + (channel % columns) * tile[1];
      const image = new ImageData(width, height), target = new Uint32Array(image.data.buffer);
      const ratio = common ? layer.limits[channel] / most : 1;
      for (let y = 0, t = 0; y < height; y++)
        for (let x = 0, s = from + y * stride; x < width; x++) target[t++] = positive[(source.values[s++] * ratio) | 0];
      put(canvas, image);
    }
    function kernel(canvas, channel) {
      put(canvas, kernelImage(content.kernels[number], channel, inputs, size, rgb, signed));
    }
    function draw() {
      tiles.forEach((button, channel) => map(button.firstChild, channel));
      kernels.forEach((button, channel) => kernel(button.firstChild, channel));
      if (enlarged?.panel !== panel) return;
      map($(".map", large), enlarged.channel);
      kernel($(".kernel", large), enlarged.channel);
    }
    function open(channel) { // null: back to the sheet
      large.hidden = channel === null, sheet.hidden = !large.hidden;
      if (channel === null) return tiles;
      say("h4", `Channel ${channel}`, large);
      legend($(".map-range", large), 0, common ? most : layer.limits[channel]);
      legend($(".kernel-range", large), -layer.kernel[3], layer.kernel[3], rgb);
      say(".kernel-size", `${inputs === 1 ? "" : `${inputs} × `}${size} × ${size} weights${layer.root ? ", square root" : ""}`, large);
      $(".map", large).setAttribute("aria-label", `${layer.title}, channel ${channel}`);
      $(".kernel", large).setAttribute("aria-label", `Kernel of channel ${channel}`);
      $(".previous", large).disabled = channel === 0;
      $(".next", large).disabled = channel === tiles.length - 1;
      $(".previous", large).onclick = () => show(panel, channel - 1);
      $(".next", large).onclick = () => show(panel, channel + 1);
      $(".close", large).onclick = () => show(null);
      draw();
      return [large];
    }
    return panel;
  }

  /** Enlarges a channel; show(null) closes the enlarged one and returns the focus to its tile. */
  function show(panel, channel = null) {
    const before = enlarged;
    const focused = before?.panel.section.contains(document.activeElement);
    enlarged = panel && { panel, channel: clamp(channel, 0, data.layers[panels.indexOf(panel)].limits.length - 1) };
    if (before && before.panel !== panel) {
      const tile = before.panel.open(null)[before.channel];
      if (!panel && focused) tile.focus();
    }
    if (!panel) return;
    const [large] = panel.open(enlarged.channel);
    if (before?.panel === panel) return;
    large.focus({ preventScroll: true });
    const { top } = large.getBoundingClientRect();
    if (top < 0 || top > innerHeight / 2) panel.section.scrollIntoView({ block: "start" });
  }

  // Keys
  function key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const onRange = event.target === range, onTile = event.target.matches?.(".tile");
    const steps = { ",": -1, ".": 1, PageUp: -10, PageDown: 10 };
    if (!onTile && !onRange) Object.assign(steps, { ArrowLeft: -1, ArrowRight: 1, Home: -last, End: last });
    if (event.key === " ") play(!timer);
    else if (event.key === "Escape" && enlarged) show(null);
    else if (event.key in steps) play(false), go(now + steps[event.key]);
    else if (enlarged && !onTile && !onRange && /^Arrow(Up|Down)$/.test(event.key))
      show(enlarged.panel, enlarged.channel + (event.key === "ArrowUp" ? -1 : 1));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  root.addEventListener("keydown", key);
  // Space was handled when it went down: on its release it must not press the focused button as well.
  root.addEventListener("keyup", (event) => event.key === " " && event.preventDefault());
  const alone = root.parentElement === document.body && document.querySelectorAll(".srcnn-page").length === 1;
  if (alone) document.addEventListener("keydown", (event) => event.target === document.body && key(event));

  // Playing
  function play(going) {
    clearInterval(timer);
    timer = null;
    if (going) {
      warm();
      if (now === last) go(0);
      timer = setInterval(() => (now < last && root.isConnected ? go(now + 1) : play(false)),
        clamp((SECONDS * 1000) / frames.length, 60, 700));
    }
    $(".play").classList.toggle("on", going);
    $(".play").setAttribute("aria-label", going ? "Pause" : "Play");
  }
  $(".play").onclick = () => play(!timer);
  range.max = last;
  range.oninput = () => { play(false); go(Number(range.value)); };
  root.addEventListener("pointerenter", warm, { once: true });
  root.addEventListener("focusin", warm, { once: true });

  // What stays the same at every step
  let original = null;
  say(".title", data.title), say(".about", data.about), say(".notes", data.notes.join(" "));
  say(".bicubic-psnr", decibels(data.psnr));
  legend($(".error-range"), -data.error, data.error);
  const second = $(".second"), kernelSheet = kernelPanel(data.layers[0]);
  second.append(kernelSheet); // where layer 1 looks for it
  const panels = [Layer(0, $(".first")), Layer(1, second)];
  second.append(kernelSheet);
  const chart = Chart($(".chart"), data, (n) => { play(false); go(n); });
  const names = Object.entries(data.curves).map(([name, curve]) => [name, curve.title]);
  choice($(".curve"), names, (name) => { chart.draw(name); $(".key").replaceChildren(...chart.key()); });
  Promise.all([data.whole, data.bicubic, data.original].map(pixels)).then(([whole, bicubic, truth]) => {
    put($(".whole"), whole, data.box), put($(".bicubic"), bicubic), put($(".original"), truth);
    $(".whole").setAttribute("aria-label", `${data.name}, with the crop outlined`);
    original = truth;
    go(last);
  });
}

// The panel of layer 1's kernels
function kernelPanel(layer) {
  const [, inputs, size, limit] = layer.kernel, bar = make("span", { class: "legend signed" });
  legend(bar, -limit, limit, inputs === 3);
  const top = make("div", { class: "top" }, make("h3", {}, "Kernels of layer 1"),
    make("span", { class: "size muted" }, `${size} × ${size}${inputs === 3 ? ", RGB" : ""}`), bar);
  return make("section", { class: "kernels" }, top, make("div", { class: "sheet", role: "group", "aria-label": "Kernels" }));
}

function tileButton(sheet, channel, width, height, label) {
  const button = make("button", { type: "button", class: "tile", "aria-label": label, tabindex: channel ? -1 : 0 },
    make("canvas", { width, height }), make("span", { "aria-hidden": "true" }, `${channel}`));
  sheet.append(button);
  return button;
}

/** Makes the tiles one stop of the Tab key; from there the arrow keys move over them. */
function rove(tiles) {
  tiles.forEach((tile, n) => tile.addEventListener("keydown", (event) => {
    const columns = getComputedStyle(tile.parentElement).gridTemplateColumns.split(" ").length;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -n, End: tiles.length - 1 - n };
    const next = tiles[n + by[event.key]];
    if (!(event.key in by)) return;
    event.preventDefault();
    next?.focus();
  }));
  tiles.forEach((tile) => tile.addEventListener("focus", () => tiles.forEach((other) => { other.tabIndex = other === tile ? 0 : -1; })));
}

/** Shows a range: its two numbers, and its colors between them. */
function legend(element, low, high, gray = false) {
  const bar = make("i", { class: gray ? "gray" : "" });
  element.replaceChildren(make("span", {}, plain(low)), bar, make("span", {}, plain(high)));
  element.title = gray ? "Weights as colors; gray is zero" : "Values beyond the range have the color of its end";
}

// Pixels

/** Decodes a picture file in base64 to ImageData. */
async function pixels(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/webp" }));
  const canvas = make("canvas", { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Keeps the gray values of an ImageData: a quarter of the memory. */
function plane({ width, data }) {
  const values = new Uint8Array(data.length / 4);
  for (let n = 0; n < values.length; n++) values[n] = data[4 * n];
  return { width, values };
}

function put(canvas, image, box = null) {
  if (canvas.width !== image.width) canvas.width = image.width;
  if (canvas.height !== image.height) canvas.height = image.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.putImageData(image, 0, 0);
  if (!box) return;
  const [top, left, height, width] = box;
  for (const [color, line] of [["#fff", 5], ["#d9650b", 2.5]]) {
    context.strokeStyle = color, context.lineWidth = line;
    context.strokeRect(left, top, width, height);
  }
}

/** Returns 256 colors between the given ones, each as the 32 bits of a pixel. */
function ramp(colors) {
  const stops = colors.map((color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, n) => {
    const at = (n / 255) * (stops.length - 1), low = Math.min(at | 0, stops.length - 2);
    const [r, g, b] = [0, 1, 2].map((c) => Math.round(stops[low][c] + (at - low) * (stops[low + 1][c] - stops[low][c])));
    return (255 << 24) | (b << 16) | (g << 8) | r;
  });
}

/** Draws the luminance of a minus that of b, in the signed colors from −limit to limit. */
function difference(a, b, limit, colors) {
  const image = new ImageData(a.width, a.height), target = new Uint32Array(image.data.buffer);
  for (let n = 0; n < target.length; n++) {
    let error = 0;
    for (let c = 0; c < 3; c++) error += LUMA[c] * (a.data[4 * n + c] - b.data[4 * n + c]);
    target[n] = colors[clamp(Math.round(127.5 + (error / 2 / limit)), 0, 255)];
  }
  return image;
}

/** Cuts a kernel out of its sheet: in color, or a small square for each input with gaps between them. */
function kernelImage(source, channel, inputs, size, rgb, colors) {
  const squares = rgb ? 1 : inputs;
  const columns = Math.ceil(Math.sqrt(squares)), rows = Math.ceil(squares / columns);
  const image = new ImageData(columns * (size + 1) - 1, rows * (size + 1) - 1), target = new Uint32Array(image.data.buffer);
  const from = new Uint32Array(source.data.buffer);
  for (let n = 0; n < squares; n++)
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++) {
        const weight = from[(channel * size + y) * source.width + n * size + x];
        const at = (((n / columns) | 0) * (size + 1) + y) * image.width + (n % columns) * (size + 1) + x;
        target[at] = rgb ? weight : colors[weight & 255];
      }
  return image;
}

// The chart above the scrubber: a snapshot's point lies above the thumb's place for it

function Chart(svg, data, go) {
  const steps = data.frames.map((frame) => frame.step), last = steps.length - 1;
  let name = null, scale = null, cursor = null, dot = null, at = 0;
  const shape = (tag, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  };
  const position = (step) => { // of a step among the snapshots, whose steps are not evenly spaced
    const after = steps.findIndex((other) => other >= step);
    if (after < 1) return after ? last : 0;
    return after - (steps[after] - step) / (steps[after] - steps[after - 1]);
  };

  function draw(chosen = name) {
    name = chosen;
    const { lines, rule, log } = data.curves[name], width = svg.clientWidth, height = svg.clientHeight;
    if (!width) return;
    const em = parseFloat(getComputedStyle(svg).fontSize), edge = Math.max(20, 1.4 * em) / 2, foot = 1.3 * em; // half the thumb, the steps
    const value = (v) => (log ? Math.log10(v) : v);
    let values = lines.flatMap((line) => line.points.map(([, v]) => value(v)));
    // From random weights, the first steps would compress everything that matters into a line.
    const floor = rule === null ? -Infinity : rule - 6;
    values = values.filter(Number.isFinite).map((v) => Math.max(v, floor)).concat(rule ?? []);
    let low = Math.min(...values), high = Math.max(...values);
    const margin = (high - low) * 0.08 || 0.5;
    low -= margin, high += margin;
    const x = (n) => edge + (last ? n / last : 0) * (width - 2 * edge);
    const y = (v) => clamp(4 + (1 - (v - low) / (high - low)) * (height - foot - 8), 0, height - foot);
    scale = { x, y, value, edge, em, width, height };
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.append(shape("line", { class: "base", x1: edge, x2: width - edge, y1: height - foot, y2: height - foot }));
    if (rule !== null) svg.append(shape("line", { class: "rule", x1: edge, x2: width - edge, y1: y(rule), y2: y(rule) }));
    for (const { color, points } of lines) {
      const path = points.map(([step, v]) => `${x(position(step)).toFixed(1)},${y(value(v)).toFixed(1)}`);
      svg.append(path.length > 1
        ? shape("polyline", { class: color, points: path.join(" ") })
        : shape("circle", { class: color, r: 2.5, cx: path[0].split(",")[0], cy: path[0].split(",")[1] }));
    }
    labels();
    cursor = shape("line", { class: "cursor", y1: 0, y2: height - foot });
    dot = shape("circle", { class: "dot", r: 0.36 * em });
    svg.append(cursor, dot);
    point(at);
  }
  function labels() { // powers of ten where there is room; step 0 and the last step always
    const { em } = scale, row = { y: scale.height - 0.2 * em };
    let free = scale.x(last) - 5 * em;
    svg.append(shape("text", { ...row, x: scale.width - 2, "text-anchor": "end" }, `step ${spaced(steps[last])}`));
    for (let step = 10 ** Math.floor(Math.log10(steps[last] || 1)); step >= 1; step /= 10) {
      const x = scale.x(position(step));
      if (x > free || x < 5 * em) continue;
      svg.append(shape("text", { ...row, x, "text-anchor": "middle" }, spaced(step)));
      free = x - 4 * em;
    }
    svg.append(shape("text", { ...row, x: 2 }, "step 0"));
  }
  function point(n) {
    at = n;
    if (!scale) return;
    const x = scale.x(n), { lines } = data.curves[name], main = lines[lines.length - 1].points;
    const now = main.filter(([step]) => step <= steps[n]).pop();
    cursor.setAttribute("x1", x), cursor.setAttribute("x2", x);
    dot.style.display = now ? "" : "none";
    if (now) dot.setAttribute("cx", x), dot.setAttribute("cy", scale.y(scale.value(now[1])));
  }
  function key() {
    const { lines, rule } = data.curves[name];
    const entries = lines.map(({ color, label }) => make("span", { class: `entry ${color}` }, label));
    return rule === null ? entries : [...entries, make("span", { class: "entry dashed" }, `bicubic ${decibels(rule)}`)];
  }
  const follow = (event) => {
    const { left } = svg.getBoundingClientRect();
    go(Math.round(((event.clientX - left - scale.edge) / (scale.width - 2 * scale.edge)) * last));
  };
  svg.onpointerdown = (event) => { svg.setPointerCapture(event.pointerId); follow(event); };
  svg.onpointermove = (event) => { if (svg.hasPointerCapture(event.pointerId)) follow(event); };
  new ResizeObserver(() => name && draw()).observe(svg);
  return { draw, point, key };
}
