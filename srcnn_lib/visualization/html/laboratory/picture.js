// Pictures as numbers: bicubic interpolation as torch does it, color, blur, spectra, statistics of patches.

/** Returns for each place of a resized line where its weights begin and what they are (Keys, a = −0.5, antialiased). */
function bicubicWeights(from, to) {
  const scale = from / to, stretch = Math.max(scale, 1), support = 2 * stretch;
  const keys = (x) => {
    x = Math.abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  };
  return Array.from({ length: to }, (_, n) => {
    const center = scale * (n + 0.5), begin = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(from, Math.trunc(center + support + 0.5));
    const weights = Array.from({ length: end - begin }, (_, k) => keys((k + begin - center + 0.5) / stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    return [begin, weights.map((weight) => weight / sum)];
  });
}

/** Resizes planes (C, h, w) to (C, rows, columns). The result is not clamped. */
function resize({ data, channels, height, width }, rows, columns) {
  const across = bicubicWeights(width, columns), down = bicubicWeights(height, rows);
  const middle = new Float64Array(channels * height * columns), result = new Float32Array(channels * rows * columns);
  for (let line = 0; line < channels * height; line++)
    for (let x = 0; x < columns; x++) {
      const [begin, weights] = across[x];
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * data[line * width + begin + k];
      middle[line * columns + x] = sum;
    }
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < rows; y++) {
      const [begin, weights] = down[y];
      for (let x = 0; x < columns; x++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k] * middle[(c * height + begin + k) * columns + x];
        result[(c * rows + y) * columns + x] = sum;
      }
    }
  return { data: result, channels, height: rows, width: columns };
}

/** Reduces a picture and enlarges it again: { original, upsampled }, cropped to round(floor(length / scale) · scale). */
function degrade(picture, scale) {
  const floor = (length) => Math.max(1, Math.floor(length + 1e-9));
  const low = [picture.height, picture.width].map((length) => floor(length / scale));
  const [height, width] = low.map((length) => floor(length * scale + 0.5));
  const original = crop(picture, 0, 0, Math.min(height, picture.height), Math.min(width, picture.width));
  const reduced = resize(original, ...low);
  return { original, upsampled: resize(reduced, original.height, original.width) };
}

/** Cuts a box out of planes. With `repeat` it may reach over the border, whose pixels are repeated. */
function crop({ data, channels, height, width }, top, left, rows, columns, repeat = false) {
  const result = new Float32Array(channels * rows * columns);
  const inside = (n, last) => (repeat ? Math.min(last, Math.max(0, n)) : n);
  for (let c = 0, to = 0; c < channels; c++)
    for (let y = 0; y < rows; y++) {
      const line = (c * height + inside(top + y, height - 1)) * width;
      for (let x = 0; x < columns; x++) result[to++] = data[line + inside(left + x, width - 1)];
    }
  return { data: result, channels, height: rows, width: columns };
}

// BT.601 in studio range, as srcnn_lib/data/color.py.
const Y_WEIGHTS = [65.481 / 255, 128.553 / 255, 24.966 / 255], Y_OFFSET = 16 / 255;
const LUMA = [0.299, 0.587, 0.114];

/** Returns the Y of a picture, (h · w); a gray picture is its own Y. */
function luminance({ data, channels, height, width }) {
  const pixels = height * width, y = new Float32Array(pixels);
  if (channels === 1) return data.slice();
  for (let n = 0; n < pixels; n++)
    y[n] = Y_OFFSET + Y_WEIGHTS[0] * data[n] + Y_WEIGHTS[1] * data[pixels + n] + Y_WEIGHTS[2] * data[2 * pixels + n];
  return y;
}

/** Returns what a network sees of a picture: its Y, or RGB, which of a gray picture is three equal planes. */
function networkInput(picture, channels) {
  if (picture.channels === channels) return picture;
  const { height, width } = picture, plane = luminance(picture);
  if (channels === 1) return { data: plane, channels, height, width };
  const data = new Float32Array(3 * plane.length);
  for (let c = 0; c < 3; c++) data.set(plane, c * plane.length);
  return { data, channels, height, width };
}

/** Returns how Y follows from a network's output: its weights and a constant. */
function outputLuminance(outputs, colors) {
  if (outputs === 1) return { luma: [1], offset: 0 };
  return colors === 1 ? { luma: LUMA, offset: 0 } : { luma: Y_WEIGHTS, offset: Y_OFFSET };
}

/** Blurs planes with a Gaussian; the border is repeated. */
function blur({ data, channels, height, width }, sigma) {
  const radius = Math.floor(3 * sigma + 0.5);
  const kernel = Array.from({ length: 2 * radius + 1 }, (_, n) => Math.exp(-((n - radius) ** 2) / (2 * sigma * sigma)));
  const sum = kernel.reduce((a, b) => a + b, 0);
  const pass = (from, across) => {
    const result = new Float32Array(from.length);
    for (let c = 0; c < channels; c++)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          let value = 0;
          for (let k = -radius; k <= radius; k++) {
            const row = across ? y : Math.min(height - 1, Math.max(0, y + k));
            const column = across ? Math.min(width - 1, Math.max(0, x + k)) : x;
            value += kernel[k + radius] * from[(c * height + row) * width + column];
          }
          result[(c * height + y) * width + x] = value / sum;
        }
    return result;
  };
  return { data: pass(pass(data, true), false), channels, height, width };
}

