// Numbers drawn as pixels and as shapes.

/** Returns 256 colors between the given ones, each as the 32 bits of a pixel. */
function ramp(colors) {
  const stops = colors.map((color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, n) => {
    const at = (n / 255) * (stops.length - 1), low = Math.min(at | 0, stops.length - 2);
    const [r, g, b] = [0, 1, 2].map((c) => Math.round(stops[low][c] + (at - low) * (stops[low + 1][c] - stops[low][c])));
    return (255 << 24) | (b << 16) | (g << 8) | r;
  });
}

const gray = (level) => (255 << 24) | (level << 16) | (level << 8) | level;

/** Draws an image on a canvas of its size; `after(context)` may draw over it. */
function put(canvas, image, after = null) {
  if (canvas.width !== image.width) canvas.width = image.width;
  if (canvas.height !== image.height) canvas.height = image.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.putImageData(image, 0, 0);
  after?.(context);
}

/** Returns an image whose pixels are `color(n)`, 32 bits. */
function imageOf(height, width, color) {
  const image = new ImageData(width, height), target = new Uint32Array(image.data.buffer);
  for (let n = 0; n < target.length; n++) target[n] = color(n);
  return image;
}

/** Draws values in the signed colors from −limit to limit. */
const signedImage = (values, height, width, limit, colors, from = 0) =>
  imageOf(height, width, (n) => colors[clamp(Math.round(127.5 + (127.5 * values[from + n]) / limit), 0, 255)]);

/** Draws planes (1 or 3, h, w) in [0, 1]. */
function pictureImage({ data, channels, height, width }) {
  const pixels = height * width, level = (n) => clamp(Math.round(255 * data[n]), 0, 255);
  return imageOf(height, width, channels === 1
    ? (n) => gray(level(n))
    : (n) => (255 << 24) | (level(n + 2 * pixels) << 16) | (level(n + pixels) << 8) | level(n));
}

/** Draws a kernel (inputs, size, size): in color where the three inputs are colors, otherwise the squares in a row. */
function kernelImage(weights, inputs, size, limit, rgb, colors) {
  const taps = size * size;
  if (rgb) {
    const level = (n) => clamp(Math.round(127.5 + (127.5 * weights[n]) / limit), 0, 255);
    return imageOf(size, size, (n) => (255 << 24) | (level(n + 2 * taps) << 16) | (level(n + taps) << 8) | level(n));
  }
  return signedImage(weights, size * inputs, size, limit, colors);
}

/** Returns the value that a share of the magnitudes stays below, at least `least`; of many values, of a sample. */
function magnitude(values, share = 0.995, least = 1e-6) {
  const stride = share < 1 ? Math.ceil(values.length / 2000) | 1 : 1, count = Math.ceil(values.length / stride);
  const sorted = Float32Array.from({ length: count }, (_, n) => Math.abs(values[n * stride])).sort();
  return Math.max(least, sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]);
}

/** Returns an SVG element. */
function shape(tag, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

/**
 * Returns a heat map with its axes: `across` and `down` are { title, ticks: [[share of the length, text]] }.
 *
 * @param over an element that lies over the canvas, such as a marker
 */
function heatMap(canvas, across, down, ...over) {
  const place = (side, { ticks }) => ticks.map(([share, text]) => {
    const tick = make("span", {}, text);
    tick.style[side] = `${100 * share}%`;
    return tick;
  });
  return make("div", { class: "heat" }, make("span", { class: "axis-title" }, down.title), make("div", { class: "down" }, ...place("top", down)),
    make("div", { class: "field" }, canvas, ...over), make("div", { class: "across" }, ...place("left", across)), make("span", { class: "axis-title" }, across.title));
}

/** Returns [number of the snapshot, step] of the snapshots to name below an axis: the first, powers of ten, the last. */
function namedSnapshots(steps) {
  const last = steps.length - 1, named = [[0, steps[0]]];
  for (let step = 1; step < steps[last]; step *= 10) {
    const n = steps.findIndex((other) => other >= step);
    if (n - named.at(-1)[0] > 0.12 * last && last - n > 0.15 * last) named.push([n, steps[n]]);
  }
  return last ? [...named, [last, steps[last]]] : named;
}

/** Returns the axis of a heat map whose columns are the snapshots of a run. */
const snapshotAxis = (snapshots) => ({
  title: "step of the training (one column a snapshot)",
  ticks: namedSnapshots(snapshots.map(({ step }) => step)).map(([n, step]) => [(n + 0.5) / snapshots.length, spaced(step)]),
});

/** Returns a canvas in a button, with a number below it. */
function tileButton(sheet, label, text) {
  const button = make("button", { type: "button", class: "tile", "aria-label": label },
    make("canvas", { width: 1, height: 1 }), make("span", { "aria-hidden": "true" }, text));
  sheet.append(button);
  return button;
}

/** Makes the tiles one stop of the Tab key; from there the arrow keys move over them. */
function rove(tiles) {
  const only = (tile) => tiles.forEach((other) => { other.tabIndex = other === tile ? 0 : -1; });
  tiles.forEach((tile, n) => {
    tile.tabIndex = n ? -1 : 0;
    tile.addEventListener("focus", () => only(tile));
    tile.addEventListener("keydown", (event) => {
      const order = tiles.filter((other) => other.isConnected).sort((a, b) => (a.style.order || 0) - (b.style.order || 0));
      const columns = getComputedStyle(tile.parentElement).gridTemplateColumns.split(" ").length, at = order.indexOf(tile);
      const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: order.length - 1 - at };
      if (!(event.key in by)) return;
      event.preventDefault();
      order[at + by[event.key]]?.focus();
    });
  });
}

/** Decodes a picture file (a Blob) to planes of RGB, or one plane where it is gray throughout. */
async function decodePicture(blob, most = 2048) {
  const bitmap = await createImageBitmap(blob), factor = Math.min(1, most / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((length) => Math.min(length, most));
  const canvas = make("canvas", { width, height }), context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff", context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, (width - bitmap.width) / 2 | 0, (height - bitmap.height) / 2 | 0); // the middle of a larger one
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height), pixels = width * height;
  let colors = 1;
  for (let n = 0; n < pixels && colors === 1; n++)
    if (data[4 * n] !== data[4 * n + 1] || data[4 * n] !== data[4 * n + 2]) colors = 3;
  const planes = new Float32Array(colors * pixels);
  for (let c = 0; c < colors; c++) for (let n = 0; n < pixels; n++) planes[c * pixels + n] = data[4 * n + c] / 255;
  return { data: planes, channels: colors, height, width, cut: factor < 1 };
}

const fromBase64 = (text) => new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type: "image/webp" });
