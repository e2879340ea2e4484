// What excites a channel: the patches of the pictures at hand on which it is most active, in their surround.

const PATCHES = 12, AROUND = 8; // patches that are shown, and the pixels around each

function StimuliView(lab) {
  const { state, now } = lab;
  const section = make("div", { class: "stimuli" });
  const title = make("h3"), walk = make("div", { class: "walk" }), facts = make("p", { class: "muted" }), patches = make("div", { class: "patches" }), means = make("div", { class: "means" });
  const layer = make("div", { class: "choice", role: "group", "aria-label": "Layer" });
  let asked = "", layers = null;
  section.append(make("div", { class: "top" }, title, layer, walk), facts, make("div", { class: "two" }, patches, means));

  function begin() {
    asked = "";
    layers = choice(layer, [[0, "layer 1"], [1, "layer 2"]], (n) => lab.snapshots && n !== now.layer && state.set({ layer: n, channel: 0 }), now.layer);
    const step = (by) => make("button", { type: "button", class: "tool", "aria-label": by < 0 ? "Previous channel" : "Next channel",
      onclick: () => key(by < 0 ? "ArrowUp" : "ArrowDown") }, by < 0 ? "‹" : "›");
    walk.replaceChildren(step(-1), step(1));
  }
  function key(name) {
    if (!/^Arrow(Up|Down)$/.test(name)) return false;
    state.set({ channel: clamp((now.channel ?? 0) + (name === "ArrowUp" ? -1 : 1), 0, lab.net().widths[now.layer] - 1) });
    return true;
  }

  async function draw() {
    const { snapshots } = lab, channel = now.channel ?? 0, mine = `${now.run}:${now.n}:${now.layer}:${channel}`;
    if (!snapshots?.weights(now.n) || asked === mine) return;
    asked = mine;
    layers.mark(now.layer);
    title.textContent = `What excites channel ${channel}`;
    if (!facts.textContent) facts.textContent = "Looking through the sample pictures …";
    const all = await lab.samples(), pictures = all.map(({ data, channels, height, width }) => ({ data, channels, height, width }));
    const found = await lab.ask({ kind: "stimuli", net: lab.net(), weights: snapshots.weights(now.n), pictures, layer: now.layer, channel, count: PATCHES });
    if (asked !== mine) return;
    section.dataset.of = mine;
    const { side } = found, active = percent(found.active);
    facts.textContent = found.places.length
      ? `It is active on ${active} of the bicubic pictures at hand. The ${found.places.length} places that excite it most, the square that it sees outlined, and its activation there:`
      : "It is active nowhere in the pictures at hand: at this step the channel is dead, or waits for something that they do not hold.";
    patches.replaceChildren(...found.places.map(({ picture, top, left, value }) => {
      const canvas = make("canvas", { role: "img", "aria-label": `Activation ${amount(value, "activation")}` }), size = side + 2 * AROUND;
      put(canvas, pictureImage(crop(all[picture].shown, top - AROUND, left - AROUND, size, size, true)));
      const frame = make("i");
      Object.assign(frame.style, { left: `${(100 * AROUND) / size}%`, top: `${(100 * AROUND) / size}%`, width: `${(100 * side) / size}%`, height: `${(100 * side) / size}%` });
      return make("figure", {}, make("div", { class: "frame" }, canvas, frame), make("figcaption", { class: "muted" }, amount(value, "activation")));
    }));
    const channels = lab.net().channels, mean = (values) => sumOf(values, channels, side * side).map((v) => v / channels);
    const plainMean = mean(found.mean), difference = mean(found.average).map((v, n) => v - plainMean[n]);
    const level = difference.reduce((sum, v) => sum + v, 0) / difference.length; // how much brighter: it would hide the shape
    const limit = magnitude(difference.map((v, n) => (difference[n] = v - level)), 1);
    const average = make("canvas", { role: "img", "aria-label": "Average stimulus" }), kernel = make("canvas", { role: "img", "aria-label": "Kernel" }), range = make("span", { class: "legend signed" });
    put(average, signedImage(difference, side, side, limit, lab.colors.signed));
    legend(range, -limit, limit, "levels");
    const kernels = now.layer === 0 ? [make("figure", {}, kernel, make("figcaption", {}, make("b", {}, "Its kernel")))] : [];
    if (now.layer === 0) {
      const weights = make("span", { class: "legend signed" }), most = drawKernel(lab, kernel, 0, channel);
      legend(weights, -most, most, "weight");
      kernels[0].lastChild.append(weights);
    }
    means.replaceChildren(make("figure", {}, average, make("figcaption", {}, make("b", {}, "Average stimulus"),
      make("span", { class: "muted" }, ` all patches, weighted by how much they excite it, less the plain mean; ${amount(Math.abs(level), "levels")} levels ${level < 0 ? "darker" : "brighter"} on average`), range)), ...kernels);
  }
  return { section, begin, draw, key };
}
