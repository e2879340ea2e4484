// One pixel, exactly: while its ReLUs stand still the network is one filter, so every question has a finite answer.

/**
 * Runs layers 1 and 2 for the field of one pixel and finds the pixel's filter.
 *
 * @param patch Float64Array (C, n, n), n = 17 for 9-5-5, the network's input around the pixel
 * @param beyond [top, left, bottom, right] rows and columns of the patch that lie outside the picture, where a network
 *   with zero padding has no values; null for one that repeats the border
 * @param luma the weights of Y
 * @returns { filter (C, n, n), channels: what each of layer 2 adds, inputs: what each of layer 1 adds, value, constant,
 *   active: [open ReLUs, all] of both layers }; filter · patch + constant = value = Σ channels + base
 */
function explainPixel(net, weights, patch, beyond, luma, offset) {
  const layers = layersOf(net, weights), [one, two, three] = layers;
  const field = fieldOf(net, layers, patch, beyond);
  const { before1, before2, side, side1, side2 } = field, count1 = one.outputs, count2 = two.outputs;
  const pixels1 = side1 * side1, pixels2 = side2 * side2, open = [0, 0];

  // 1. Backwards: the weight of each value of layer 2 …
  const weight2 = weightOfLayer2(net, three, luma);
  const channels = new Float64Array(count2);
  let base = offset, constant;
  for (let k = 0; k < net.channels; k++) base += luma[k] * three.bias[k];
  constant = base;
  for (let c = 0; c < count2; c++)
    for (let n = 0; n < pixels2; n++) {
      const at = c * pixels2 + n;
      if (before2[at] > 0) open[1]++, channels[c] += weight2[at] * before2[at], constant += weight2[at] * two.bias[c];
      else weight2[at] = 0;
    }
  // … of each value of layer 1 …
  const weight1 = spread(weight2, two, side2, side1), inputs = new Float64Array(count1);
  for (let c = 0; c < count1; c++)
    for (let n = 0; n < pixels1; n++) {
      const at = c * pixels1 + n;
      if (before1[at] > 0) open[0]++, inputs[c] += weight1[at] * before1[at], constant += weight1[at] * one.bias[c];
      else weight1[at] = 0;
    }
  // … and of each pixel: the filter.
  const filter = spread(weight1, one, side1, side);
  if (beyond) erase(filter, net.channels, side, beyond, 0, 0);
  const value = channels.reduce((a, b) => a + b, base);
  return { filter, channels, inputs, value, constant, base, side,
    active: [[open[0], before1.length], [open[1], before2.length]] };
}

/** Returns the values of layers 1 and 2 before their ReLU in the field of one pixel. */
function fieldOf(net, layers, patch, beyond) {
  const [one, two, three] = layers, side2 = three.size, side1 = side2 + two.size - 1, side = side1 + one.size - 1;
  const before1 = correlate(patch, one, side, side1);
  if (beyond) erase(before1, one.outputs, side1, beyond, (one.size - 1) / 2);
  const before2 = correlate(before1.map((v) => (v > 0 ? v : 0)), two, side1, side2);
  if (beyond) erase(before2, two.outputs, side2, beyond, (one.size + two.size - 2) / 2);
  return { before1, before2, side, side1, side2 };
}

/** Sets values outside the picture to −∞, which a ReLU turns to nothing: there is no such value. */
function erase(values, channels, side, [top, left, bottom, right], inset, by = -Infinity) {
  const from = (n) => Math.max(0, n - inset);
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++)
        if (y < from(top) || x < from(left) || y >= side - from(bottom) || x >= side - from(right))
          values[(c * side + y) * side + x] = by;
}

/** Convolves (inputs, from, from) to (outputs, to, to) with a layer's kernels and biases. */
function correlate(values, { weight, bias, inputs, outputs, size }, from, to) {
  const result = new Float64Array(outputs * to * to), field = new Float64Array(inputs * size * size);
  for (let y = 0; y < to; y++)
    for (let x = 0; x < to; x++) {
      let n = 0;
      for (let i = 0; i < inputs; i++)
        for (let ky = 0; ky < size; ky++)
          for (let kx = 0, at = (i * from + y + ky) * from + x; kx < size; kx++) field[n++] = values[at + kx];
      for (let o = 0, w = 0; o < outputs; o++) {
        let sum = bias[o];
        for (let k = 0; k < n; k++) sum += weight[w++] * field[k];
        result[(o * to + y) * to + x] = sum;
      }
    }
  return result;
}

/** The transpose: carries weights (outputs, from, from) of a layer's results to its inputs, (inputs, to, to). */
function spread(values, { weight, inputs, outputs, size }, from, to) {
  const result = new Float64Array(inputs * to * to), field = new Float64Array(inputs * size * size);
  for (let y = 0; y < from; y++)
    for (let x = 0; x < from; x++) {
      field.fill(0);
      for (let o = 0, w = 0; o < outputs; o++, w += field.length) {
        const factor = values[(o * from + y) * from + x];
        if (factor) for (let n = 0; n < field.length; n++) field[n] += factor * weight[w + n];
      }
      for (let i = 0, n = 0; i < inputs; i++)
        for (let ky = 0; ky < size; ky++)
          for (let kx = 0, at = (i * to + y + ky) * to + x; kx < size; kx++) result[at + kx] += field[n++];
    }
  return result;
}

