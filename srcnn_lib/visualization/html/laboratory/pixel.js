// Pixel autopsy: the one filter that the network is for a pixel, what each channel adds, and the exact attribution map.

const TOP = 10; // channels of the waterfall

function PixelView(lab) {
  const { now } = lab;
  const section = make("div", { class: "autopsy" });
  let number = 0; // of the attribution that is asked for: an older answer is dropped

  const figure = (name, label, caption) => make("figure", {}, make("canvas", { class: name, role: "img", "aria-label": label }),
    make("figcaption", {}, make("b", {}, label), make("span", { class: "muted" }, caption), make("span", { class: `legend signed ${name}-range` })));
  const empty = make("p", { class: "empty muted" }, "Click a pixel in one of the pictures. The network is then taken apart for this pixel: ",
    "the filter that it is there, what each channel adds, and which pixels of the bicubic picture the result is made of.");
  const facts = make("p", { class: "facts-line" });
  const input = figure("patch", "What it sees", " the bicubic picture around the pixel");
  const filter = figure("filter", "Its filter", " all three layers as one filter, with the ReLUs as they are here");
  const map = figure("attribution", "Attribution", " what each pixel adds on the way from a blurred picture");
  const fall = make("div", { class: "waterfall" });
  const content = make("div", { class: "found" }, facts, make("div", { class: "three" }, input, filter, map), fall);
  section.append(empty, content);

  function draw(changed = new Set()) {
    const { snapshots, scene } = lab;
    empty.hidden = !!now.pixel, content.hidden = !now.pixel;
    if (!now.pixel || !snapshots?.weights(now.n)) return;
    const began = performance.now(), { pixel } = now, net = lab.net(), weights = snapshots.weights(now.n), { target } = scene.job;
    const found = explain(), { patch, beyond, side } = found, at = pixel[0] * scene.width + pixel[1];
    const open = ([some, all]) => `${Math.round((100 * some) / all)} %`;
    facts.replaceChildren(`Pixel x ${pixel[1]}, y ${pixel[0]} · bicubic ${levelOf(scene.bicubicY[at])} → `, make("b", {}, `result ${levelOf(found.value)}`),
      ` · original ${levelOf(target[at])} · `, make("span", { class: "muted" }, `open ReLUs: ${open(found.active[0])} of layer 1, ${open(found.active[1])} of layer 2`));
    const planes = { data: patch, channels: net.channels, height: side, width: side };
    put(input.firstChild, pictureImage(planes));
    const square = sumOf(found.filter, net.channels, side * side), limit = magnitude(square, 1);
    put(filter.firstChild, signedImage(square, side, side, limit, lab.colors.signed));
    filter.firstChild.dataset.value = found.value;
    legend(filter.querySelector(".filter-range"), -limit, limit);
    waterfall(found, scene.bicubicY[at], target[at]);
    section.dataset.milliseconds = (performance.now() - began).toFixed(1);
    if (changed.has("arrived") && map.dataset.of === `${now.n}:${pixel}`) return;
    map.dataset.of = `${now.n}:${pixel}`;
    attribute({ patch, beyond, side, net, weights, pixel, mine: ++number });
  }

  function explain(pixel = now.pixel) {
    const { scene, snapshots } = lab, net = lab.net(), field = patchAround(scene, net, scene.input, pixel);
    return { ...field, ...explainPixel(net, snapshots.weights(now.n), field.patch, field.beyond, scene.job.luma, scene.job.offset) };
  }

  async function attribute({ patch, beyond, side, net, weights, pixel, mine }) {
    const { scene } = lab;
    scene.blurred ||= blur(scene.input, 1.2 * scene.photograph.scale);
    const blurred = patchAround(scene, net, scene.blurred, pixel).patch;
    const found = await lab.ask({ kind: "attribute", net, weights, scene: { luma: scene.job.luma, offset: scene.job.offset }, patch, blurred, beyond });
    if (mine !== number) return;
    const limit = magnitude(found.map, 1);
    put(map.firstChild, signedImage(found.map, side, side, limit, lab.colors.signed));
    map.firstChild.dataset.missing = found.end - found.start - found.map.reduce((a, b) => a + b, 0);
    Object.assign(map.firstChild.dataset, { start: found.start, end: found.end, switches: found.switches });
    map.querySelector("figcaption span").textContent = ` exact: ${spaced(found.switches)} ReLU switches on the way from a blurred picture`;
    legend(map.querySelector(".attribution-range"), -limit, limit);
  }

  // From the bicubic value to the result: the channel that carries the picture, then the ten that change the pixel most.
  function waterfall({ channels, value, base }, bicubic, truth) {
    const result = lab.snapshots.result(now.n), carrier = result ? carrierOf(lab, result) : null, carried = carrier === null ? 0 : bicubic;
    const others = Array.from(channels, (v, c) => [c, v]).filter(([c]) => c !== carrier).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    const top = others.slice(0, TOP), rest = others.slice(TOP).reduce((sum, [, v]) => sum + v, 0);
    // Where no channel carries the picture, the bars begin at black.
    const steps = [...(carrier === null ? [] : [[`channel ${carrier}, the carried picture, beyond it`, channels[carrier] - bicubic]]), ["constant b₃", base],
      ...top.map(([c, v]) => [`channel ${c}`, v]), ...(others.length > TOP ? [[`${others.length - TOP} others`, rest]] : [])];
    let level = carried;
    const bars = [["bicubic", bicubic, null], ...steps.map(([name, change]) => [name, (level += change), change]), ["result", value, null], ["original", truth, null]];
    const values = [bicubic, carried, ...bars.map(([, v]) => v)], low = Math.min(...values), high = Math.max(...values), room = (high - low) * 0.04 || 0.01;
    const x = (v) => ((v - low + room) / (high - low + 2 * room)) * 100;
    let before = carried;
    fall.replaceChildren(make("h3", {}, "From bicubic to the result"), make("div", { class: "rows" }, ...bars.flatMap(([name, v, change]) => {
      const from = change === null ? low - room : before, left = Math.min(x(from), x(v)), width = Math.abs(x(v) - x(from));
      const kind = change === null ? `total ${name}` : change < 0 ? "less" : "more";
      const bar = make("span", { class: `amount ${kind}` });
      bar.style.left = `${left}%`, bar.style.width = `max(2px, ${width}%)`;
      if (change !== null) before = v;
      return [make("span", { class: "name" }, name), make("span", { class: "line" }, bar), make("span", { class: "value" }, change === null ? levelOf(v) : levelOf(change, true))];
    })));
    fall.dataset.sum = level;
  }
  return { section, draw, explain };
}

/** Returns a value of [0, 1] in levels of 255, as pixels are counted. */
const levelOf = (value, signed = false) => fixed(255 * value, 1, signed);

function sumOf(values, channels, count) {
  const sum = new Float64Array(count);
  for (let n = 0; n < channels * count; n++) sum[n % count] += values[n];
  return sum;
}

/** Returns the channel of layer 2 that paints most of the picture, over half of its brightness; null where none does. */
function carrierOf({ scene }, { gram, linear }) {
  const count = linear.length, energy = scene.bicubicY.reduce((sum, v) => sum + v * v, 0) / scene.bicubicY.length;
  let best = 0;
  for (let c = 1; c < count; c++) if (gram[c * count + c] > gram[best * count + best]) best = c;
  return gram[best * count + best] > energy / 4 ? best : null;
}