/** Returns the top and left of the square that shows a photograph best; see `subject_region` of regions.py. */
function subjectPlace({ data, channels, height, width }, upsampled, rows, columns) {
  const pixels = height * width, error = new Float32Array(pixels);
  for (let c = 0; c < channels; c++)
    for (let n = 0; n < pixels; n++) error[n] += (data[c * pixels + n] - upsampled.data[c * pixels + n]) ** 2 / channels;
  const stride = 1 + Math.floor(pixels / 100000), some = error.filter((_, n) => n % stride === 0).sort();
  const most = Math.max(some[Math.floor(0.8 * some.length)], error.reduce((a, b) => a + b, 0) / pixels), sums = new Float64Array((height + 1) * (width + 1));
  for (let y = 0; y < height; y++)
    for (let x = 0, line = 0; x < width; x++) {
      line += Math.min(most, error[y * width + x]);
      sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + line;
    }
  const at = (row, column) => sums[row * (width + 1) + column];
  let best = [0, 0], highest = -1;
  for (let y = 0; y + rows <= height; y++)
    for (let x = 0; x + columns <= width; x++) {
      const distance = ((y + rows / 2) / height - 0.4) ** 2 + ((x + columns / 2) / width - 0.5) ** 2;
      const value = (at(y + rows, x + columns) - at(y, x + columns) - at(y + rows, x) + at(y, x)) * Math.exp(-6 * distance);
      if (value > highest) highest = value, best = [y, x];
    }
  return best;
}

// Limits of the bands in cycles per pixel; beyond 0.5 only the corners of the spectrum are left.
const BANDS = [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5];

/** Returns the mean square of an error (h · w) by radial frequency; the bands add up to the whole (Parseval). */
function bandPower(error, height, width) {
  const [acrossCos, acrossSin] = waves(width), [downCos, downSin] = waves(height), half = (width >> 1) + 1;
  const re = new Float64Array(height * half), im = new Float64Array(height * half);
  for (let y = 0; y < height; y++)
    for (let u = 0; u < half; u++) {
      let a = 0, b = 0;
      for (let x = 0, n = 0; x < width; x++, n = (n + u) % width) {
        a += error[y * width + x] * acrossCos[n], b -= error[y * width + x] * acrossSin[n];
      }
      re[y * half + u] = a, im[y * half + u] = b;
    }
  const power = new Float64Array(BANDS.length), total = (height * width) ** 2;
  for (let v = 0; v < height; v++)
    for (let u = 0; u < half; u++) {
      let a = 0, b = 0;
      for (let y = 0, n = 0; y < height; y++, n = (n + v) % height) {
        a += re[y * half + u] * downCos[n] + im[y * half + u] * downSin[n];
        b += im[y * half + u] * downCos[n] - re[y * half + u] * downSin[n];
      }
      const frequency = Math.hypot(Math.min(v, height - v) / height, u / width);
      let band = BANDS.length - 1;
      while (BANDS[band] > frequency) band--;
      const twice = u > 0 && 2 * u !== width ? 2 : 1; // the other half of the spectrum is its mirror image
      power[band] += (twice * (a * a + b * b)) / total;
    }
  return power;
}

function waves(length) {
  const angle = (n) => (2 * Math.PI * n) / length, all = Array.from({ length }, (_, n) => n);
  return [Float64Array.from(all, (n) => Math.cos(angle(n))), Float64Array.from(all, (n) => Math.sin(angle(n)))];
}

/** Returns the covariance (n, n) of the patches of a layer's size in pictures, every `stride` pixels. */
function patchCovariance(pictures, size, stride) {
  const channels = pictures[0].channels, count = channels * size * size;
  const sum = new Float64Array(count), products = new Float64Array(count * count), patch = new Float64Array(count);
  let patches = 0;
  for (const { data, height, width } of pictures)
    for (let y = 0; y + size <= height; y += stride)
      for (let x = 0; x + size <= width; x += stride, patches++) {
        for (let c = 0, n = 0; c < channels; c++)
          for (let ky = 0; ky < size; ky++)
            for (let kx = 0; kx < size; kx++) patch[n++] = data[(c * height + y + ky) * width + x + kx];
        for (let i = 0; i < count; i++) {
          const value = patch[i];
          sum[i] += value;
          for (let j = i, at = i * count + i; j < count; j++) products[at++] += value * patch[j];
        }
      }
  for (let i = 0; i < count; i++)
    for (let j = i; j < count; j++)
      products[i * count + j] = products[j * count + i] =
        products[i * count + j] / patches - (sum[i] / patches) * (sum[j] / patches);
  return { covariance: products, count };
}

/** Returns the matrix that keeps what photographs excite: (Σ + λI)⁻¹ Σ = I − λ(Σ + λI)⁻¹, by Cholesky's method. */
function ridgeProjection({ covariance, count }, ridge) {
  const root = covariance.slice(), result = new Float64Array(count * count);
  for (let i = 0; i < count; i++) root[i * count + i] += ridge;
  for (let j = 0; j < count; j++)
    for (let i = j; i < count; i++) {
      let sum = root[i * count + j];
      for (let k = 0; k < j; k++) sum -= root[i * count + k] * root[j * count + k];
      root[i * count + j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / root[j * count + j];
    }
  const column = new Float64Array(count);
  for (let n = 0; n < count; n++) {
    column.fill(0), (column[n] = 1);
    for (let i = 0; i < count; i++) {
      for (let k = 0; k < i; k++) column[i] -= root[i * count + k] * column[k];
      column[i] /= root[i * count + i];
    }
    for (let i = count - 1; i >= 0; i--) {
      for (let k = i + 1; k < count; k++) column[i] -= root[k * count + i] * column[k];
      column[i] /= root[i * count + i];
    }
    for (let i = 0; i < count; i++) result[i * count + n] = (i === n ? 1 : 0) - ridge * column[i];
  }
  return result;
}