/** Returns the weight on Y of each value of layer 2 in the field of a pixel, (C₂, size, size). */
function weightOfLayer2(net, three, luma) {
  const result = new Float64Array(three.taps);
  for (let k = 0; k < net.channels; k++)
    for (let n = 0; n < three.taps; n++) result[n] += luma[k] * three.weight[k * three.taps + n];
  return result;
}

/**
 * Integrates the gradient of a pixel from a blurred patch to the patch itself, exactly: on the straight line every value
 * of layer 1 switches at most once, between these places layer 2 is linear, and the length on which both ReLUs of a pair
 * are open is all that is needed.
 *
 * @returns { map (n, n), the sum over the colors; start, end: the pixel's Y for both; switches }
 */
function attributePixel(net, weights, blurred, patch, beyond, luma, offset) {
  const layers = layersOf(net, weights), [one, two, three] = layers;
  const first = fieldOf(net, layers, blurred, beyond), last = fieldOf(net, layers, patch, beyond);
  const { side, side1, side2 } = last, taps = two.taps, count2 = two.outputs;
  const weight2 = weightOfLayer2(net, three, luma), total = new Float64Array(last.before1.length);
  const index = new Int32Array(taps), a = new Float64Array(taps), b = new Float64Array(taps);
  let switches = 0;
  for (let n = 0; n < total.length; n++) if (first.before1[n] > 0 !== last.before1[n] > 0) switches++;
  for (let row = 0; row < side2; row++)
    for (let column = 0; column < side2; column++) {
      if (last.before2[row * side2 + column] === -Infinity) continue;
      // 1. The field of layer 1 below this place, and where each of its values switches.
      for (let i = 0, n = 0; i < two.inputs; i++)
        for (let ky = 0; ky < two.size; ky++)
          for (let kx = 0; kx < two.size; kx++, n++) {
            index[n] = (i * side1 + row + ky) * side1 + column + kx;
            a[n] = first.before1[index[n]], b[n] = last.before1[index[n]];
          }
      const events = [];
      for (let n = 0; n < taps; n++) if (a[n] > 0 !== b[n] > 0) events.push([a[n] / (a[n] - b[n]), n]);
      events.sort((p, q) => p[0] - q[0]);
      const places = [0, ...events.map(([place]) => place), 1], order = new Int32Array(taps).fill(-1);
      events.forEach(([, n], k) => { order[n] = k + 1; });
      // 2. Layer 2 at these places, by adding what changes its slope, and the length up to each on which it is positive.
      const steps = places.length;
      for (let o = 0; o < count2; o++) {
        const w = o * taps, gain = weight2[(o * side2 + row) * side2 + column];
        let value = two.bias[o], slope = 0;
        for (let n = 0; n < taps; n++)
          if (a[n] > 0) value += two.weight[w + n] * a[n], slope += two.weight[w + n] * (b[n] - a[n]);
        const length = new Float64Array(steps);
        for (let k = 1; k < steps; k++) {
          const width = places[k] - places[k - 1], next = value + slope * width;
          const positive = Math.max(value, 0) + Math.max(next, 0), size = Math.abs(value) + Math.abs(next);
          length[k] = length[k - 1] + (size > 0 ? (positive / size) * width : 0);
          if (value > 0 !== next > 0) switches++;
          value = next;
          if (k <= events.length) {
            const n = events[k - 1][1], change = two.weight[w + n] * (b[n] - a[n]);
            slope += b[n] > 0 ? change : -change;
          }
        }
        // 3. For each value of layer 1: the length on which both are open.
        for (let n = 0; n < taps; n++) {
          const k = order[n];
          if (k < 0 && !(a[n] > 0)) continue;
          const both = k < 0 ? length[steps - 1] : b[n] > 0 ? length[steps - 1] - length[k] : length[k];
          total[index[n]] += gain * two.weight[w + n] * both;
        }
      }
    }
  const gradient = spread(total, one, side1, side), map = new Float64Array(side * side);
  for (let c = 0; c < net.channels; c++)
    for (let n = 0; n < map.length; n++)
      map[n] += gradient[c * map.length + n] * (patch[c * map.length + n] - blurred[c * map.length + n]);
  const base = three.bias.reduce((sum, bias, k) => sum + luma[k] * bias, offset);
  const valueOf = ({ before2 }) => before2.reduce((sum, v, n) => (v > 0 ? sum + v * weight2[n] : sum), base);
  return { map, start: valueOf(first), end: valueOf(last), switches, side };
}
