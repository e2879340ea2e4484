// The tour: six steps, each of which sets the page up, says two sentences, and what follows from them.

const TOUR = [
  { title: "1 · What a kernel is",
    text: (lab) => `Layer 1 slides ${lab.net().widths[0]} small filters, the kernels, over the picture; each answers where the picture looks like it. ${lab.snapshots.last
      ? "This is the first snapshot of the training: press play, and watch what the kernels become."
      : "Orange weights are positive and blue ones negative."}`,
    so: () => "A kernel with a bright and a dark side answers to edges, one with a spot in a ring to points.",
    set: (lab) => ({ view: "kernels", raw: false, off: new Set(), swaps: new Map(), layer: 0, channel: null, n: 0 }) },
  { title: "2 · What carries the picture",
    text: (lab) => `Every channel of layer 2 paints a picture, and they add up to the result. Here ${carriers(lab).length > 1
      ? `only the ${carriers(lab).length} channels are on that carry the picture` : "all are off but one, which carries the picture"}.`,
    so: (lab) => `${carriers(lab).length > 1 ? "These few" : "It alone"} of ${lab.net().widths[1]} channels ${carriers(lab).length > 1 ? "give" : "gives"} ${
      decibels(psnrWith(lab, carriers(lab)))} (bicubic ${decibels(bicubicPsnr(lab.scene))}, all channels ${decibels(psnrWith(lab, all(lab)))}): most channels do not hold the picture, they correct it.`,
    set: (lab) => ({ view: "worth", off: others(lab, carriers(lab)), swaps: new Map(), layer: 1, channel: carriers(lab)[0], n: lab.snapshots.last }) },
  { title: "3 · Edges",
    text: () => "This is the channel worth most of those that correct the picture. Look at the places that excite it most: they hold one kind of edge or stroke.",
    so: (lab) => `Without this one channel the result loses ${decibels(worthOf(lab, edge(lab)))}.`,
    set: (lab) => ({ view: "stimuli", off: new Set(), swaps: new Map(), layer: 1, channel: edge(lab), n: lab.snapshots.last }) },
  { title: "4 · What ReLU decides",
    text: () => "A ReLU passes positive values (open) and makes negative ones zero (closed). With all of them as they are at this pixel, the whole network is one filter.",
    so: () => "Click another pixel and the filter changes: the network chooses a filter for each pixel, and can do nothing else.",
    set: (lab) => ({ view: "pixel", off: new Set(), swaps: new Map(), pixel: busiest(lab), n: lab.snapshots.last }) },
  { title: "5 · Where the decibels come from",
    text: (lab) => `Only the ${top(lab).length} channels worth most are on. A channel's worth is what is lost without it alone, so these do not add up.`,
    so: (lab) => `They give ${decibels(psnrWith(lab, top(lab)))}, all ${lab.net().widths[1]} channels ${decibels(psnrWith(lab, all(lab)))}.${
      harmful(lab) ? ` Without ${harmful(lab) === 1 ? "one channel" : `${harmful(lab)} of the channels`} this crop would even be better.` : ""}`,
    set: (lab) => ({ view: "worth", off: others(lab, top(lab)), swaps: new Map(), layer: 1, channel: order(lab)[1] ?? 0, n: lab.snapshots.last }) },
  { title: "6 · What it cannot know",
    text: () => "The reduction removed the finest detail, and the picture no longer holds what it was. Compare the error with the original: what is left lies along the finest edges and in texture.",
    so: (lab) => lost(lab),
    set: (lab) => ({ view: "frequency", off: new Set(), swaps: new Map(), n: lab.snapshots.last }) },
];

const finalResult = (lab) => lab.snapshots.result(lab.snapshots.last);
const all = (lab) => Array.from({ length: lab.net().widths[1] }, (_, channel) => channel);
const others = (lab, channels) => new Set(all(lab).filter((channel) => !channels.includes(channel)));
const order = (lab) => ranked(lab.snapshots.summaries[lab.snapshots.last].worth);
const top = (lab) => order(lab).slice(0, Math.min(10, lab.net().widths[1] - 1));
const worthOf = (lab, channel) => lab.snapshots.summaries[lab.snapshots.last].worth[channel].db;
const harmful = (lab) => all(lab).filter((channel) => worthOf(lab, channel) < -0.005).length;
const psnrWith = (lab, channels) => decibelsOf(errorOfSet(finalResult(lab), all(lab).map((channel) => channels.includes(channel))));

/** Returns the channels that carry the picture; in a network where none does, the one worth most. */
function carriers(lab) {
  const found = carriersOf(lab.scene, finalResult(lab));
  return found.length ? found : order(lab).slice(0, 1);
}

/** Returns the most valuable channel that corrects the picture instead of carrying it. */
const edge = (lab) => order(lab).find((channel) => !carriers(lab).includes(channel)) ?? order(lab)[0];

/** Says above which frequency the network hardly gains anything, and how much of the error lies there. */
function lost(lab) {
  const { power } = lab.snapshots.summaries[lab.snapshots.last], gains = gainsOf(bicubicPower(lab.scene), power);
  const best = gains.indexOf(Math.max(...gains)), from = gains.findIndex((gain, band) => band > best && gain < 0.5);
  if (from < 0) return "";
  const share = power.slice(from).reduce((a, b) => a + b, 0) / power.reduce((a, b) => a + b, 0);
  return `From ${BANDS[from]} cycles a pixel upwards the network gains less than 0.50 dB over bicubic; ${percent(share)} of the error that is left lies there.`;
}

/** Returns the pixel that the network changes most, away from the border. */
function busiest(lab) {
  const { y } = lab.snapshots.result(lab.snapshots.last), { bicubicY, width, height } = lab.scene;
  let best = [height >> 1, width >> 1], most = 0;
  for (let row = 8; row < height - 8; row++)
    for (let column = 8; column < width - 8; column++) {
      const change = Math.abs(y[row * width + column] - bicubicY[row * width + column]);
      if (change > most) most = change, best = [row, column];
    }
  return best;
}

function TourCard(lab) {
  const { root, state, now } = lab, card = root.querySelector(".card"), $ = (selector) => card.querySelector(selector);
  let drawn = null;
  async function draw() {
    card.hidden = now.tour === null;
    root.querySelector(".tool.tour").setAttribute("aria-pressed", now.tour !== null);
    if (now.tour === drawn) return;
    drawn = now.tour;
    if (now.tour === null) return state.set({ off: new Set(), swaps: new Map() });
    const { title, text, so, set } = TOUR[now.tour], mine = now.tour;
    $("h3").textContent = title;
    $(".back").disabled = mine === 0;
    $(".ahead").textContent = mine === TOUR.length - 1 ? "Done" : "Next";
    await lab.need(lab.snapshots.last);
    if (now.tour !== mine) return;
    $("p").replaceChildren(text(lab), make("b", { class: "so" }, so(lab)));
    state.set(set(lab));
    lab.reveal();
  }
  $(".back").onclick = () => state.set({ tour: now.tour - 1 });
  $(".ahead").onclick = () => state.set({ tour: now.tour === TOUR.length - 1 ? null : now.tour + 1 });
  $(".end").onclick = () => state.set({ tour: null });
  return { draw };
}
