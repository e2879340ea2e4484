// The scene: a crop of a photograph, its bicubic copy, and what a network needs of the pixels around it.

const SIDE = 96; // pixels of the crop: what is quick

/** Degrades a photograph once: { name, original, upsampled, scale }. */
const photographOf = (name, picture, scale, notes = []) => ({ name, scale, notes, ...degrade(picture, scale) });

/** Cuts the crop at `box` (top, left; null for `subjectPlace`) out of a photograph, for a network. */
function sceneOf(photograph, net, box, side = SIDE) {
  const { original, upsampled } = photograph, height = Math.min(side, original.height), width = Math.min(side, original.width);
  const chosen = box || subjectPlace(original, upsampled, height, width);
  const top = clamp(chosen[0], 0, original.height - height), left = clamp(chosen[1], 0, original.width - width);
  const halo = net.filters.reduce((sum, size) => sum + (size - 1) / 2, 0), input = networkInput(upsampled, net.channels);
  // A network that repeats the border gets all of its surround; one with zeros no pixel beyond the picture.
  const cut = (length, from, size) => (net.zeros ? [Math.min(from, halo), Math.min(length - from - size, halo)] : [halo, halo]);
  const [above, below] = cut(original.height, top, height), [before, after] = cut(original.width, left, width);
  const size = [above + height + below, before + width + after];
  const window = crop(input, top - above, left - before, ...size, true).data;
  const truth = crop(original, top, left, height, width), bicubic = crop(upsampled, top, left, height, width);
  return {
    photograph, input, halo, top, left, height, width, truth, bicubic, bicubicY: luminance(bicubic),
    // What a worker needs:
    job: { window, size, inside: [above, before, height, width], target: luminance(truth),
      ...outputLuminance(net.channels, original.channels) },
  };
}

/** Returns the network's input around a pixel of the crop, (C, n, n), and what of it lies beyond the picture. */
function patchAround(scene, net, input, [y, x]) {
  const { halo } = scene, side = 2 * halo + 1, row = scene.top + y - halo, column = scene.left + x - halo;
  const patch = Float64Array.from(crop(input, row, column, side, side, true).data);
  if (!net.zeros) return { patch, beyond: null, side };
  const beyond = [-row, -column, row + side - input.height, column + side - input.width].map((n) => Math.max(0, n));
  for (let c = 0, n = 0; c < net.channels; c++)
    for (let v = 0; v < side; v++)
      for (let u = 0; u < side; u++, n++)
        if (v < beyond[0] || u < beyond[1] || v >= side - beyond[2] || u >= side - beyond[3]) patch[n] = 0;
  return { patch, beyond, side };
}

/** Returns a network's output (C, h, w) as a picture in the photograph's own colors; a Y network leaves color to bicubic. */
function toPicture(scene, net, output) {
  const { bicubic, height, width } = scene, pixels = height * width;
  if (net.channels === bicubic.channels) return { data: output, channels: net.channels, height, width };
  const data = new Float32Array(bicubic.data.length);
  if (net.channels === 1) // equal Cb and Cr: all three colors move by the same, 255 levels for 219 of Y
    for (let n = 0; n < data.length; n++) data[n] = bicubic.data[n] + ((output[n % pixels] - scene.bicubicY[n % pixels]) * 255) / 219;
  else for (let n = 0; n < pixels; n++) data[n] = LUMA.reduce((sum, luma, c) => sum + luma * output[c * pixels + n], 0);
  return { data, channels: bicubic.channels, height, width };
}

const bicubicPsnr = ({ bicubicY, job }) => decibelsOf(meanSquare(bicubicY, job.target));

function meanSquare(a, b) {
  let sum = 0;
  for (let n = 0; n < a.length; n++) sum += (a[n] - b[n]) ** 2;
  return sum / a.length;
}
