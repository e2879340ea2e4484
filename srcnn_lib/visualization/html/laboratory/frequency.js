// Frequencies: where the error lies and how much of it the network removes, now and over the training.

function FrequencyView(lab) {
  const section = make("div", { class: "frequencies" });
  const bars = make("div", { class: "bands", role: "img" }), film = make("canvas", { class: "film", role: "img", tabindex: 0 }), marker = make("i", { class: "marker" });
  const ranges = make("span", { class: "legend signed" }), text = make("p", { class: "muted" }), map = make("div");
  section.append(make("h3", {}, "Gain over bicubic by frequency"), text, bars, make("div", { class: "over-training" }, make("h3", {}, "Over the training"),
    map, make("div", { class: "below" }, make("span", { class: "muted" }, "Gain over bicubic in dB: orange is better than bicubic, blue worse, black the same."), ranges)));
  let of = null;

  function draw() {
    const { snapshots, scene } = lab, now = snapshots?.summaries[lab.now.n];
    if (!now) return;
    if (of !== scene) {
      of = scene;
      const rows = BANDS.length, frequencies = [0, 0.1, 0.2, 0.3, 0.4, 0.5].map((from) => [1 - BANDS.indexOf(from) / rows, `${from}`]);
      map.replaceChildren(heatMap(film, snapshotAxis(lab.run().snapshots), { title: "cycles a pixel; fine detail at the top", ticks: frequencies }, marker));
      film.onclick = (event) => {
        const { left, width } = film.getBoundingClientRect();
        lab.go(Math.floor(((event.clientX - left) / width) * snapshots.count));
      };
    }
    const reference = bicubicPower(scene), gains = (power) => gainsOf(reference, power);
    const current = gains(now.power), rest = now.power.reduce((a, b) => a + b, 0), high = Math.max(6, ...current), low = Math.min(-1, ...current.map((v) => Math.max(v, -12)));
    const y = (v) => ((high - clamp(v, low, high)) / (high - low)) * 100;
    text.textContent = "By how many dB the network's error is smaller than bicubic's, in bands from coarse to fine detail: a wave of 0.1 cycles a pixel is 10 pixels long, one of 0.5 two pixels. The shares below of the error that is left add up to 100 %.";
    bars.replaceChildren(make("div", { class: "column captions muted" }, make("div", { class: "space" }, make("span", {}, "gain in dB")), make("span", {}, "cycles a pixel, from"),
      make("small", {}, "share of the error")), ...current.map((gain, band) => {
      const share = now.power[band] / rest, bar = make("i", { class: gain < 0 ? "less" : "more" }), column = make("div", { class: "column" });
      bar.style.top = `${Math.min(y(gain), y(0))}%`, bar.style.height = `max(2px, ${Math.abs(y(gain) - y(0))}%)`;
      const label = make("b", {}, fixed(gain, 2));
      label.style.top = `${Math.min(y(gain), y(0))}%`;
      column.append(make("div", { class: "space" }, bar, label), make("span", {}, band === BANDS.length - 1 ? "diagonal" : `${BANDS[band]}`),
        make("small", { class: "muted" }, percent(share)));
      column.title = `${band === BANDS.length - 1 ? "beyond 0.5" : `${BANDS[band]} to ${BANDS[band + 1]}`} cycles a pixel: ${decibels(gain, true)}`;
      return column;
    }));
    bars.setAttribute("aria-label", `Gain by frequency in dB: ${current.map((v, band) => `${BANDS[band]}: ${fixed(v, 2)}`).join(", ")}`);
    bars.dataset.gains = JSON.stringify(current);
    const limit = Math.max(1, magnitude(snapshots.summaries.flatMap((one) => (one ? gains(one.power) : [])), 0.8)), columns = snapshots.count, rows = BANDS.length;
    const values = snapshots.summaries.map((one) => one && gains(one.power));
    put(film, imageOf(rows, columns, (n) => {
      const value = values[n % columns]?.[rows - 1 - ((n / columns) | 0)];
      return value === undefined ? gray(60) : lab.colors.signed[clamp(Math.round(127.5 + (127.5 * value) / limit), 0, 255)];
    }));
    film.setAttribute("aria-label", "Gain by frequency at every snapshot");
    legend(ranges, -limit, limit, "dB");
    marker.style.left = `${((lab.now.n + 0.5) / columns) * 100}%`;
  }
  return { section, draw };
}

/** Returns bicubic's squared error by band, which is computed once for a scene. */
const bicubicPower = (scene) =>
  (scene.bicubicPower ||= bandPower(scene.bicubicY.map((v, n) => scene.job.target[n] - v), scene.height, scene.width));

/** Returns by how many dB the error is smaller than bicubic's in each band. */
const gainsOf = (reference, power) =>
  Array.from(power, (value, band) => 10 * Math.log10(Math.max(reference[band], 1e-15) / Math.max(value, 1e-15)));
