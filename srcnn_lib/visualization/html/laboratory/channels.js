// The feature maps: a sheet of every channel of layers 1 and 2, and one channel enlarged.

const LAYERS = ["Patch extraction", "Non-linear mapping"];

function ChannelsView(lab) {
  const { state, now } = lab;
  const section = make("div", { class: "channels" });
  let sheets = [], common = false;

  function begin() {
    sheets = [0, 1].map((layer) => Sheet(layer));
    section.replaceChildren(...sheets.map((sheet) => sheet.section));
  }

  function Sheet(layer) {
    const count = lab.net().widths[layer], sheet = make("div", { class: "sheet", role: "group", "aria-label": `Channels of layer ${layer + 1}` });
    const tiles = Array.from({ length: count }, (_, c) => tileButton(sheet, `Enlarge channel ${c}`, `${c}`));
    tiles.forEach((tile, c) => { tile.onclick = () => state.set({ layer, channel: c }); });
    rove(tiles);
    const toggle = make("button", { type: "button", class: "tool", "aria-pressed": `${common}` }, "one scale for all");
    toggle.title = "Pressed: equal colors mean equal values in all maps of the layer. Otherwise each map is bright at its own maximum over all snapshots";
    toggle.onclick = () => { common = !common; draw(); };
    const large = make("div", { class: "large", role: "group", tabindex: -1 });
    const section = make("section", { class: "layer" },
      make("div", { class: "top" }, make("h3", {}, `Layer ${layer + 1}, ${LAYERS[layer].toLowerCase()}`),
        make("span", { class: "muted count" }, `${count} channels`), toggle), sheet, large);
    return { section, sheet, tiles, toggle, large, layer, open: null };
  }

  function draw() {
    if (!lab.snapshots) return;
    const result = lab.snapshots.result(now.n);
    if (!result) return;
    for (const { tiles, toggle, sheet, large, layer } of sheets) {
      toggle.setAttribute("aria-pressed", common);
      const { peaks } = result.maps[layer], silent = peaks.reduce((sum, peak) => sum + (peak > 0 ? 0 : 1), 0);
      const count = section.children[layer].querySelector(".count");
      count.textContent = `${peaks.length} channels${silent ? `, ${silent} of them zero everywhere in this crop` : ""}`;
      const open = now.channel !== null && now.layer === layer;
      sheet.hidden = open, large.hidden = !open;
      if (open) drawLarge(large, layer, result);
      else tiles.forEach((tile, c) => put(tile.firstChild, mapImage(lab, result, layer, c, common)));
    }
  }

  function drawLarge(large, layer, result) {
    const c = now.channel, count = lab.net().widths[layer];
    if (large.dataset.channel !== `${layer}:${c}`) {
      large.dataset.channel = `${layer}:${c}`;
      const button = (label, text, channel) => {
        const element = make("button", { type: "button", class: "tool", "aria-label": label, onclick: () => state.set({ channel }) }, text);
        element.disabled = channel !== null && !(channel >= 0 && channel < count);
        return element;
      };
      const more = (view, text) => make("button", { type: "button", class: "tool", onclick: () => state.set({ view }) }, text);
      large.replaceChildren(
        make("div", { class: "facts" }, make("canvas", { class: "kernel", role: "img", "aria-label": `Kernel of channel ${c}` }),
          make("div", { class: "text" }, make("h4", {}, `Channel ${c}`), make("span", { class: "legend signed kernel-range" }), make("span", { class: "legend positive map-range" }),
            make("div", { class: "more" }, more("stimuli", "What excites it"), more("kernels", "Its kernel"),
              ...(layer ? [more("worth", "What it is worth")] : []))),
          make("div", { class: "buttons" }, button("Close", "×", null), button("Previous channel", "‹", c - 1), button("Next channel", "›", c + 1))),
        make("canvas", { class: "map", role: "img", "aria-label": `Layer ${layer + 1}, channel ${c}` }));
    }
    legend(large.querySelector(".map-range"), 0, mapLimit(lab, layer, c, common), "activation");
    put(large.querySelector(".map"), mapImage(lab, result, layer, c, common));
    const limit = drawKernel(lab, large.querySelector(".kernel"), layer, c);
    legend(large.querySelector(".kernel-range"), -limit, limit, "weight");
  }

  const key = (name) => {
    if (now.channel === null || !/^Arrow(Up|Down)$/.test(name)) return false;
    state.set({ channel: clamp(now.channel + (name === "ArrowUp" ? -1 : 1), 0, lab.net().widths[now.layer] - 1) });
    return true;
  };
  return { section, begin, draw, key };
}

/** Returns the end of a map's color range: the channel's own over all snapshots; weak ones are not enlarged to noise. */
function mapLimit(lab, layer, channel, common) {
  const limits = lab.snapshots.limits[layer], most = Math.max(...limits) || 1;
  return common ? most : Math.max(limits[channel], 0.02 * most);
}

function mapImage(lab, { maps }, layer, channel, common) {
  const { height, width } = lab.scene, { values, peaks } = maps[layer], { positive } = lab.colors;
  const ratio = peaks[channel] / mapLimit(lab, layer, channel, common), from = channel * height * width;
  return imageOf(height, width, (n) => positive[Math.min(255, (values[from + n] * ratio) | 0)]);
}

/** Draws a channel's kernel: of layer 1 itself, of layer 2 the kernel on its strongest input. Returns the end of its range. */
function drawKernel(lab, canvas, layer, channel, matrix = null) {
  const [one, two] = layersOf(lab.net(), shownWeights(lab)), { signed } = lab.colors;
  if (layer) {
    const input = strongestInputs(lab, channel)[0][0], at = (channel * two.inputs + input) * two.size ** 2;
    const weights = two.weight.subarray(at, at + two.size ** 2), limit = magnitude(weights, 1);
    put(canvas, kernelImage(weights, 1, two.size, limit, false, signed));
    return limit;
  }
  let weights = one.weight.subarray(channel * one.taps, (channel + 1) * one.taps);
  if (matrix) weights = multiply(matrix, weights);
  const limit = magnitude(weights, 1);
  put(canvas, kernelImage(weights, one.inputs, one.size, limit, lab.net().channels === 3, signed));
  return limit;
}

const shownWeights = (lab) => lab.snapshots.weights(lab.now.n);

function multiply(matrix, vector) {
  const result = new Float32Array(vector.length);
  for (let i = 0, at = 0; i < result.length; i++) for (let j = 0; j < result.length; j++) result[i] += matrix[at++] * vector[j];
  return result;
}

/** Returns [input, share] of a channel of layer 2, the strongest input first: the size of its kernel times its map. */
function strongestInputs(lab, channel) {
  const [, two] = layersOf(lab.net(), shownWeights(lab)), result = lab.snapshots.result(lab.now.n);
  const taps = two.size ** 2, pixels = lab.scene.height * lab.scene.width;
  const strengths = Array.from({ length: two.inputs }, (_, input) => {
    const at = (channel * two.inputs + input) * taps;
    let square = 0, map = 0;
    for (let n = 0; n < taps; n++) square += two.weight[at + n] ** 2;
    if (result) {
      const { values, peaks } = result.maps[0];
      for (let n = input * pixels; n < (input + 1) * pixels; n++) map += values[n] ** 2;
      map = (Math.sqrt(map / pixels) / 255) * peaks[input];
    }
    return Math.sqrt(square) * (result ? map : 1);
  });
  const sum = strengths.reduce((a, b) => a + b, 0) || 1;
  return strengths.map((strength, input) => [input, strength / sum]).sort((a, b) => b[1] - a[1]);
}
