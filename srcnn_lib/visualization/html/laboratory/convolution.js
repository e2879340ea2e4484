// The convolution: WebAssembly with SIMD where the page may use it, otherwise plain JavaScript. Both compute one row of
// four output channels. These functions also run in the workers, so they use nothing from outside this file.

/**
 * Returns a WebAssembly module (bytes) with one function: a row of four output channels, eight pixels at a time.
 *
 *     row(input, weights, output, inputs, size, inputPlane, inputRow, outputPlane, blocks, floor)
 *
 * All addresses and distances are bytes. `weights` are four biases, then four weights for each tap. `floor` is 0 for a
 * ReLU, −∞ without one. Written as stack code by hand, because a page has no compiler.
 */
function assembleRow() {
  const leb = (n) => { // a number as WebAssembly stores it: seven bits a byte, signed
    const bytes = [];
    for (;;) {
      const byte = n & 127;
      n >>= 7;
      if ((n === 0 && !(byte & 64)) || (n === -1 && byte & 64)) return [...bytes, byte];
      bytes.push(byte | 128);
    }
  };
  const section = (id, content) => [id, ...unsigned(content.length), ...content];
  const unsigned = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...unsigned(n >> 7)]);
  const [input, weights, output, inputs, size, inputPlane, inputRow, outputPlane, blocks, floor] = Array(10).keys();
  const [plane, line, tap, at, channel, ky, kx, target] = Array.from({ length: 8 }, (_, n) => 10 + n);
  const sums = Array.from({ length: 8 }, (_, n) => 18 + n), [left, right, weight] = [26, 27, 28];
  const get = (local) => [0x20, local], set = (local) => [0x21, local];
  const add = (local, by) => [...get(local), ...by, 0x6a, ...set(local)], number = (n) => [0x41, ...leb(n)];
  const load = (local, offset) => [...get(local), 0xfd, 0x00, 0, ...unsigned(offset)];
  const splat = (local, offset) => [...get(local), 0xfd, 0x09, 0, ...unsigned(offset)]; // one float in all four lanes
  const multiply = [0xfd, 0xe6, 0x01], plus = [0xfd, 0xe4, 0x01], maximum = [0xfd, 0xe9, 0x01];
  const repeat = (counter, body) => // do … while (−−counter)
    [0x03, 0x40, ...body, ...get(counter), ...number(1), 0x6b, 0x22, counter, 0x0d, 0, 0x0b];

  const taps = repeat(kx, [
    ...load(tap, 0), ...set(left), ...load(tap, 16), ...set(right),
    ...[0, 1, 2, 3].flatMap((n) => [
      ...splat(at, 4 * n), ...set(weight),
      ...get(sums[2 * n]), ...get(left), ...get(weight), ...multiply, ...plus, ...set(sums[2 * n]),
      ...get(sums[2 * n + 1]), ...get(right), ...get(weight), ...multiply, ...plus, ...set(sums[2 * n + 1]),
    ]),
    ...add(at, number(16)), ...add(tap, number(4)),
  ]);
  const rows = repeat(ky, [...get(line), ...set(tap), ...get(size), ...set(kx), ...taps, ...add(line, get(inputRow))]);
  const channels = repeat(channel, [
    ...get(plane), ...set(line), ...get(size), ...set(ky), ...rows, ...add(plane, get(inputPlane)),
  ]);
  const code = repeat(blocks, [
    ...sums.flatMap((sum, n) => [...splat(weights, 4 * (n >> 1)), ...set(sum)]),
    ...get(weights), ...number(16), 0x6a, ...set(at), ...get(input), ...set(plane), ...get(inputs), ...set(channel),
    ...channels,
    ...get(output), ...set(target),
    ...[0, 1, 2, 3].flatMap((n) => [
      ...[0, 1].flatMap((half) => [
        ...get(target), ...get(sums[2 * n + half]), ...get(floor), 0xfd, 0x13, ...maximum, 0xfd, 0x0b, 0, 16 * half,
      ]),
      ...add(target, get(outputPlane)),
    ]),
    ...add(input, number(32)), ...add(output, number(32)),
  ]);
  const text = (word) => [word.length, ...[...word].map((letter) => letter.charCodeAt(0))];
  const body = [2, 8, 0x7f, 11, 0x7b, ...code, 0x0b]; // eight integers and eleven vectors beside the parameters
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [1, 0x60, 10, ...Array(9).fill(0x7f), 0x7d, 0]),
    ...section(2, [1, ...text("page"), ...text("memory"), 2, 0, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...text("row"), 0, 0]),
    ...section(10, [1, ...unsigned(body.length), ...body]),
  ]);
}

