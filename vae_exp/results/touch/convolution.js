/* Products of matrices, convolutions, and the table of all operations. */

const product = {
  prepare: ([a, b], c, { stack, rows, inner, columns }, memory) => () => {
    for (let i = 0; i < stack; i++)
      memory.multiply(a.at + i * rows * inner, b.at + i * inner * columns, c.at + i * rows * columns, rows, inner, columns);
  },
};

/** For a kernel's place (y, x): the outputs along one axis whose inputs lie inside the image. */
function inside(place, { kernel, stride, padding, dilation }, axis, size, most) {
  const shift = place * dilation[axis] - padding[axis];
  const first = Math.max(0, Math.ceil(-shift / stride[axis]));
  const last = Math.min(most - 1, Math.floor((size - 1 - shift) / stride[axis]));
  return { shift, first, last };
}

/** Call `visit(row, target, source, count)` for every line of the patches: `count` numbers from `target` on in the row
    belong to the image's numbers from `source` on, a stride apart. `image` is the larger image, `grid` the smaller. */
function eachLine(settings, [, height, width], [, rows, columns], visit) {
  const [kernelHeight, kernelWidth] = settings.kernel;
  for (let ky = 0; ky < kernelHeight; ky++)
    for (let kx = 0; kx < kernelWidth; kx++) {
      const y = inside(ky, settings, 0, height, rows);
      const x = inside(kx, settings, 1, width, columns);
      if (x.last < x.first) continue;
      for (let i = y.first; i <= y.last; i++) {
        const source = (i * settings.stride[0] + y.shift) * width + x.first * settings.stride[1] + x.shift;
        visit(ky * kernelWidth + kx, i * columns + x.first, source, x.last - x.first + 1);
      }
    }
}

function addBias(to, bias, channels) {
  const size = to.size / channels;
  for (let c = 0; c < channels; c++) {
    const value = bias.data[c];
    for (let i = c * size; i < (c + 1) * size; i++) to.data[i] += value;
  }
}

/** Write the lines of the patches as numbers that a loop reads quickly: row, target, source, count. */
function linesOf(settings, image, grid) {
  const lines = [];
  eachLine(settings, image, grid, (...line) => lines.push(...line));
  return Int32Array.from(lines);
}

const patchesRoom = (channels, kernel, [, height, width], groups) =>
  (channels / groups) * kernel[0] * kernel[1] * height * width;

/** out = W · patches, where a column of the patches has what the kernel sees at a place. */
const convolution = {
  room: (settings) => patchesRoom(settings.in[0], settings.kernel, settings.out, settings.groups),
  prepare: ([source, weight, bias], to, settings, memory, patches) => {
    const { groups, kernel, stride } = settings;
    const [channels, outputs] = [settings.in[0] / groups, settings.out[0] / groups];
    const [area, places] = [kernel[0] * kernel[1], settings.out[1] * settings.out[2]];
    const image = settings.in[1] * settings.in[2];
    const plain = area === 1 && places === image && settings.padding.every((size) => size === 0);
    const lines = linesOf(settings, settings.in, settings.out);
    const { numbers } = memory;
    const cut = (start) => {
      numbers.fill(0, patches, patches + channels * area * places);
      for (let c = 0; c < channels; c++)
        for (let l = 0; l < lines.length; l += 4) {
          let target = patches + (c * area + lines[l]) * places + lines[l + 1];
          let from = start + c * image + lines[l + 2];
          for (const end = target + lines[l + 3]; target < end; target++, from += stride[1])
            numbers[target] = numbers[from];
        }
    };
    return () => {
      for (let g = 0; g < groups; g++) {
        const start = source.at + g * channels * image;
        if (!plain) cut(start);
        const w = weight.at + g * outputs * channels * area;
        const target = to.at + g * outputs * places;
        memory.multiply(w, plain ? start : patches, target, outputs, channels * area, places);
      }
      if (bias) addBias(to, bias, settings.out[0]);
    };
  },
};

/** The transposed convolution: patches = Wᵀ · in, and every patch is added to the output at its place. */
const transposed = {
  room: (settings) => patchesRoom(settings.out[0], settings.kernel, settings.in, settings.groups),
  prepare: ([source, weight, bias], to, settings, memory, patches) => {
    const { groups, kernel, stride } = settings;
    const [channels, outputs] = [settings.in[0] / groups, settings.out[0] / groups];
    const [area, places] = [kernel[0] * kernel[1], settings.in[1] * settings.in[2]];
    const image = settings.out[1] * settings.out[2];
    const lines = linesOf(settings, settings.out, settings.in);
    const { numbers } = memory;
    const paste = (start) => {
      for (let c = 0; c < outputs; c++)
        for (let l = 0; l < lines.length; l += 4) {
          let from = patches + (c * area + lines[l]) * places + lines[l + 1];
          let target = start + c * image + lines[l + 2];
          for (const end = from + lines[l + 3]; from < end; from++, target += stride[1])
            numbers[target] += numbers[from];
        }
    };
    return () => {
      to.data.fill(0);
      for (let g = 0; g < groups; g++) {
        const w = weight.at + g * outputs * area * channels;
        memory.multiply(w, source.at + g * channels * places, patches, outputs * area, channels, places);
        paste(to.at + g * outputs * image);
      }
      if (bias) addBias(to, bias, settings.out[0]);
    };
  },
};

const plain = (f) => alone(() => f);
const truth = (f) => pairs((a, b) => (f(a, b) ? 1 : 0));

const OPERATIONS = {
  product,
  convolution,
  transposed,
  normalise,
  gather,
  join,
  row,
  where,
  sum: reduction(0, (a, b) => a + b),
  mean: reduction(0, (a, b) => a + b, (total, count) => total / count),
  largest: reduction(-Infinity, Math.max),
  softmax: along(softmax),
  log_softmax: along(logSoftmax),
  argmax: along(argmax),
  add,
  subtract: pairs((a, b) => a - b),
  multiply,
  divide: pairs((a, b) => a / b),
  maximum: pairs(Math.max),
  minimum: pairs(Math.min),
  power: pairs(Math.pow),
  atan2: pairs(Math.atan2),
  eq: truth((a, b) => a === b),
  ne: truth((a, b) => a !== b),
  lt: truth((a, b) => a < b),
  le: truth((a, b) => a <= b),
  gt: truth((a, b) => a > b),
  ge: truth((a, b) => a >= b),
  logical_and: truth((a, b) => a && b),
  logical_or: truth((a, b) => a || b),
  abs: plain(Math.abs),
  ceil: plain(Math.ceil),
  cos: plain(Math.cos),
  erf: plain(erf),
  exp: plain(Math.exp),
  expm1: plain(Math.expm1),
  floor: plain(Math.floor),
  log: plain(Math.log),
  log1p: plain(Math.log1p),
  logical_not: plain((x) => (x ? 0 : 1)),
  neg: plain((x) => -x),
  reciprocal: plain((x) => 1 / x),
  relu,
  round: plain(roundHalfToEven),
  rsqrt: plain((x) => 1 / Math.sqrt(x)),
  sigmoid,
  sign: plain(Math.sign),
  sin: plain(Math.sin),
  sqrt: plain(Math.sqrt),
  tanh,
  elu: alone(elu),
  gelu: alone(gelu),
  leaky_relu: alone(({ negative_slope: slope = 0.01 }) => (x) => (x > 0 ? x : slope * x)),
  clamp: alone(({ min = -Infinity, max = Infinity }) => (x) => Math.min(max, Math.max(min, x))),
};
