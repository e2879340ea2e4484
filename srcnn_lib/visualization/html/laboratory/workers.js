// The workers: threads of the page that run the network, so that the page never waits.

// What a worker needs; these functions use nothing but each other.
const ENGINE = [
  assembleRow, plainRow, Arithmetic, layersOf, runNetwork, levels, measure, onLuminance, explainPixel, fieldOf, erase,
  correlate, spread, weightOfLayer2, attributePixel, findStimuli, channelMap, peaks, bandPower, waves, patchCovariance,
  ridgeProjection, answer,
];

/** Does a job: the one entry of a worker. */
function answer(arithmetic, { kind, net, weights, scene, ...job }) {
  if (kind === "run") {
    const result = runNetwork(arithmetic, net, weights, scene), [, , height, width] = scene.inside;
    return { ...result, power: bandPower(scene.target.map((t, n) => t - result.y[n]), height, width), simd: arithmetic.simd };
  }
  if (kind === "attribute")
    return attributePixel(net, weights, job.blurred, job.patch, job.beyond, scene.luma, scene.offset);
  if (kind === "stimuli") return findStimuli(arithmetic, net, weights, job.pictures, job.layer, job.channel, job.count);
  return ridgeProjection(patchCovariance(job.pictures, job.size, job.stride), job.ridge); // "projection"
}

/**
 * Starts workers that ask `next()` for a job whenever they are free; a job is { message, done(result) }, null for none.
 * Where no worker can be started, the page does the jobs itself between its other work.
 */
function Workers(next) {
  let workers = [], alone = null;
  const source = `"use strict"; const BANDS = ${JSON.stringify(BANDS)};\n${ENGINE.join("\n")}
    const arithmetic = Arithmetic();
    onmessage = ({ data }) => {
      const result = answer(arithmetic, data);
      postMessage(result, Object.values(result).filter((value) => ArrayBuffer.isView(value)).map((value) => value.buffer));
    };`;
  try {
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const count = clamp((navigator.hardwareConcurrency || 2) - 1, 1, 4);
    workers = Array.from({ length: count }, () => start(new Worker(address)));
  } catch { fallBack(); }

  function start(thread) {
    const worker = { thread, job: null };
    thread.onmessage = ({ data }) => {
      const { job } = worker;
      worker.job = null;
      job.done(data);
      wake();
    };
    thread.onerror = (event) => { // a policy may forbid workers: that is told by an event
      event.preventDefault();
      const lost = workers.map(({ job }) => job).filter(Boolean);
      stop();
      fallBack(lost);
    };
    return worker;
  }
  function fallBack(jobs = []) {
    if (!alone) alone = { arithmetic: Arithmetic(), jobs, busy: false };
    wake();
  }
  function wake() {
    for (const worker of workers) {
      if (worker.job) continue;
      worker.job = next();
      if (!worker.job) return;
      worker.thread.postMessage(worker.job.message);
    }
    if (!alone || alone.busy) return;
    const job = alone.jobs.shift() || next();
    if (!job) return;
    alone.busy = true;
    setTimeout(() => {
      job.done(answer(alone.arithmetic, job.message));
      alone.busy = false;
      wake();
    }, 4);
  }
  function stop() {
    workers.forEach(({ thread }) => thread.terminate());
    workers = [];
  }
  return { wake, stop };
}
