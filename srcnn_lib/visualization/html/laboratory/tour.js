// The tour: six steps, each of which sets the page up and says two sentences.

const TOUR = [
  { title: "1 · What a kernel is", text: (lab) => `Layer 1 slides 64 small filters over the picture; each answers where the picture looks like it. ${lab.snapshots.last
      ? "At the first step of the training they are noise: press play and watch edges, bars and points appear."
      : "Orange is positive and blue negative: one side bright and the other dark is a filter for edges."}`,
    set: (lab) => ({ view: "kernels", raw: false, off: new Set(), swaps: new Map(), layer: 0, channel: null, n: lab.snapshots.last }) },
  { title: "2 · What carries the picture", text: (lab) => `Every channel of layer 2 paints a picture, and they add up to the result. ${carries(lab)
      ? "Here all are off but one: most of the photograph passes through it, and the others only correct it."
      : "Here all are off but the one worth most. In this network several share the photograph: switch the next ones on, one by one."}`,
    set: (lab) => ({ view: "worth", off: new Set(order(lab).slice(1)), swaps: new Map(), layer: 1, channel: order(lab)[0], n: lab.snapshots.last }) },
  { title: "3 · Edges", text: "This channel is the one worth most of those that do not carry the picture. Look at the places that excite it: it answers to one kind of edge or stroke and is silent elsewhere.",
    set: (lab) => ({ view: "stimuli", off: new Set(), swaps: new Map(), layer: 1, channel: edge(lab), n: lab.snapshots.last }) },
  { title: "4 · What ReLU decides", text: "A ReLU is open or closed; with all of them as they are at this pixel, the whole network is one filter. Click another pixel and the filter changes: that is all a network of this kind can do.",
    set: (lab) => ({ view: "pixel", off: new Set(), swaps: new Map(), pixel: busiest(lab), n: lab.snapshots.last }) },
  { title: "5 · Where the decibels come from", text: "Only the ten channels worth most are on: read what is lost. A channel's worth is what is lost without it alone, so these do not add up. Some channels even harm this very picture.",
    set: (lab) => ({ view: "worth", off: new Set(order(lab).slice(10)), swaps: new Map(), layer: 1, channel: order(lab)[1] ?? 0, n: lab.snapshots.last }) },
  { title: "6 · What it cannot know", text: "Middle frequencies are restored by several dB, the finest hardly at all: the reduction removed them, and the picture no longer holds what they were. Compare the error with the original: what is left lies along the finest edges and in texture.",
    set: (lab) => ({ view: "frequency", off: new Set(), swaps: new Map(), n: lab.snapshots.last }) },
];

const carries = (lab) => carrierOf(lab, lab.snapshots.result(lab.snapshots.last)) !== null;
/** Returns the most valuable channel that corrects the picture instead of carrying it: without it less than 1 dB is lost. */
function edge(lab) {
  const worth = lab.snapshots.summaries[lab.snapshots.last]?.worth || [];
  return order(lab).find((channel) => worth[channel].db < 1) ?? order(lab)[1] ?? 0;
}

const order = (lab) => ranked(lab.snapshots.summaries[lab.snapshots.last]?.worth || []);

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
    const { title, text, set } = TOUR[now.tour], mine = now.tour;
    $("h3").textContent = title;
    $(".back").disabled = mine === 0;
    $(".ahead").textContent = mine === TOUR.length - 1 ? "Done" : "Next";
    await lab.need(lab.snapshots.last);
    $("p").textContent = (typeof text === "string" ? text : text(lab)).replace("64", lab.net().widths[0]);
    if (now.tour === mine) state.set(set(lab));
  }
  $(".back").onclick = () => state.set({ tour: now.tour - 1 });
  $(".ahead").onclick = () => state.set({ tour: now.tour === TOUR.length - 1 ? null : now.tour + 1 });
  $(".end").onclick = () => state.set({ tour: null });
  return { draw };
}
