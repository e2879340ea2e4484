// How numbers are written: for each quantity one unit and one number of decimals.

const UNITS = {
  levels: { factor: 255, decimals: 1, unit: "levels" }, // a pixel's Y in [0, 1], or a difference of two
  dB: { factor: 1, decimals: 2, unit: "dB" },
  weight: { factor: 1, decimals: 3, unit: "weight" }, // of a kernel or of a pixel's filter: no unit, so its name
  activation: { factor: 1, decimals: 3, unit: "activation" }, // a channel's value after ReLU: no unit either
};

/** Returns the number of a quantity without its unit, for a place that names the unit once for many. */
const amount = (value, quantity, signed = false) => fixed(UNITS[quantity].factor * value, UNITS[quantity].decimals, signed);

const percent = (share) => `${fixed(100 * share, 1)} %`;

/** Shows a range: its two numbers, its colors between them, and the unit. */
function legend(element, low, high, quantity) {
  element.replaceChildren(make("span", {}, amount(low, quantity)), make("i"), make("span", {}, `${amount(high, quantity)} ${UNITS[quantity].unit}`));
  element.title = "Values beyond the range have the color of its end";
}
