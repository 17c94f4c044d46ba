/* Computes a program: the steps that `program.py` made from a function of the model. */

/** Decode base64 as numbers: float16, float32 or 32-bit integers. */
function numbersOf({ f2, f4, i4 }) {
  const bytes = Uint8Array.from(atob(f2 ?? f4 ?? i4), (letter) => letter.charCodeAt(0));
  if (f4 !== undefined) return new Float32Array(bytes.buffer);
  if (i4 !== undefined) return new Int32Array(bytes.buffer);
  return Float32Array.from(new Uint16Array(bytes.buffer), fromHalf);
}
function fromHalf(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : (fraction / 1024) * 2 ** -14;
  return (bits & 0x8000 ? -1 : 1) * (exponent === 31 ? (fraction ? NaN : Infinity) : size);
}
const sizeOf = (shape) => shape.reduce((size, one) => size * one, 1);

class Program {
  /** `constants` are the decoded numbers that the programs of a model share. */
  constructor({ values, steps, inputs, outputs }, constants) {
    const constantOf = (value) => (value?.constant === undefined ? null : constants[value.constant]);
    const integers = values.map((value) => (constantOf(value) instanceof Int32Array ? constantOf(value) : null));
    let size = 0;
    const starts = values.map((value, i) => {
      if (!value || value.of || integers[i]) return 0; // `of` says whose memory a value shares
      const start = size;
      size += Math.max(8, Math.ceil(sizeOf(value.shape) / 4) * 4);
      return start;
    });
    const places = values.map((value, i) => (value?.of ? starts[value.of[0]] + value.of[1] : starts[i]));
    const scratch = size; // for the patches of a convolution
    const room = (step) => (OPERATIONS[step[0]].room ?? (() => 0))(step[3]);
    const memory = new Memory(size + Math.max(0, ...steps.map(room)) + 8);
    const { numbers } = memory;
    values.forEach((value, i) => constantOf(value) && !integers[i] && numbers.set(constantOf(value), places[i]));
    const seen = (i) => {
      const { shape } = values[i];
      const length = sizeOf(shape);
      return { shape, at: places[i], size: length, data: integers[i] || numbers.subarray(places[i], places[i] + length) };
    };
    this.inputs = Object.fromEntries(Object.entries(inputs).map(([name, i]) => [name, seen(i).data]));
    this.outputs = Object.fromEntries(Object.entries(outputs).map(([name, i]) => [name, seen(i).data]));
    this.steps = steps.map(([name, from, to, settings]) =>
      OPERATIONS[name].prepare(from.map(seen), seen(to), settings, memory, scratch),
    );
  }

  /** Compute the outputs by name. They stay as they are until the next call. */
  run(inputs) {
    for (const [name, numbers] of Object.entries(inputs)) this.inputs[name]?.set(numbers);
    for (const step of this.steps) step();
    return this.outputs;
  }
}

/* ---- numbers at the same place ---- */

/** The positions in `from` of the numbers that belong to those of `to`, if its shape is broadcast; null if all do. */
function broadcast(from, to) {
  if (from.size === to.size) return null;
  const rank = to.shape.length;
  const shape = [...Array(rank - from.shape.length).fill(1), ...from.shape];
  const strides = shape.map((size, i) => (size === 1 ? 0 : sizeOf(shape.slice(i + 1))));
  return Int32Array.from({ length: to.size }, (_, position) => {
    let [index, rest] = [0, position];
    for (let i = rank - 1; i >= 0; i--) {
      index += (rest % to.shape[i]) * strides[i];
      rest = Math.floor(rest / to.shape[i]);
    }
    return index;
  });
}
const expanded = (data, index, i) => data[index ? index[i] : i];

function alone(make) {
  const prepare = ([{ data }], to, settings) => {
    const change = make(settings);
    const target = to.data;
    return () => {
      for (let i = 0; i < target.length; i++) target[i] = change(data[i]);
    };
  };
  return { prepare };
}
function pairs(combine) {
  const prepare = ([one, other], to, { alpha = 1 }) => {
    const [first, second] = [broadcast(one, to), broadcast(other, to)];
    const [a, b, target] = [one.data, other.data, to.data];
    if (!first && !second && alpha === 1)
      return () => {
        for (let i = 0; i < target.length; i++) target[i] = combine(a[i], b[i]);
      };
    return () => {
      for (let i = 0; i < target.length; i++)
        target[i] = combine(expanded(a, first, i), alpha * expanded(b, second, i));
    };
  };
  return { prepare };
}

/* A call for every number takes as long as a product with weights. The most frequent operations are loops of their own. */

