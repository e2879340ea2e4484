// What excites a channel: the places of sample pictures where it answers most, and its average stimulus.

/**
 * @param pictures [{ data, channels, height, width }] in the network's channels
 * @param layer 0 or 1
 * @returns { places: [{ picture, top, left, value }] of the receptive field, largest value first; average, mean (C, s, s):
 *   the mean patch weighted by activation, and the plain one; side; active: share of places where it is active }
 */
function findStimuli(arithmetic, net, weights, pictures, layer, channel, count) {
  const [one, two] = layersOf(net, weights), size = layer ? one.size + two.size - 1 : one.size;
  const average = new Float64Array(net.channels * size * size), mean = average.slice(), candidates = [];
  let activation = 0, active = 0, total = 0;
  pictures.forEach((picture, number) => {
    const { values, height, width } = channelMap(arithmetic, net, one, two, picture, layer, channel);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const value = values[y * width + x];
        const sampled = !((y | x) & 3); // the plain mean needs no more than every fourth row and column
        if (!(value > 0) && !sampled) continue;
        if (value > 0) active++, activation += value;
        if (sampled) total++;
        for (let c = 0, n = 0; c < net.channels; c++)
          for (let ky = 0; ky < size; ky++)
            for (let kx = 0, at = (c * picture.height + y + ky) * picture.width + x; kx < size; kx++, n++) {
              if (value > 0) average[n] += value * picture.data[at + kx];
              if (sampled) mean[n] += picture.data[at + kx];
            }
      }
    candidates.push(...peaks(values, height, width, size >> 1, count).map((peak) => ({ picture: number, ...peak })));
  });
  const places = candidates.sort((a, b) => b.value - a.value).slice(0, count);
  const all = pictures.reduce((sum, { height, width }) => sum + (height - size + 1) * (width - size + 1), 0);
  for (let n = 0; n < mean.length; n++) mean[n] /= total, average[n] = activation ? average[n] / activation : mean[n];
  return { places, average, mean, side: size, active: active / all };
}

/** Returns one channel's map over a picture, without a surround: (H − s + 1, W − s + 1). */
function channelMap(arithmetic, net, one, two, picture, layer, channel) {
  arithmetic.reset();
  const { height, width } = picture, source = arithmetic.planes(net.channels, height, width);
  for (let n = 0; n < net.channels * height; n++)
    arithmetic.floats.set(picture.data.subarray(n * width, (n + 1) * width), source.at + n * source.stride);
  const only = (layer, n) => ({ ...layer, outputs: 1, weight: layer.weight.subarray(n * layer.taps, (n + 1) * layer.taps),
    bias: layer.bias.subarray(n, n + 1) });
  const run = (layer, from) => {
    const height = from.height - layer.size + 1, width = from.width - layer.size + 1;
    const result = arithmetic.planes(layer.outputs, height, width);
    const packed = arithmetic.pack(layer.weight, layer.bias, layer.outputs, layer.inputs, layer.size);
    arithmetic.convolve(from.at, from, result.at, result, packed, { ...layer, height, width, relu: true });
    return result;
  };
  const map = layer ? run(only(two, channel), run(one, source)) : run(only(one, channel), source);
  const values = new Float32Array(map.height * map.width);
  for (let y = 0; y < map.height; y++) {
    const at = map.at + y * map.stride;
    values.set(arithmetic.floats.subarray(at, at + map.width), y * map.width);
  }
  return { values, height: map.height, width: map.width };
}

/** Returns the largest positive values of a map that are more than `distance` pixels apart. */
function peaks(values, height, width, distance, count) {
  const rest = values.slice(), found = [];
  while (found.length < count) {
    let best = 0;
    for (let n = 1; n < rest.length; n++) if (rest[n] > rest[best]) best = n;
    if (!(rest[best] > 0)) break;
    const top = (best / width) | 0, left = best % width;
    found.push({ top, left, value: rest[best] });
    for (let y = Math.max(0, top - distance); y <= Math.min(height - 1, top + distance); y++)
      rest.fill(0, y * width + Math.max(0, left - distance), y * width + Math.min(width, left + distance + 1));
  }
  return found;
}
