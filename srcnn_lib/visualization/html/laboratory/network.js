// The network over a crop of a picture: what every layer answers, what each channel paints, how good it is.

/** Returns the three layers of a network as views of its flat weights (layer_1.weight, layer_1.bias, layer_2…). */
function layersOf(net, weights) {
  const sizes = [net.channels, ...net.widths, net.channels];
  let at = 0;
  return net.filters.map((size, n) => {
    const inputs = sizes[n], outputs = sizes[n + 1], taps = inputs * size * size;
    const layer = { inputs, outputs, size, taps, weight: weights.subarray(at, at + outputs * taps) };
    layer.bias = weights.subarray(at + outputs * taps, at + outputs * (taps + 1));
    at += outputs * (taps + 1);
    return layer;
  });
}

/**
 * Runs a network over a scene.
 *
 * @param arithmetic from `Arithmetic()`
 * @param net { channels, filters, widths, zeros }
 * @param scene { window: Float32Array (C, H, W), size: [H, W], inside: [top, left, height, width] of the crop in it,
 *   target: Float32Array, the original's Y, luma: weights of Y, offset }
 * @returns what the page shows of a snapshot: see `measure`
 */
function runNetwork(arithmetic, net, weights, scene) {
  const [one, two, three] = layersOf(net, weights), [top, left, height, width] = scene.inside;
  const [fullHeight, fullWidth] = scene.size;
  arithmetic.reset();

  // 1. The picture, with zeros around it where the border rule says so.
  const around = (layer) => (net.zeros ? (layer.size - 1) / 2 : 0);
  let margin = around(one);
  const picture = arithmetic.planes(net.channels, fullHeight + 2 * margin, fullWidth + 2 * margin);
  for (let c = 0; c < net.channels; c++)
    for (let y = 0; y < fullHeight; y++)
      arithmetic.floats.set(scene.window.subarray((c * fullHeight + y) * fullWidth, (c * fullHeight + y + 1) * fullWidth),
        picture.at + c * picture.plane + (y + margin) * picture.stride + margin);

  // 2. Layers 1 and 2. Without zeros each makes the picture smaller by its filter.
  function run(layer, source, rows, columns, next) {
    const edge = around(next), height = net.zeros ? rows : rows - layer.size + 1;
    const width = net.zeros ? columns : columns - layer.size + 1;
    const result = arithmetic.planes(layer.outputs, height + 2 * edge, width + 2 * edge);
    const packed = arithmetic.pack(layer.weight, layer.bias, layer.outputs, layer.inputs, layer.size);
    const to = result.at + edge * result.stride + edge;
    arithmetic.convolve(source.at, source, to, result, packed, { ...layer, height, width, relu: true });
    if (edge) // the last block of eight may have written over the zeros at the right
      for (let n = 0; n < layer.outputs * result.height; n++) {
        const end = result.at + (n + 1) * result.stride;
        arithmetic.floats.fill(0, end - result.stride + edge + width, end);
      }
    return { ...result, rows: height, columns: width, edge };
  }
  const first = run(one, picture, fullHeight, fullWidth, two);
  const second = run(two, first, first.rows, first.columns, three);

  // 3. What each channel of layer 2 paints: its own map through its own kernels of layer 3.
  const inset = net.zeros ? [top, left] : [0, 0]; // of the crop in what is left of the window
  const reach = (three.size - 1) / 2, taps = three.size ** 2, pixels = height * width, count = two.outputs;
  const parts = new Float32Array(count * net.channels * pixels);
  const painted = arithmetic.planes(4, height, width), kernel = new Float32Array(net.channels * taps);
  const packed = arithmetic.reserve(4 * (taps + 1));
  const settings = { outputs: net.channels, inputs: 1, size: three.size, height, width, relu: false };
  const row = inset[0] + second.edge - (net.zeros ? reach : 0), column = inset[1] + second.edge - (net.zeros ? reach : 0);
  for (let c = 0; c < count; c++) {
    const floats = arithmetic.floats;
    floats.fill(0, packed, packed + 4 * (taps + 1));
    for (let k = 0; k < net.channels; k++)
      for (let n = 0; n < taps; n++) floats[packed + 4 * (n + 1) + k] = three.weight[(k * count + c) * taps + n];
    const from = second.at + c * second.plane + row * second.stride + column;
    arithmetic.convolve(from, second, painted.at, painted, packed, settings);
    for (let k = 0; k < net.channels; k++)
      for (let y = 0; y < height; y++) {
        const at = painted.at + k * painted.plane + y * painted.stride;
        parts.set(floats.subarray(at, at + width), (c * net.channels + k) * pixels + y * width);
      }
  }

  // 4. The maps in 256 levels of their own largest value, for the eye.
  const shrink = net.zeros ? 0 : (two.size - 1) / 2 + reach;
  const place = (planes, by) => planes.at + (planes.edge + inset[0] + by) * planes.stride + planes.edge + inset[1] + by;
  const maps = [levels(arithmetic.floats, place(first, shrink), first, one.outputs, height, width),
    levels(arithmetic.floats, place(second, net.zeros ? 0 : reach), second, count, height, width)];
  return { maps, parts, ...measure(parts, three.bias, count, net.channels, height, width, scene) };
}