const loop = (run) => ({ prepare: ([{ data }], to) => () => run(data, to.data, to.size) });
const relu = loop((x, y, n) => {
  for (let i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : 0;
});
const sigmoid = loop((x, y, n) => {
  for (let i = 0; i < n; i++) y[i] = 1 / (1 + Math.exp(-x[i]));
});
const tanh = loop((x, y, n) => {
  for (let i = 0; i < n; i++) y[i] = Math.tanh(x[i]);
});
/** a + b or a·b, where b has as many numbers as a, or one for every block of a, such as a channel. */
function blocks(whole, block, otherwise) {
  const prepare = (from, to, settings) => {
    const [a, b] = from[0].size < to.size ? [from[1], from[0]] : from;
    if (a.size !== to.size || (settings.alpha ?? 1) !== 1) return otherwise.prepare(from, to, settings);
    if (b.size === to.size) return () => whole(a.data, b.data, to.data, to.size);
    const ones = b.shape.length - b.shape.findLastIndex((size) => size > 1) - 1;
    const length = b.size === 1 ? to.size : sizeOf(to.shape.slice(to.shape.length - ones));
    const index = broadcast(b, to).filter((_, i) => i % length === 0);
    return () => index.forEach((at, i) => block(a.data, b.data[at], to.data, i * length, (i + 1) * length));
  };
  return { prepare };
}
const add = blocks(
  (a, b, y, n) => {
    for (let i = 0; i < n; i++) y[i] = a[i] + b[i];
  },
  (a, b, y, start, end) => {
    for (let i = start; i < end; i++) y[i] = a[i] + b;
  },
  pairs((a, b) => a + b),
);
const multiply = blocks(
  (a, b, y, n) => {
    for (let i = 0; i < n; i++) y[i] = a[i] * b[i];
  },
  (a, b, y, start, end) => {
    for (let i = start; i < end; i++) y[i] = a[i] * b;
  },
  pairs((a, b) => a * b),
);

const where = {
  prepare: (from, to) => {
    const [when, then, otherwise] = from.map((one) => ({ data: one.data, index: broadcast(one, to) }));
    const at = ({ data, index }, i) => expanded(data, index, i);
    return () => {
      for (let i = 0; i < to.size; i++) to.data[i] = at(when, i) ? at(then, i) : at(otherwise, i);
    };
  },
};

/** erf, with an error below 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26). */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}
const gelu = ({ approximate }) =>
  approximate === "tanh"
    ? (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
    : (x) => 0.5 * x * (1 + erf(x / Math.SQRT2));
const elu = ({ alpha = 1, scale = 1, input_scale: inner = 1 }) =>
  (x) => scale * (x > 0 ? x : alpha * Math.expm1(inner * x));
/** Round as PyTorch does: halves to the even neighbour. */
function roundHalfToEven(x) {
  const low = Math.floor(x);
  return x - low === 0.5 ? low + (low % 2 === 0 ? 0 : 1) : Math.round(x);
}

/* ---- sums and the like ---- */

/** A reduction over some axes. The second input has the position of the result for every number. */
function reduction(start, combine, finish = (value) => value) {
  const prepare = ([source, index], to) => () => {
    to.data.fill(start);
    for (let i = 0; i < source.size; i++) {
      const at = index.data[i];
      to.data[at] = combine(to.data[at], source.data[i]);
    }
    for (let i = 0; i < to.size; i++) to.data[i] = finish(to.data[i], source.size / to.size);
  };
  return { prepare };
}

/** An operation on each part of `size` numbers. */
function along(compute) {
  const prepare = ([source], to, { size }) => () => {
    for (let i = 0; i < source.size; i += size) compute(source.data.subarray(i, i + size), to.data, i, i / size);
  };
  return { prepare };
}
function logSoftmax(part, target, at) {
  const most = part.reduce((one, other) => Math.max(one, other));
  const total = Math.log(part.reduce((sum, value) => sum + Math.exp(value - most), 0));
  for (let i = 0; i < part.length; i++) target[at + i] = part[i] - most - total;
}
function softmax(part, target, at) {
  logSoftmax(part, target, at);
  for (let i = 0; i < part.length; i++) target[at + i] = Math.exp(target[at + i]);
}
const argmax = (part, target, at, i) => {
  target[i] = part.indexOf(part.reduce((one, other) => Math.max(one, other)));
};

const normalise = {
  prepare: ([source], to, { groups, eps }) => () => {
    const size = source.size / groups;
    for (let start = 0; start < source.size; start += size) {
      let [sum, squares] = [0, 0];
      for (let i = start; i < start + size; i++) sum += source.data[i];
      const mean = sum / size;
      for (let i = start; i < start + size; i++) squares += (source.data[i] - mean) ** 2;
      const factor = 1 / Math.sqrt(squares / size + eps);
      for (let i = start; i < start + size; i++) to.data[i] = (source.data[i] - mean) * factor;
    }
  },
};

/* ---- moved numbers ---- */

/** Numbers from other positions, in every block of the input alike. The position −1 stands for a value. */
const gather = {
  prepare: ([source, { data: index }], to, { blocks, value }) => {
    const [before, after] = [source.size / blocks, to.size / blocks];
    const padded = index.some((position) => position < 0);
    return () => {
      for (let n = 0; n < blocks; n++)
        for (let i = 0; i < after; i++)
          to.data[n * after + i] = padded && index[i] < 0 ? value : source.data[n * before + index[i]];
    };
  },
};
const join = {
  prepare: (from, to, { before, sizes }) => {
    const total = sizes.reduce((one, other) => one + other);
    return () => {
      for (let n = 0; n < before; n++) {
        let at = n * total;
        from.forEach(({ data }, i) => {
          for (let j = 0; j < sizes[i]; j++) to.data[at + j] = data[n * sizes[i] + j];
          at += sizes[i];
        });
      }
    };
  },
};
const row = {
  prepare: ([table, index], to) => () => {
    const start = index.data[0] * to.size;
    for (let i = 0; i < to.size; i++) to.data[i] = table.data[start + i];
  },
};
