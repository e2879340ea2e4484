// What all pages need: finding their own root, light and dark, small elements.

/** Calls `start(root, data)` for every root of this id that is not started yet: a notebook may show an output twice. */
function launch(data) {
  const roots = [...document.querySelectorAll(`[id="${ID}"]`)];
  roots.forEach((root, number) => {
    if (root.dataset.ready) return;
    root.dataset.ready = "yes";
    if (roots.length > 1) root.id = `${ID}-${number + 1}-${Math.random().toString(36).slice(2, 8)}`;
    followTheme(root);
    keepKeys(root);
    start(root, data);
  });
}

/** Keeps keys that are typed in the page from the notebook around it, which would select or delete cells. */
function keepKeys(root) {
  // JupyterLab asks the focused element first, and only then those around it.
  root.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));
  root.addEventListener("keydown", (event) => event.ctrlKey || event.metaKey || event.altKey || event.stopPropagation());
}

/** Follows the notebook's light or dark theme; without a notebook, the system's. */
function followTheme(root) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const set = () => {
    const lab = document.body.dataset.jpThemeLight; // JupyterLab says "true" or "false"
    const colab = document.documentElement.getAttribute("theme"); // Colab says "dark"
    const dark = lab ? lab === "false" : colab ? colab === "dark" : system.matches;
    root.dataset.theme = dark ? "dark" : "light";
  };
  set();
  system.addEventListener("change", set);
  const watch = new MutationObserver(set);
  watch.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  watch.observe(document.documentElement, { attributeFilter: ["theme"] });
}

/** Returns an element with attributes (functions become properties) and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/**
 * Fills `group` with a button for each [value, text]; calls `chosen(value)` now and whenever a button is pressed.
 *
 * Returns { press(value), mark(value) }: `mark` shows what is chosen elsewhere, without a call of `chosen`.
 */
function choice(group, options, chosen, value = options[0][0]) {
  const buttons = options.map(([key, text]) => make("button", { type: "button", onclick: () => press(key) }, text));
  group.replaceChildren(...buttons);
  const mark = (key) => buttons.forEach((button, n) => button.setAttribute("aria-pressed", options[n][0] === key));
  function press(key) {
    mark(key);
    chosen(key);
  }
  press(value);
  return { press, mark };
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
/** Returns a number with this many decimals; zero has no sign, however small the value was. */
function fixed(value, decimals, signed = false) {
  const text = value.toFixed(decimals).replace(/^-(0(\.0*)?)$/, "$1").replace("-", "−");
  return signed && value > 0 && Number(text) !== 0 ? `+${text}` : text;
}
const decibels = (value, signed = false) => (value === null ? "∞ dB" : `${fixed(value, 2, signed)} dB`);
const spaced = (value) => value.toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
