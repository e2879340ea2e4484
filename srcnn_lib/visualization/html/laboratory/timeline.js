// The chart above the scrubber: a snapshot's point lies above the thumb's place for it.

/**
 * @param curves () => { name: { title, unit, lines: [{ label, color, points: [[step, value]] }], rule, log } }
 */
function Chart(svg, steps, curves, go) {
  const last = steps.length - 1;
  let name = null, scale = null, cursor = null, dot = null, at = 0;
  const position = (step) => { // of a step among the snapshots, whose steps are not evenly spaced
    const after = steps.findIndex((other) => other >= step);
    if (after < 1) return after ? last : 0;
    return after - (steps[after] - step) / (steps[after] - steps[after - 1]);
  };

  function draw(chosen = name) {
    name = chosen;
    const { lines, rule, log, unit } = curves()[name], width = svg.clientWidth, height = svg.clientHeight;
    if (!width) return;
    const em = parseFloat(getComputedStyle(svg).fontSize), edge = Math.max(20, 1.4 * em) / 2, foot = 1.3 * em; // half the thumb, the steps
    const start = svg.parentElement.querySelector("input").offsetLeft + edge; // left of it stand the values
    const value = (v) => (log ? Math.log10(v) : v);
    let values = lines.flatMap((line) => line.points.map(([, v]) => value(v)));
    // From random weights, the first steps would compress everything that matters into a line.
    const floor = rule === null ? -Infinity : Math.floor(rule - 6), cut = values.some((v) => v < floor);
    values = values.filter(Number.isFinite).map((v) => Math.max(v, floor)).concat(rule ?? []);
    if (!values.length) values = [0];
    let low = Math.min(...values), high = Math.max(...values);
    const margin = (high - low) * 0.08 || 0.5;
    low -= margin, high += margin;
    const x = (n) => start + (last ? n / last : 0) * (width - start - edge);
    const y = (v) => clamp(4 + (1 - (v - low) / (high - low)) * (height - foot - 8), 0, height - foot);
    scale = { x, y, value, edge, start, em, width, height };
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.append(shape("line", { class: "base", x1: start, x2: width - edge, y1: height - foot, y2: height - foot }));
    if (rule !== null) svg.append(shape("line", { class: "rule", x1: start, x2: width - edge, y1: y(rule), y2: y(rule) }));
    for (const { color, points } of lines) {
      const path = points.map(([step, v]) => `${x(position(step)).toFixed(1)},${y(value(v)).toFixed(1)}`);
      if (path.length) svg.append(path.length > 1
        ? shape("polyline", { class: color, points: path.join(" ") })
        : shape("circle", { class: color, r: 2.5, cx: path[0].split(",")[0], cy: path[0].split(",")[1] }));
    }
    labels();
    const ticks = valueTicks(low, high, log).filter((tick) => !cut || y(tick) < y(floor) - em);
    for (const [n, tick] of [...ticks, ...(cut ? [floor] : [])].entries()) {
      svg.append(shape("line", { class: "tick", x1: start - 4, x2: start, y1: y(value(tick)), y2: y(value(tick)) }));
      svg.append(shape("text", { x: start - 7, y: clamp(y(value(tick)) + 0.3 * em, 0.7 * em, height), "text-anchor": "end" }, `${cut && tick === floor ? "≤ " : ""}${tickText(tick)}${n ? "" : ` ${unit}`}`));
    }
    cursor = shape("line", { class: "cursor", y1: 0, y2: height - foot });
    dot = shape("circle", { class: "dot", r: 0.36 * em });
    svg.append(cursor, dot);
    point(at);
  }
  function labels() { // powers of ten where there is room; the first and the last step always
    const { em } = scale, row = { y: scale.height - 0.2 * em };
    let free = scale.x(last) - 5 * em;
    const begin = scale.start + 4 * em;
    if (last) svg.append(shape("text", { ...row, x: scale.width - 2, "text-anchor": "end" }, `step ${spaced(steps[last])}`));
    for (let step = 10 ** Math.floor(Math.log10(steps[last] || 1)); step >= 1 && last; step /= 10) {
      const x = scale.x(position(step));
      if (x > free || x < begin) continue;
      svg.append(shape("text", { ...row, x, "text-anchor": "middle" }, spaced(step)));
      free = x - 4 * em;
    }
    svg.append(shape("text", { ...row, x: scale.start - scale.edge }, `step ${spaced(steps[0])}`));
  }
  function point(n) {
    at = n;
    if (!scale) return;
    const x = scale.x(n), { lines } = curves()[name], main = lines.length ? lines[lines.length - 1].points : [];
    const now = main.filter(([step]) => step <= steps[n]).pop();
    cursor.setAttribute("x1", x), cursor.setAttribute("x2", x);
    dot.style.display = now ? "" : "none";
    if (now) dot.setAttribute("cx", x), dot.setAttribute("cy", scale.y(scale.value(now[1])));
  }
  function key() {
    const { lines, rule } = curves()[name];
    const entries = lines.map(({ color, label }) => make("span", { class: `entry ${color}` }, label));
    return rule === null ? entries : [...entries, make("span", { class: "entry dashed" }, rule ? `bicubic ${decibels(rule)}` : "bicubic")];
  }
  const follow = (event) => {
    const { left } = svg.getBoundingClientRect();
    go(Math.round(((event.clientX - left - scale.start) / (scale.width - scale.start - scale.edge)) * last));
  };
  svg.onpointerdown = (event) => { svg.setPointerCapture(event.pointerId); follow(event); };
  svg.onpointermove = (event) => { if (svg.hasPointerCapture(event.pointerId)) follow(event); };
  const observer = new ResizeObserver(() => name && draw());
  observer.observe(svg);
  return { draw, point, key, stop: () => observer.disconnect() };
}

/** Returns up to three round values between the ends of an axis, the largest first; `log`: they are given as powers of ten. */
function valueTicks(low, high, log) {
  const [from, to] = log ? [10 ** low, 10 ** high] : [low, high];
  if (to >= 100 * from && log) {
    const decades = Array.from({ length: 13 }, (_, n) => 10 ** (6 - n)).filter((tick) => tick >= from && tick <= to);
    return decades.filter((_, n) => n % Math.ceil(decades.length / 3) === 0);
  }
  const unit = 10 ** Math.floor(Math.log10(to - from));
  for (const step of [unit / 5, unit / 2, unit, 2 * unit, 5 * unit]) {
    const count = Math.floor(to / step) - Math.ceil(from / step) + 1;
    if (count <= 3) return Array.from({ length: count }, (_, n) => (Math.floor(to / step) - n) * step);
  }
  return [];
}

const tickText = (value) => spaced(Number(value.toPrecision(6))).replace("-", "−");
