// The snapshots of a run: their weights, unpacked, and what the network makes of the scene at each of them.

const MEMORY = 200e6; // bytes of results that are kept
const KEPT_PARTS = 8; // snapshots whose painted pictures are kept: the largest part of a result

/**
 * Unpacks the weights of a run: [Float32Array] by snapshot. Each is a zlib stream of byte planes: of float32, or of
 * float16, itself or as the difference to the snapshot before. Calls `ready(n)` after each one, the last first.
 */
async function unpackWeights(snapshots, ready) {
  const weights = [], last = snapshots.length - 1;
  let before = null;
  for (const n of [last, ...snapshots.keys()]) {
    if (weights[n] && snapshots[n].format === "float32") continue;
    const bytes = await inflate(snapshots[n].weights), planes = snapshots[n].format === "float32" ? 4 : 2;
    const count = bytes.length / planes;
    if (planes === 4) {
      const mixed = new Uint8Array(bytes.length);
      for (let p = 0; p < 4; p++) for (let k = 0; k < count; k++) mixed[4 * k + p] = bytes[p * count + k];
      weights[n] = new Float32Array(mixed.buffer);
    } else {
      const order = new Int32Array(count); // float16 in the order of its values, as integers
      for (let k = 0; k < count; k++) {
        const folded = bytes[k] | (bytes[count + k] << 8), difference = (folded >> 1) ^ -(folded & 1);
        order[k] = ((difference + (snapshots[n].format === "difference" ? before[k] : 0)) << 16) >> 16;
      }
      before = order;
      weights[n] = Float32Array.from(order, fromHalf);
    }
    ready(weights, n);
  }
  return weights;
}

async function inflate(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Returns the number of a float16 whose magnitude's 15 bits and sign are given as one integer. */
function fromHalf(order) {
  const bits = Math.abs(order), exponent = bits >> 10, fraction = bits & 1023;
  const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
  return order < 0 ? -size : size;
}

/**
 * Computes snapshots of one run over one scene, the one that is wanted first, then the others ahead of time.
 *
 * @param changed called with n when the result of snapshot n has come
 * @param shown returns the snapshots whose painted pictures are on the page, so that they are not dropped
 */
function Snapshots(run, scene, changed, shown) {
  const count = run.snapshots.length, last = count - 1;
  const results = new Map(), parts = new Map(), summaries = [], waiting = new Map();
  const limits = [null, null]; // of the maps' colors, by channel: the largest over the snapshots
  let weights = [], wanted = last, bytes = 0, urgent = [];

  /** Returns the next job for a worker: what was asked for, then the nearest snapshot without a result. */
  function next() {
    const asked = urgent.shift();
    if (asked) return asked;
    for (const n of waiting.keys()) if (!running.has(n) && weights[n]) return job(n);
    if (bytes > MEMORY) return null;
    for (let away = 0; away <= last; away++)
      for (const n of [wanted + away, wanted - away])
        if (n >= 0 && n <= last && !summaries[n] && !running.has(n) && weights[n]) return job(n);
    return null;
  }
  const running = new Set();
  function job(n) {
    running.add(n);
    return { message: { kind: "run", net: run.net, weights: weights[n], scene }, done: (result) => store(n, result) };
  }
  function store(n, { parts: painted, ...result }) {
    running.delete(n);
    if (!results.has(n)) bytes += result.maps[0].values.length + result.maps[1].values.length;
    results.set(n, result);
    parts.delete(n), parts.set(n, painted);
    const kept = new Set([last, n, ...shown()]);
    for (const old of parts.keys()) if (parts.size > KEPT_PARTS && !kept.has(old)) parts.delete(old);
    for (const old of results.keys())
      if (bytes > MEMORY && old !== n && old !== wanted && old !== last) {
        bytes -= results.get(old).maps[0].values.length + results.get(old).maps[1].values.length;
        results.delete(old);
      }
    const { mse, power, gram, linear, constant } = result;
    summaries[n] = { psnr: decibelsOf(mse), power, worth: worths({ gram, linear, constant }) };
    result.maps.forEach(({ robust }, layer) => {
      limits[layer] ||= new Float32Array(robust.length);
      robust.forEach((value, c) => { limits[layer][c] = Math.max(limits[layer][c], value); });
    });
    compare(n, result, painted);
    waiting.get(n)?.forEach((resolve) => resolve());
    waiting.delete(n);
    changed(n);
  }

  /** Fills the map of transplants: what the last network gains where one channel is taken from snapshot n. */
  function compare(n, result, painted) {
    if (!parts.has(last)) return;
    const final = results.get(last), pixels = final.y.length, channels = run.net.channels, width = run.net.widths[1];
    if (n === last) return [...parts.keys()].filter((other) => other !== last)
      .forEach((other) => compare(other, results.get(other), parts.get(other)));
    const a = onLuminance(parts.get(last), width, channels, pixels, scene.luma);
    const b = onLuminance(painted, width, channels, pixels, scene.luma), row = new Float32Array(width);
    for (let c = 0; c < width; c++) {
      let sum = 0;
      for (let k = 0, at = c * pixels; k < pixels; k++) sum += (scene.target[k] - final.y[k] + a[at + k] - b[at + k]) ** 2;
      row[c] = decibelsOf(sum / pixels) - decibelsOf(final.mse);
    }
    summaries[n].transplants = row;
  }

  /** Resolves when the result and the painted pictures of snapshot n are there. */
  function ask(n) {
    if (results.has(n) && parts.has(n)) return Promise.resolve();
    return new Promise((resolve) => waiting.set(n, [...(waiting.get(n) || []), resolve]));
  }
  return {
    next, ask, summaries, limits, count, last,
    result: (n) => results.get(n), parts: (n) => parts.get(n), weights: (n) => weights[n],
    /** Tells which snapshot is looked at. */
    want: (n) => { wanted = n; if (!results.has(n)) ask(n); },
    add: (message) => new Promise((done) => urgent.push({ message, done })),
    setWeights: (all) => { weights = all; },
  };
}

const decibelsOf = (mse) => -10 * Math.log10(Math.max(mse, 1e-12));

/** Returns what is lost without each channel alone, and its Shapley value; see channel_contributions.py. */
function worths({ gram, linear, constant }) {
  const count = linear.length, all = Array(count).fill(true), whole = errorOfSet({ gram, linear, constant }, all);
  return Array.from(linear, (b, i) => {
    let sum = 0;
    for (let j = 0; j < count; j++) sum += gram[i * count + j];
    const without = whole + 2 * b - 2 * sum + gram[i * count + i]; // c − 2bᵀs + sᵀGs with s_i = 0
    return { db: decibelsOf(whole) - decibelsOf(without), shapley: 2 * b - sum };
  });
}
