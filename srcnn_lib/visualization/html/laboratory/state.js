// What the page shows, as one object. Whoever changes it says what, and everything that shows it draws itself again.

const VIEWS = [["channels", "Channels"], ["pixel", "Pixel"], ["worth", "Worth"], ["frequency", "Frequencies"],
  ["kernels", "Kernels"], ["stimuli", "What excites"]];

/** Returns { value, set(changes), listen(listener) }; a listener gets the names of what has changed. */
function State(initial) {
  const value = { ...initial }, listeners = [];
  return {
    value,
    listen: (listener) => listeners.push(listener),
    set(changes) {
      const names = Object.keys(changes).filter((name) => value[name] !== changes[name]);
      Object.assign(value, changes);
      if (names.length) listeners.forEach((listener) => listener(new Set(names)));
    },
  };
}

/** Writes the state as an address fragment, such as step=500&view=pixel&pixel=40,31. */
function toFragment(state, { step }, picture) {
  const { run, view, pixel, layer, channel, off, swaps, tour, box, raw } = state;
  const parts = { step, view };
  if (run) parts.run = run;
  if (pixel) parts.pixel = pixel.join(",");
  if (channel !== null) parts.channel = `${layer + 1}:${channel}`;
  if (off.size) parts.off = [...off].join(",");
  if (swaps.size) parts.swap = [...swaps].map((pair) => pair.join(":")).join(",");
  if (tour !== null) parts.tour = tour + 1;
  if (!raw) parts.kernels = "excited";
  if (box && picture) parts.box = box.join(",");
  return Object.entries(parts).map(([name, value]) => `${name}=${value}`).join("&");
}

/** Reads a fragment; what is missing or makes no sense is left out. */
function fromFragment(text, runs) {
  const parts = Object.fromEntries(text.replace(/^#/, "").split("&").map((part) => part.split("=")));
  const numbers = (name, separator = ",") => (parts[name] ? parts[name].split(separator).map(Number) : []);
  const whole = (list) => list.every((n) => Number.isInteger(n) && n >= 0), state = {};
  if (runs[parts.run]) state.run = Number(parts.run);
  const { net, snapshots } = runs[state.run || 0], n = snapshots.findIndex(({ step }) => step === Number(parts.step));
  if (parts.step && n >= 0) state.n = n;
  if (VIEWS.some(([name]) => name === parts.view)) state.view = parts.view;
  if (numbers("pixel").length === 2 && whole(numbers("pixel"))) state.pixel = numbers("pixel");
  if (numbers("box").length === 2 && whole(numbers("box"))) state.box = numbers("box");
  const [layer, channel] = numbers("channel", ":");
  if (channel < net.widths[layer - 1]) Object.assign(state, { layer: layer - 1, channel });
  const valid = (c) => Number.isInteger(c) && c >= 0 && c < net.widths[1];
  state.off = new Set(numbers("off").filter(valid));
  const swaps = (parts.swap || "").split(",").map((pair) => pair.split(":").map(Number));
  state.swaps = new Map(swaps.filter(([c, from]) => valid(c) && snapshots[from]));
  if (parts.kernels === "excited") state.raw = false;
  if (parts.tour >= 1 && parts.tour <= TOUR.length) state.tour = Number(parts.tour) - 1;
  return state;
}
