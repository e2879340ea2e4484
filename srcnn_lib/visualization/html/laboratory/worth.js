// Worth: every channel of layer 2 paints a picture, and they add up to the result. Switch them and read the dB.

const LEAST_WORTH = 0.01; // dB: where the bars begin

function WorthView(lab) {
  const { state, now } = lab;
  const section = make("div", { class: "worths" });
  let tiles = [], sheet = null, order = "worth", painted = null; // the parts whose pictures are in the tiles
  const line = make("p", { class: "sum", role: "status" }), key = make("div", { class: "worth-key muted" }), detail = make("div", { class: "detail" });

  function begin() {
    const count = lab.net().widths[1];
    sheet = make("div", { class: "sheet", role: "group", "aria-label": "Channels of layer 2: what they paint; press to switch off or on" });
    tiles = Array.from({ length: count }, (_, c) => {
      const tile = tileButton(sheet, "", "");
      tile.lastChild.replaceChildren(make("i"), make("em", {}, `${c}`), make("small"));
      tile.onclick = () => {
        const off = new Set(now.off);
        if (!off.delete(c)) off.add(c);
        state.set({ off, layer: 1, channel: c });
      };
      return tile;
    });
    rove(tiles);
    const button = (text, off) => make("button", { type: "button", class: "tool", onclick: () => state.set({ off: new Set(off()), swaps: new Map() }) }, text);
    const ranking = () => ranked(lab.snapshots.summaries[now.n]?.worth || []), all = Array.from({ length: count }, (_, c) => c), ten = Math.min(10, count - 1);
    const sort = make("div", { class: "choice", role: "group", "aria-label": "Order" });
    choice(sort, [["worth", "by worth"], ["number", "by number"]], (key) => { order = key; if (lab.snapshots) draw(); }, order);
    section.replaceChildren(make("div", { class: "top" }, make("h3", {}, "What each channel paints, and its worth in dB"), sort),
      make("div", { class: "presets" }, button("All", () => []), button(ten === 10 ? "The ten that matter" : `The ${ten} that matter`, () => ranking().slice(ten)),
        button("The rest", () => ranking().slice(0, ten)), button("None", () => all)), line, sheet, key, detail);
    painted = null;
    delete detail.dataset.channel; // of another run
  }

  function draw() {
    const { snapshots, scene } = lab, result = snapshots?.result(now.n), parts = snapshots?.parts(now.n);
    if (!result) return;
    if (!parts) return lab.need(now.n);
    const { worth } = snapshots.summaries[now.n], { height, width } = scene, pixels = height * width, { channels, widths: [, count] } = lab.net();
    const lumas = onLuminance(parts, count, channels, pixels, scene.job.luma), places = ranked(worth);
    const most = Math.max(...worth.map(({ db }) => Math.abs(db)), 10 * LEAST_WORTH);
    const psnr = decibelsOf(result.mse), shown = lab.shown(), on = count - now.off.size;
    line.replaceChildren(make("b", {}, decibels(decibelsOf(shown.mse))), ` with ${on} of ${count} channels`,
      shown.mse === result.mse ? "" : make("span", { class: "muted" }, `, ${decibels(decibelsOf(shown.mse) - psnr, true)} against all`),
      make("small", { class: "muted" }, aboutSet(result, decibelsOf(shown.mse))));
    line.dataset.psnr = decibelsOf(shown.mse);
    // A carrier is worth up to 25 dB, the others tenths of one: on a linear scale their bars could not be seen.
    const length = (db) => Math.log10(Math.max(Math.abs(db), LEAST_WORTH) / LEAST_WORTH) / Math.log10(most / LEAST_WORTH);
    drawKey(length, most);
    if (painted !== parts) tiles.forEach((tile, c) => {
      const own = lumas.subarray(c * pixels, (c + 1) * pixels);
      put(tile.firstChild, signedImage(own, height, width, Math.max(0.02, magnitude(own, 0.99)), lab.colors.signed));
    });
    painted = parts;
    tiles.forEach((tile, c) => {
      const { db } = worth[c], off = now.off.has(c);
      tile.style.order = order === "worth" ? places.indexOf(c) : c;
      tile.setAttribute("aria-pressed", !off);
      tile.setAttribute("aria-label", `Channel ${c}, worth ${decibels(db)}, ${off ? "off" : "on"}`);
      tile.classList.toggle("chosen", now.layer === 1 && now.channel === c);
      const [bar, , text] = tile.lastChild.children;
      bar.style.width = `${100 * length(db)}%`;
      tile.lastChild.classList.toggle("harm", db < -LEAST_WORTH / 2);
      text.textContent = fixed(db, 2);
    });
    drawDetail(lumas, worth);
  }

  /** Says why a set without the channels that carry the picture gives what no channel at all gives. */
  function aboutSet(result, psnr) {
    const count = lab.net().widths[1], none = decibelsOf(errorOfSet(result, Array(count).fill(false)));
    if (now.swaps.size || !now.off.size || Math.abs(psnr - none) > 0.1) return "";
    return now.off.size === count
      ? "Without any channel the picture is the constant b₃ of layer 3, the same everywhere and almost black."
      : `As without any channel (${decibels(none)}): these channels paint corrections of a few levels, and the picture that they correct is switched off.`;
  }

  function drawKey(length, most) {
    const ticks = [0.01, 0.1, 1, 10].filter((db) => length(db) < 0.75), scale = make("span", { class: "scale" }, make("i"));
    for (const db of [...ticks, most]) {
      const tick = make("span", {}, `${db === most ? fixed(db, 2) : db}`);
      tick.style.left = `${100 * length(db)}%`;
      scale.append(tick);
    }
    key.replaceChildren(
      make("span", {}, make("i", { class: "swatch" }), "orange, from the left: what is lost without this channel"),
      make("span", {}, make("i", { class: "swatch harm" }), "blue, from the right: what is gained without it"),
      make("span", { class: "lengths" }, "length of the bars, logarithmic, in dB: ", scale));
  }

  function drawDetail(lumas, worth) {
    const { snapshots, scene } = lab, { height, width } = scene, pixels = height * width, count = worth.length, last = snapshots.last;
    const c = now.layer === 1 && now.channel !== null ? now.channel : ranked(worth)[0];
    if (detail.dataset.channel !== `${c}`) {
      detail.dataset.channel = c;
      delete detail.dataset.map;
      const range = make("input", { type: "range", min: -1, max: last, step: 1, "aria-label": `Snapshot that channel ${c} is taken from`,
        oninput: (event) => {
          const swaps = new Map(now.swaps), from = Number(event.target.value);
          if (from < 0) swaps.delete(c);
          else swaps.set(c, from);
          state.set({ swaps, layer: 1, channel: c });
        } });
      detail.replaceChildren(
        make("figure", {}, make("canvas", { class: "painted", role: "img", "aria-label": `What channel ${c} paints` }),
          make("figcaption", {}, make("b", {}, `Channel ${c}`), make("span", { class: "muted about-worth" }), make("span", { class: "legend signed painted-range" }))),
        make("div", { class: "swap" }, make("h4", {}, "Take the channel from another snapshot"), range, make("p", { class: "muted swap-text" }),
          make("h4", {}, "When each channel became useful"), make("div", { class: "transplant-map" }),
          make("span", { class: "legend signed transplant-range" }), make("p", { class: "muted transplant-text" })));
      const transplants = make("canvas", { class: "transplants", role: "img",
        "aria-label": "For each channel and snapshot: dB of the last network with that channel taken from the snapshot" });
      detail.querySelector(".transplant-map").append(transplants);
      detail.querySelector(".transplants").onclick = (event) => {
        const { left, top, width: w, height: h } = event.currentTarget.getBoundingClientRect(), worths = snapshots.summaries[last].worth;
        state.set({ layer: 1, channel: ranked(worths)[clamp(Math.floor(((event.clientY - top) / h) * count), 0, count - 1)] });
        lab.go(Math.floor(((event.clientX - left) / w) * (last + 1)));
      };
    }
    const own = lumas.subarray(c * pixels, (c + 1) * pixels), limit = Math.max(0.004, magnitude(own, 0.995)), sum = worth.reduce((total, { shapley }) => total + shapley, 0);
    put(detail.querySelector(".painted"), signedImage(own, height, width, limit, lab.colors.signed));
    legend(detail.querySelector(".painted-range"), -limit, limit, "levels");
    const share = sum > 0
      ? ` Its fair share of the error that all channels remove together: ${percent(worth[c].shapley / sum)} (Shapley value: the mean over all orders in which the channels could be switched on).`
      : " At this step all channels together remove no error yet.";
    detail.querySelector(".about-worth").textContent = ` without it ${decibels(-worth[c].db, true)}.${share}`;
    const from = now.swaps.get(c), steps = lab.run().snapshots;
    detail.querySelector(".swap input").value = from ?? -1;
    detail.querySelector(".swap-text").textContent = from === undefined ? "Now its own. Move the slider to put the channel of an earlier network into this one, and read the dB above."
      : `From step ${spaced(steps[from].step)}: ${decibels(decibelsOf(lab.shown().mse))}`;
    drawTransplants(c);
  }

  function drawTransplants(chosen) {
    const { summaries, last } = lab.snapshots, canvas = detail.querySelector(".transplants"), final = summaries[last];
    if (!final || !last) return;
    const places = ranked(final.worth), count = places.length, all = summaries.flatMap((one) => (one?.transplants ? [...one.transplants] : []));
    const limit = Math.max(0.05, magnitude(all, 0.9)), columns = last + 1;
    put(canvas, imageOf(count, columns, (n) => {
      const row = summaries[n % columns]?.transplants, value = n % columns === last ? 0 : row?.[places[(n / columns) | 0]];
      if (value === undefined) return gray(60);
      return lab.colors.signed[clamp(Math.round(127.5 + (127.5 * value) / limit), 0, 255)];
    }));
    const named = places.filter((_, place) => place % Math.ceil(count / 8) === 0);
    if (detail.dataset.map !== `${places}`) {
      detail.dataset.map = places;
      detail.querySelector(".transplant-map").replaceChildren(heatMap(canvas, snapshotAxis(lab.run().snapshots),
        { title: "channel, the one worth most first", ticks: named.map((channel) => [(places.indexOf(channel) + 0.5) / count, `${channel}`]) }));
    }
    legend(detail.querySelector(".transplant-range"), -limit, limit, "dB");
    detail.querySelector(".transplant-text").textContent =
      `What the last network gains (orange) or loses (blue) with the channel as it was at a step; black: no difference any more. Channel ${chosen} is in row ${places.indexOf(chosen) + 1}.`;
  }
  return { section, begin, draw };
}

/** Returns the channels, the one worth most first. */
const ranked = (worth) => worth.map(({ db }, c) => [db, c]).sort((a, b) => b[0] - a[0]).map(([, c]) => c);