/** Returns maps as bytes with the largest value of each, and a robust one that a pixel in a thousand exceeds. */
function levels(floats, at, planes, channels, height, width) {
  const values = new Uint8Array(channels * height * width), peaks = new Float32Array(channels);
  const robust = new Float32Array(channels), beyond = Math.floor((height * width) / 1000) + 1;
  for (let c = 0, to = 0; c < channels; c++) {
    let peak = 0;
    for (let y = 0; y < height; y++)
      for (let x = 0, from = at + c * planes.plane + y * planes.stride; x < width; x++)
        if (floats[from + x] > peak) peak = floats[from + x];
    const ratio = peak > 0 ? 255 / peak : 0, counts = new Int32Array(256);
    for (let y = 0; y < height; y++)
      for (let x = 0, from = at + c * planes.plane + y * planes.stride; x < width; x++) {
        const level = Math.round(floats[from + x] * ratio);
        values[to++] = level, counts[level]++;
      }
    let level = 255, seen = 0;
    while (level > 0 && (seen += counts[level]) < beyond) level--;
    peaks[c] = peak, robust[c] = (peak * level) / 255;
  }
  return { values, peaks, robust };
}

/**
 * Measures what the channels paint. With e = t − y the error on Y and p_c the pictures on Y, the mean squared error of
 * every set of channels follows from the matrix G = mean(p_i p_j), b = mean(p_i (t − b₃)) and c = mean((t − b₃)²).
 *
 * @returns { output (C, h, w), y (h, w), mse, gram (n, n), linear (n), constant }
 */
function measure(parts, bias, count, channels, height, width, scene) {
  const pixels = height * width, output = new Float32Array(channels * pixels), y = new Float32Array(pixels);
  for (let k = 0; k < channels; k++) output.fill(bias[k], k * pixels, (k + 1) * pixels);
  for (let c = 0; c < count; c++)
    for (let n = 0, from = c * channels * pixels; n < channels * pixels; n++) output[n] += parts[from + n];
  const lumas = onLuminance(parts, count, channels, pixels, scene.luma);
  let base = scene.offset;
  for (let k = 0; k < channels; k++) base += scene.luma[k] * bias[k];
  const rest = new Float32Array(pixels), gram = new Float64Array(count * count), linear = new Float64Array(count);
  let constant = 0, mse = 0;
  y.fill(base);
  for (let c = 0; c < count; c++) for (let n = 0; n < pixels; n++) y[n] += lumas[c * pixels + n];
  for (let n = 0; n < pixels; n++) {
    rest[n] = scene.target[n] - base;
    constant += rest[n] * rest[n];
    mse += (scene.target[n] - y[n]) ** 2;
  }
  for (let i = 0; i < count; i++) {
    const a = lumas.subarray(i * pixels, (i + 1) * pixels);
    for (let n = 0; n < pixels; n++) linear[i] += a[n] * rest[n];
    linear[i] /= pixels;
    for (let j = i; j < count; j++) {
      const b = lumas.subarray(j * pixels, (j + 1) * pixels);
      let sum = 0;
      for (let n = 0; n < pixels; n++) sum += a[n] * b[n];
      gram[i * count + j] = gram[j * count + i] = sum / pixels;
    }
  }
  return { output, y, mse: mse / pixels, gram, linear, constant: constant / pixels, base };
}

/** Returns what channels paint on Y, (n, pixels); of a Y network `parts` itself. */
function onLuminance(parts, count, channels, pixels, luma) {
  if (channels === 1) return parts;
  const lumas = new Float32Array(count * pixels);
  for (let c = 0; c < count; c++)
    for (let k = 0; k < channels; k++)
      for (let n = 0, from = (c * channels + k) * pixels; n < pixels; n++) lumas[c * pixels + n] += luma[k] * parts[from + n];
  return lumas;
}

/** Returns the mean squared error with a set of channels: c − 2 bᵀs + sᵀG s. */
function errorOfSet({ gram, linear, constant }, on) {
  const count = linear.length;
  let error = constant;
  for (let i = 0; i < count; i++) {
    if (!on[i]) continue;
    let sum = -2 * linear[i];
    for (let j = 0; j < count; j++) if (on[j]) sum += gram[i * count + j];
    error += sum;
  }
  return Math.max(error, 0);
}
