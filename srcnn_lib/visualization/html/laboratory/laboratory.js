// The laboratory: one state; the network runs in workers; every panel draws what it shows of the state.

const SECONDS = 8; // from the first snapshot to the last

function start(root, data) {
  const $ = (selector, within = root) => within.querySelector(selector);
  const range = $(".track input"); // Worth has a slider of its own
  const say = (selector, text) => { $(selector).textContent = text; };
  const alone = root.parentElement === document.body && document.querySelectorAll(".srcnn-page").length === 1;
  const framed = !alone || window.self !== window.top;
  root.classList.toggle("framed", framed); // a notebook's output: picture and scrubber are seen together
  const colors = { signed: ramp(data.colors), positive: ramp(data.colors.slice(data.colors.length >> 1)) };
  let photograph = null, scene = null, snapshots = null, chart = null, timer = null, samples = null, dropped = false;
  const state = State({ run: 0, n: data.runs[0].snapshots.length - 1, view: "channels", pixel: null, layer: 1, channel: null,
    off: new Set(), swaps: new Map(), raw: true, tour: null, box: null, ...(alone ? fromFragment(location.hash, data.runs) : {}) });
  const began = performance.now();
  const { value: now } = state, run = () => data.runs[now.run], net = () => run().net;
  const workers = Workers(() => snapshots?.next() || null);

  // What the views use
  const lab = { root, data, state, now, colors, run, net, go,
    get scene() { return scene; }, get snapshots() { return snapshots; },
    ask: (message) => { const answer = snapshots.add(message); workers.wake(); return answer; },
    need: (n) => { const there = snapshots.ask(n); workers.wake(); return there; },
    samples: async () => (samples ||= await openSamples()),
    shown: () => shown, reveal };
  root.laboratory = lab; // for the browser's console, and for tests
  const views = { channels: ChannelsView(lab), pixel: PixelView(lab), worth: WorthView(lab),
    frequency: FrequencyView(lab), kernels: KernelsView(lab), stimuli: StimuliView(lab) };
  lab.explain = views.pixel.explain, lab.projection = views.kernels.projection;
  const pictures = PicturesPanel(lab), tour = TourCard(lab);

  async function openSamples() {
    const pictures = await Promise.all(data.samples.map((text) => decodePicture(fromBase64(text))));
    const degraded = pictures.map((picture) => photographOf("", picture, photograph.scale));
    const large = [photograph, ...degraded].filter(({ original }) => Math.min(original.height, original.width) >= 2 * scene.halo);
    return large.map(({ upsampled }) => ({ ...networkInput(upsampled, net().channels), shown: upsampled }));
  }

  // A scene: a run, a photograph and the place of the crop
  function begin() {
    samples = null;
    const { snapshots: list } = run();
    scene = sceneOf(photograph, net(), now.box, data.crop);
    const mine = snapshots = Snapshots(run(), scene.job, (n) => mine === snapshots && arrived(n), () => [now.n, ...now.swaps.values()]);
    mine.setWeights(run().unpacked || []);
    range.max = list.length - 1;
    root.classList.toggle("single", list.length === 1); // no training to scrub through
    state.value.n = clamp(now.n, 0, list.length - 1);
    chart?.stop();
    chart = Chart($(".chart"), list.map(({ step }) => step), curves, (n) => { play(false); go(n); });
    const names = Object.entries(curves()).map(([name, curve]) => [name, curve.title]);
    choice($(".curve"), names, (name) => { chart.draw(name); showKey(); });
    describe();
    pictures.begin();
    Object.values(views).forEach((view) => view.begin?.());
    const own = run();
    own.unpacking ||= unpackWeights(list, (weights) => {
      own.unpacked = weights;
      if (own === run()) snapshots.setWeights(weights), workers.wake();
    });
    go(now.n);
    workers.wake();
  }
  function describe() {
    const { original, notes, name } = photograph, { top, left, height, width } = scene;
    const whole = height === original.height && width === original.width;
    say(".title", data.title), say(".about", `${run().about}. Photograph: ${name}.`);
    $(".seen").hidden = !run().trained || dropped;
    const part = whole ? [] : [`Shown: a ${width}×${height} crop at x=${left + (photograph.at?.[1] || 0)}, y=${top + (photograph.at?.[0] || 0)}${
      !now.box || `${now.box}` === `${photograph.box}` ? photograph.why : ""}; click the small picture for another.`];
    say(".notes", [...notes, ...part].join(" "));
  }
  function showKey() {
    const entries = chart.key(), text = entries.map(({ textContent }) => textContent).join();
    if ($(".key").dataset.text === text) return;
    $(".key").dataset.text = text;
    $(".key").replaceChildren(...entries);
  }
  function curves() {
    const points = run().snapshots.map(({ step }, n) => [step, snapshots.summaries[n]?.psnr]).filter(([, v]) => v !== undefined);
    const bicubic = bicubicPsnr(scene);
    const label = now.off.size || now.swaps.size ? "SRCNN on this crop, with all of its own channels" : "SRCNN on this crop";
    return { crop: { title: "PSNR of this crop", unit: "dB", lines: [{ label, color: "ink", points }], rule: bicubic, log: false },
      ...run().curves };
  }

  // Going to a snapshot
  function go(n) {
    now.n = clamp(n, 0, snapshots.last);
    snapshots.want(now.n);
    workers.wake();
    const { step, epoch } = run().snapshots[now.n];
    range.value = now.n;
    say(".step", spaced(step)), say(".epoch", epoch);
    chart.point(now.n);
    draw(new Set(["n"]));
    remember();
  }
  function arrived(n) { // the result of a snapshot has come
    const { summaries, count } = snapshots, done = summaries.filter(Boolean).length;
    say(".busy", done < count ? `computing ahead: ${done} of ${count}` : "");
    chart.draw();
    if (!root.dataset.firstPicture) {
      root.dataset.firstPicture = (performance.now() - began).toFixed(0);
      for (let k = 1; k < 5; k++) setTimeout(() => snapshots.weights(now.n) && lab.explain([0, 0]), 100 * k); // compiled before the first click
    }
    if (done === count) root.dataset.complete = (performance.now() - began).toFixed(0);
    if (n === now.n || now.swaps.size) draw(new Set(["n", "arrived"]));
    else if (now.view === "frequency" || now.view === "worth") views[now.view].draw(new Set(["arrived"]));
  }

  // The picture with the channels that are on, and with those of other snapshots
  let shown = null;
  function compose() {
    const result = snapshots.result(now.n), parts = snapshots.parts(now.n);
    if (!result) return null;
    const { channels, widths: [, count] } = net(), { height, width } = scene, pixels = height * width;
    const whole = { output: result.output, y: result.y, mse: result.mse, result };
    if (!now.off.size && !now.swaps.size) return whole;
    if (!parts || [...now.swaps.values()].some((n) => !snapshots.parts(n))) {
      [now.n, ...now.swaps.values()].filter((n) => !snapshots.parts(n)).forEach((n) => lab.need(n));
      return { ...whole, late: true };
    }
    const output = result.output.slice(), change = (from, c, sign) => {
      for (let k = 0, at = c * channels * pixels; k < channels * pixels; k++) output[k] += sign * from[at + k];
    };
    for (let c = 0; c < count; c++) {
      if (!now.off.has(c) && !now.swaps.has(c)) continue;
      change(parts, c, -1);
      if (!now.off.has(c)) change(snapshots.parts(now.swaps.get(c)), c, 1);
    }
    const { luma, offset, target } = scene.job, y = new Float32Array(pixels).fill(offset);
    for (let c = 0; c < channels; c++) for (let n = 0; n < pixels; n++) y[n] += luma[c] * output[c * pixels + n];
    // Without swaps the matrix of channel_contributions.py says it; it equals the picture's own error.
    const on = Array.from({ length: count }, (_, c) => !now.off.has(c));
    return { output, y, mse: now.swaps.size ? meanSquare(y, target) : errorOfSet(result, on), result };
  }

  function draw(changed) {
    const began = performance.now();
    shown = compose();
    root.dataset.drawn = shown && !shown.late ? now.n : ""; // what the panels show; tests wait for it
    if (shown) {
      const psnr = decibelsOf(shown.mse), bicubic = bicubicPsnr(scene);
      const text = shown.mse < 1e-12 ? null : psnr, gain = shown.mse < 1e-12 || bicubic >= 120 ? null : psnr - bicubic;
      say(".psnr", decibels(text)), say(".srcnn-psnr", decibels(text));
      say(".gain", gain === null ? "" : decibels(gain, true));
      $(".gain").classList.toggle("behind", gain < 0);
      const { step, epoch } = run().snapshots[now.n];
      range.setAttribute("aria-valuetext", `step ${step}, epoch ${epoch}, ${decibels(text)}`);
    }
    pictures.draw();
    showKey();
    views[now.view].draw(changed);
    root.dataset.milliseconds = (performance.now() - began).toFixed(1);
  }

  // The state
  const region = $(".view");
  const tabs = choice($(".views"), VIEWS, (view) => { if (view !== now.view) state.set({ view }), reveal(); }, now.view);
  /** Scrolls to the view where it is below the pictures and out of sight: in one column, after a press. */
  function reveal() {
    const { top } = region.getBoundingClientRect(), columns = getComputedStyle($(".panels")).gridTemplateColumns.split(" ").length;
    const covered = $(".card").offsetHeight; // by the tour's step, which stays in sight
    root.style.setProperty("--card", `${covered}px`);
    if (columns > 1 || (top >= covered && top < 0.6 * innerHeight)) return;
    region.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }
  function openView() {
    region.replaceChildren(views[now.view].section);
    region.setAttribute("aria-label", VIEWS.find(([name]) => name === now.view)[1]);
    root.dataset.view = now.view;
    tabs.mark(now.view);
  }
  state.listen((changed) => {
    if (changed.has("view")) openView();
    if (changed.has("tour")) play(false); // a step of the tour chooses its own snapshot
    if (changed.has("run") || changed.has("box")) return begin();
    tour.draw();
    if (changed.has("n")) return go(now.n);
    draw(changed);
    remember();
  });
  function remember() {
    if (!alone || !snapshots) return;
    const text = `#${toFragment(now, run().snapshots[now.n], !dropped)}`;
    try { history.replaceState(null, "", text); } catch { /* a frame without an address */ }
  }
  addEventListener("hashchange", () => alone && state.set(fromFragment(location.hash, data.runs)));

  // Keys
  function key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { target } = event, last = snapshots.last;
    event.stopPropagation(); // a notebook would select another cell
    if (target.matches?.("input:not([type=range])")) return;
    const onRange = target.type === "range", onTile = target.matches?.(".tile"), onPicture = target.matches?.(".pictures canvas");
    const steps = { ",": -1, ".": 1, PageUp: -10, PageDown: 10 };
    if (!onTile && !onRange && !(onPicture && now.pixel)) Object.assign(steps, { ArrowLeft: -1, ArrowRight: 1, Home: -last, End: last });
    if (event.key === " " && !target.matches?.("button:not(.play)")) play(!timer);
    else if (event.key === "Escape") { now.tour !== null ? state.set({ tour: null }) : now.view === "channels" ? state.set({ channel: null }) : state.set({ pixel: null }); }
    else if (VIEWS[event.key - 1]) state.set({ view: VIEWS[event.key - 1][0] });
    else if (event.key in steps) play(false), go(now.n + steps[event.key]);
    else if (onPicture && pictures.key(event.key)) ;
    else if (!onTile && !onRange && views[now.view].key?.(event.key)) ;
    else return;
    event.preventDefault();
  }
  root.addEventListener("keydown", key);
  root.addEventListener("keyup", (event) => {
    if (event.key === " " && !event.target.matches("button:not(.play)")) event.preventDefault(); // handled when it went down
  });
  if (alone) document.addEventListener("keydown", (event) => event.target === document.body && key(event));

  // Playing
  function play(going) {
    clearInterval(timer);
    timer = null;
    if (going) {
      if (now.n === snapshots.last) go(0);
      timer = setInterval(() => {
        if (!root.isConnected || now.n >= snapshots.last) return play(false);
        if (snapshots.result(now.n)) go(now.n + 1); // waits for a snapshot that is not computed yet
      }, clamp((SECONDS * 1000) / run().snapshots.length, 60, 700));
    }
    $(".play").classList.toggle("on", going);
    $(".play").setAttribute("aria-label", going ? "Pause" : "Play");
  }
  $(".play").onclick = () => play(!timer);
  range.oninput = () => { play(false); go(Number(range.value)); };

  // Photographs
  async function open(file) {
    try {
      const picture = await decodePicture(file);
      const small = Math.min(picture.width, picture.height) < 24;
      if (small) return say(".notes", `${file.name} is too small: expected at least 24 × 24 pixels.`);
      photograph = photographOf(file.name, picture, data.scale, picture.cut ? ["Its middle 2048 pixels are used."] : []);
      photograph.why = ", chosen for much lost detail near the middle";
      dropped = true;
      state.set({ pixel: null });
      if (now.box) state.set({ box: null });
      else begin();
    } catch { say(".notes", `${file.name} can't be read as a picture.`); }
  }
  $(".open").onclick = () => $(".file").click();
  $(".file").onchange = (event) => event.target.files[0] && open(event.target.files[0]);
  root.addEventListener("dragover", (event) => { event.preventDefault(); root.classList.add("over"); });
  root.addEventListener("dragleave", () => root.classList.remove("over"));
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    root.classList.remove("over");
    const file = [...event.dataTransfer.files].find(({ type }) => type.startsWith("image/")) || event.dataTransfer.files[0];
    if (file) open(file);
  });
  $(".tour").onclick = () => state.set({ tour: now.tour === null ? 0 : null });
  $(".link").hidden = framed;
  $(".link").onclick = async () => {
    try { await navigator.clipboard.writeText(location.href); say(".link", "Copied"); } catch { say(".link", "It is in the address bar"); }
    setTimeout(() => say(".link", "Copy link"), 1500);
  };

  const several = data.runs.length > 1;
  $(".runs").hidden = !several;
  if (several) choice($(".runs"), data.runs.map(({ name }, n) => [n, name]), (n) => snapshots && state.set({ run: n, off: new Set(), swaps: new Map(), channel: null }), now.run);
  openView();
  decodePicture(fromBase64(data.photograph.picture)).then((picture) => {
    photograph = photographOf(data.photograph.name, picture, data.scale, data.photograph.notes);
    Object.assign(photograph, { at: data.photograph.at, box: data.photograph.box, why: data.photograph.why });
    now.box ||= data.photograph.box;
    begin();
    tour.draw();
  });
}
