// Kernels of layer 1, raw or as photographs excite them, and what a channel of layer 2 takes from them.

const RIDGE = 1e-5; // λ of kernel_projection.py: drops what bicubic pictures hardly contain

function KernelsView(lab) {
  const { state, now } = lab;
  const section = make("div", { class: "kernel-view" });
  let tiles = [], kinds = null, picker = null, inputs = null, matrix = null, asked = null;

  function begin() {
    const { widths: [count, second], filters: [size] } = lab.net(), sheet = make("div", { class: "sheet kernels", role: "group", "aria-label": "Kernels of layer 1" });
    matrix = asked = null;
    tiles = Array.from({ length: count }, (_, c) => tileButton(sheet, `Kernel of channel ${c}`, `${c}`));
    tiles.forEach((tile, c) => { tile.onclick = () => state.set({ layer: 0, channel: c, view: "stimuli" }); });
    rove(tiles);
    const kind = make("div", { class: "choice kind", role: "group", "aria-label": "Kernels" });
    kinds = choice(kind, [["raw", "as they are"], ["excited", "as photographs excite them"]], (key) => state.set({ raw: key === "raw" }), now.raw ? "raw" : "excited");
    picker = make("input", { type: "number", min: 0, max: second - 1, value: now.layer === 1 && now.channel !== null ? now.channel : 0, "aria-label": "Channel of layer 2",
      oninput: (event) => event.target.value in Object.keys([...Array(second)]) && state.set({ layer: 1, channel: Number(event.target.value) }) });
    inputs = make("div", { class: "inputs" });
    section.replaceChildren(make("div", { class: "top" }, make("h3", {}, `Kernels of layer 1`), make("span", { class: "muted" }, `${size} × ${size}`), kind),
      sheet, make("p", { class: "muted why" }),
      make("div", { class: "top" }, make("h3", {}, "Layer 2: the strongest inputs of channel"), picker), make("p", { class: "muted why" },
        "Above the kernel of the channel of layer 1 that is read, below the kernel on it. The percentage is its share of all inputs: the size of the kernel times the strength of the channel in this crop."), inputs);
  }

  function draw() {
    const { snapshots } = lab;
    if (!snapshots?.weights(now.n)) return;
    if (!now.raw && !asked) asked = project();
    const used = now.raw ? null : matrix;
    kinds.mark(now.raw ? "raw" : "excited"); // the tour and an address set it too
    section.dataset.kind = used ? "excited" : "raw";
    tiles.forEach((tile, c) => drawKernel(lab, tile.firstChild, 0, c, used));
    section.querySelector(".why").textContent = now.raw
      ? "Orange weights are positive and blue ones negative, each kernel in its own range; click one to see what excites it. Bicubic pictures have almost no fine detail, so what a kernel does with it changes no answer and stays noise."
      : matrix ? "What bicubic pictures cannot excite is removed, so the answers stay the same (the method is called ridge projection; here λ = 10⁻⁵). Orange weights are positive and blue ones negative, each kernel in its own range." : "Measuring the patches of the sample pictures …";
    if (snapshots.result(now.n)) drawInputs(used);
  }

  async function project() {
    const pictures = (await lab.samples()).map(({ data, channels, height, width }) => ({ data, channels, height, width }));
    const [size] = lab.net().filters;
    matrix = await lab.ask({ kind: "projection", pictures, size, stride: lab.net().channels === 3 ? 4 : 2, ridge: RIDGE });
    draw();
  }

  function drawInputs(used) {
    const channel = now.layer === 1 && now.channel !== null ? now.channel : 0;
    const [, two] = layersOf(lab.net(), lab.snapshots.weights(now.n)), taps = two.size ** 2;
    if (document.activeElement !== picker) picker.value = channel;
    const strongest = strongestInputs(lab, channel).slice(0, 8), weights = (input) => two.weight.subarray((channel * two.inputs + input) * taps, (channel * two.inputs + input + 1) * taps);
    const limit = Math.max(...strongest.map(([input]) => magnitude(weights(input), 1)));
    inputs.replaceChildren(...strongest.map(([input, share]) => {
      const first = make("canvas", { role: "img", "aria-label": `Kernel of channel ${input} of layer 1` }), own = make("canvas", { role: "img", "aria-label": `Kernel on channel ${input}` });
      drawKernel(lab, first, 0, input, used);
      put(own, kernelImage(weights(input), 1, two.size, limit, false, lab.colors.signed));
      return make("figure", {}, make("div", { class: "pair" }, first, own), make("figcaption", {}, make("b", {}, `${input}`), make("span", { class: "muted" }, ` ${percent(share)}`)));
    }));
  }
  return { section, begin, draw, projection: () => matrix };
}
