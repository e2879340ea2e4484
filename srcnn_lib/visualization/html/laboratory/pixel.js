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
  const input = figure("patch", "What it sees", " the bicubic picture around the pixel, which is in the middle");
  const filter = figure("filter", "Its filter", " all three layers as one: weights on the pixels at the left, with the ReLUs as they are here");
  const map = figure("attribution", "Attribution", " what each pixel adds to the result, from a blurred picture to the sharp one");
  const fall = make("div", { class: "waterfall" });
  const content = make("div", { class: "found" }, facts, make("div", { class: "three" }, input, filter, map), fall);
  section.append(empty, content);

  function draw(changed = new Set()) {
    const { snapshots, scene } = lab;
    empty.hidden = !!now.pixel, content.hidden = !now.pixel;
    if (!now.pixel || !snapshots?.weights(now.n)) return;
    const began = performance.now(), { pixel } = now, net = lab.net(), weights = snapshots.weights(now.n), { target } = scene.job;
    const found = explain(), { patch, beyond, side } = found, at = pixel[0] * scene.width + pixel[1];
    const open = ([some, all]) => percent(some / all), level = (v) => amount(v, "levels");
    facts.replaceChildren(`Pixel x ${pixel[1]}, y ${pixel[0]} · bicubic ${level(scene.bicubicY[at])} → `, make("b", {}, `result ${level(found.value)}`),
      ` · original ${level(target[at])} levels · `, make("span", { class: "muted" }, `open ReLUs: ${open(found.active[0])} of layer 1, ${open(found.active[1])} of layer 2`));
    const planes = { data: patch, channels: net.channels, height: side, width: side };
    put(input.firstChild, pictureImage(planes));
    const square = sumOf(found.filter, net.channels, side * side), limit = magnitude(square, 1);
    put(filter.firstChild, signedImage(square, side, side, limit, lab.colors.signed));
    filter.firstChild.dataset.value = found.value;
    legend(filter.querySelector(".filter-range"), -limit, limit, "weight");
    input.querySelector(".legend").classList.replace("signed", "black");
    legend(input.querySelector(".patch-range"), 0, 1, "levels");
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
    map.querySelector("figcaption span").textContent = ` what each pixel adds to the result, from a blurred picture to the sharp one; exact, as all ${spaced(found.switches)} switches of ReLUs in between are found`;
    legend(map.querySelector(".attribution-range"), -limit, limit, "levels");
  }

  // From the bicubic value to the result: first the channels that carry the picture, then those that change it most.
  function waterfall({ channels, value, base }, bicubic, truth) {
    const result = lab.snapshots.result(lab.now.n), carriers = result ? carriersOf(lab.scene, result) : [];
    const carried = carriers.reduce((sum, c) => sum + channels[c], base), name = (c) => `channel ${c}`;
    const others = Array.from(channels, (v, c) => [c, v]).filter(([c]) => !carriers.includes(c)).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    const top = others.slice(0, TOP), rest = others.slice(TOP).reduce((sum, [, v]) => sum + v, 0);
    const steps = [[carriers.length === 1 ? `${name(carriers[0])} and b₃` : carriers.length ? `${carriers.length} carriers and b₃` : "b₃ alone", carried - bicubic],
      ...top.map(([c, v]) => [name(c), v]), ...(others.length > TOP ? [[`${others.length - TOP} others`, rest]] : [])];
    let level = bicubic;
    const bars = [["bicubic", bicubic, null], ...steps.map(([label, change]) => [label, (level += change), change]), ["result", value, null], ["original", truth, null]];
    const values = bars.map(([, v]) => v), low = Math.min(...values), high = Math.max(...values), room = (high - low) * 0.04 || 0.01;
    const x = (v) => `${((v - low + room) / (high - low + 2 * room)) * 100}%`;
    let before = bicubic;
    fall.replaceChildren(make("h3", {}, "From bicubic to the result, in levels"),
      make("p", { class: "muted why" }, carriers.length
        ? `Bicubic's value is where the bars begin. ${carriers.length === 1 ? "One channel carries" : `${carriers.length} channels carry`} the picture: ${
          carriers.map((c) => `${name(c)} (${amount(channels[c], "levels", true)})`).join(", ")}; with the constant b₃ of layer 3 (${
          amount(base, "levels", true)}), ${amount(carried, "levels")} in all. Their bar is the difference to bicubic; each other channel adds its own.`
        : `Bicubic's value is where the bars begin. At this step no channel carries the picture: the first bar leads from bicubic to the constant b₃ of layer 3 (${amount(base, "levels", true)}).`),
      make("div", { class: "rows" }, ...bars.flatMap(([label, v, change]) => {
        const bar = make("span", { class: `amount ${change === null ? `total ${label}` : change < 0 ? "less" : "more"}` }), guide = make("i", { class: "guide" });
        guide.style.left = x(bicubic);
        bar.style.left = change === null ? x(v) : x(Math.min(before, v));
        if (change !== null) bar.style.width = `max(2px, calc(${x(Math.max(before, v))} - ${x(Math.min(before, v))}))`, before = v;
        return [make("span", { class: "name" }, label), make("span", { class: "line" }, guide, bar), make("span", { class: "value" }, amount(change ?? v, "levels", change !== null))];
      })));
    Object.assign(fall.dataset, { begin: bicubic, sum: level });
  }
  return { section, draw, explain };
}

function sumOf(values, channels, count) {
  const sum = new Float64Array(count);
  for (let n = 0; n < channels * count; n++) sum[n % count] += values[n];
  return sum;
}

/**
 * Returns the channels of layer 2 that carry the picture, the strongest first: what they paint has at least 5 % of the
 * bicubic picture's strength (root mean square). The others only correct it.
 */
function carriersOf({ bicubicY }, { gram, linear }) {
  const count = linear.length, least = (0.05 ** 2 * bicubicY.reduce((sum, v) => sum + v * v, 0)) / bicubicY.length;
  const energy = (c) => gram[c * count + c];
  return Array.from(linear, (_, c) => c).filter((c) => energy(c) >= least).sort((a, b) => energy(b) - energy(a));
}