/** The same in JavaScript; addresses are indices of `floats`. */
function plainRow(floats, input, weights, output, inputs, size, inputPlane, inputRow, outputPlane, pixels, floor) {
  for (let x = 0; x < pixels; x++) {
    let a = floats[weights], b = floats[weights + 1], c = floats[weights + 2], d = floats[weights + 3];
    let at = weights + 4;
    for (let channel = 0; channel < inputs; channel++)
      for (let ky = 0; ky < size; ky++) {
        const begin = input + x + channel * inputPlane + ky * inputRow;
        for (let tap = begin; tap < begin + size; tap++, at += 4) {
          const value = floats[tap];
          a += value * floats[at], b += value * floats[at + 1], c += value * floats[at + 2], d += value * floats[at + 3];
        }
      }
    const to = output + x;
    floats[to] = Math.max(a, floor), floats[to + outputPlane] = Math.max(b, floor);
    floats[to + 2 * outputPlane] = Math.max(c, floor), floats[to + 3 * outputPlane] = Math.max(d, floor);
  }
}

/** Memory that is given out from its beginning, and the convolution over it. */
function Arithmetic() {
  let memory = null, row = null, floats = new Float32Array(1 << 20), used = 0;
  try {
    memory = new WebAssembly.Memory({ initial: 64 });
    const module = new WebAssembly.Module(assembleRow());
    row = new WebAssembly.Instance(module, { page: { memory } }).exports.row;
    floats = new Float32Array(memory.buffer);
  } catch { // a policy forbids WebAssembly, or the browser has no SIMD
    memory = row = null;
  }

  /** Reserves `count` floats and returns the index of the first; everything is free again after `reset`. */
  function reserve(count) {
    const from = used;
    used += (count + 7) & ~7;
    if (used > floats.length) {
      if (memory) {
        memory.grow(Math.ceil((used - floats.length) / 16384));
        floats = new Float32Array(memory.buffer);
      } else {
        const larger = new Float32Array(used * 1.5 | 0);
        larger.set(floats);
        floats = larger;
      }
    }
    return from;
  }

  /** Reserves `channels` planes of rows that have room for whole blocks of eight pixels; all zero. */
  function planes(channels, height, width) {
    const stride = ((width + 7) & ~7) + 8, plane = stride * height;
    const at = reserve(((channels + 3) & ~3) * plane + 64);
    floats.fill(0, at, at + ((channels + 3) & ~3) * plane + 64);
    return { at, stride, plane, height, width };
  }

  /** Writes weights (outputs, inputs, size, size) and biases in the order of `row`; returns the index. */
  function pack(weights, biases, outputs, inputs, size) {
    const taps = inputs * size * size, block = 4 * (taps + 1), at = reserve(block * Math.ceil(outputs / 4));
    floats.fill(0, at, at + block * Math.ceil(outputs / 4));
    for (let o = 0; o < outputs; o++) {
      const to = at + (o >> 2) * block + (o & 3);
      floats[to] = biases ? biases[o] : 0;
      for (let n = 0; n < taps; n++) floats[to + 4 * (n + 1)] = weights[o * taps + n];
    }
    return at;
  }

  /**
   * Convolves `inputs` planes from index `from` (of row 0, column 0 of the first) into planes from index `to`.
   * `packed` is the index that `pack` returned.
   */
  function convolve(from, source, to, result, packed, { outputs, inputs, size, height, width, relu }) {
    const block = 4 * (inputs * size * size + 1), floor = relu ? 0 : -Infinity, blocks = (width + 7) >> 3;
    for (let o = 0; o < outputs; o += 4)
      for (let y = 0; y < height; y++) {
        const a = from + y * source.stride, w = packed + (o >> 2) * block, b = to + o * result.plane + y * result.stride;
        if (row)
          row(4 * a, 4 * w, 4 * b, inputs, size, 4 * source.plane, 4 * source.stride, 4 * result.plane, blocks, floor);
        else plainRow(floats, a, w, b, inputs, size, source.plane, source.stride, result.plane, width, floor);
      }
  }
  return { reserve, planes, pack, convolve, reset: () => { used = 0; }, get floats() { return floats; }, simd: !!row };
}
