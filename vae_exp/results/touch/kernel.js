/* The product of matrices, which takes nearly all the time. It is a few hundred bytes of WebAssembly with instructions
   for four numbers at once, written here; a browser without them computes the same in JavaScript. */

const LOOP = [0x03, 0x40];
const I32 = 0x7f;
const V128 = 0x7b;
const get = (local) => [0x20, ...unsigned(local)];
const set = (local) => [0x21, ...unsigned(local)];
const sum32 = [0x6a];
const number = (value) => [0x41, value & 0x7f]; // -64 to 63
const simd = (code, ...rest) => [0xfd, ...unsigned(code), ...rest];
const load = (offset) => simd(0x00, 2, ...unsigned(offset));
const loadAndSpread = simd(0x09, 2, 0);
const store = (offset) => simd(0x0b, 2, ...unsigned(offset));
const plus = simd(0xe4);
const times = simd(0xe6);

/** Encode a whole number in LEB128. */
function unsigned(value) {
  const bytes = [];
  do {
    bytes.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    value >>>= 7;
  } while (value);
  return bytes;
}
const sized = (bytes) => [...unsigned(bytes.length), ...bytes];
const list = (items) => [...unsigned(items.length), ...items.flat()];
const text = (string) => sized([...string].map((letter) => letter.charCodeAt(0)));

/** The body of a function (a, b, c, k, lda, ldb, ldc) that computes `rows` rows and 4·`vectors` columns of C = A B.
    a, b and c are addresses, the others sizes in bytes; k is the number of products in a sum. */
function block(rows, vectors) {
  const [a, b, c, k, lda, ldb, ldc] = [0, 1, 2, 3, 4, 5, 6];
  const row = (r) => (r ? 6 + r : a); // the address in A of a row
  const first = 6 + rows; // the first local of four numbers
  const sum = (r, v) => first + r * vectors + v;
  const part = (v) => first + rows * vectors + v; // of B
  const factor = first + (rows + 1) * vectors;
  const each = (count, make) => Array.from({ length: count }, (_, i) => make(i)).flat();
  const step = (local, size) => [...get(local), ...size, ...sum32, ...set(local)];
  const code = [
    ...each(rows - 1, (r) => [...get(row(r)), ...get(lda), ...sum32, ...set(row(r + 1))]),
    ...LOOP,
    ...each(vectors, (v) => [...get(b), ...load(16 * v), ...set(part(v))]),
    ...each(rows, (r) => [
      ...[...get(row(r)), ...loadAndSpread, ...set(factor)],
      ...each(vectors, (v) => [...get(sum(r, v)), ...get(factor), ...get(part(v)), ...times, ...plus, ...set(sum(r, v))]),
      ...step(row(r), number(4)),
    ]),
    ...step(b, get(ldb)),
    ...[...get(k), ...number(-1), ...sum32, 0x22, k], // tee: the condition of the jump
    ...[0x0d, 0],
    0x0b,
    ...each(rows, (r) => [...each(vectors, (v) => [...get(c), ...get(sum(r, v)), ...store(16 * v)]), ...step(c, get(ldc))]),
    0x0b,
  ];
  const locals = [[...unsigned(rows - 1), I32], [...unsigned((rows + 1) * vectors + 1), V128]];
  return sized([...list(locals), ...code]);
}

const BLOCKS = [
  { name: "four", rows: 4, columns: 8 },
  { name: "long", rows: 1, columns: 32 },
  { name: "short", rows: 1, columns: 8 },
];

function moduleBytes() {
  const section = (id, content) => [id, ...sized(content)];
  const kind = [0x60, ...list(Array(7).fill([I32])), 0];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, list([kind])),
    ...section(2, list([[...text("page"), ...text("memory"), 0x02, 0x00, 0x01]])),
    ...section(3, list(BLOCKS.map(() => [0]))),
    ...section(7, list(BLOCKS.map(({ name }, i) => [...text(name), 0x00, i]))),
    ...section(10, list(BLOCKS.map(({ rows, columns }) => block(rows, columns / 4)))),
  ]);
}

let compiled; // undefined: not tried yet; null: not possible here

/** Numbers in memory, and the product of matrices in it. Positions and sizes are in numbers, not bytes. */
class Memory {
  constructor(size) {
    if (compiled === undefined) {
      try {
        compiled = new WebAssembly.Module(moduleBytes());
      } catch {
        compiled = null;
      }
    }
    if (compiled) {
      const memory = new WebAssembly.Memory({ initial: Math.ceil((4 * size) / 65536) + 1 });
      this.blocks = new WebAssembly.Instance(compiled, { page: { memory } }).exports;
      this.numbers = new Float32Array(memory.buffer);
    } else {
      this.numbers = new Float32Array(size);
    }
  }

  /** C = A B for A (rows × inner) at a, B (inner × columns) at b and C at c, row by row. */
  multiply(a, b, c, rows, inner, columns) {
    if (!this.blocks || columns < 8) {
      this.multiplySlowly(a, b, c, rows, inner, columns);
      return;
    }
    const tall = rows >= 4 ? BLOCKS[0] : columns >= 32 ? BLOCKS[1] : BLOCKS[2];
    const compute = this.blocks[tall.name];
    // the last block begins earlier if it would not fit: what it computes twice is the same
    for (let j = 0; j < columns; j += tall.columns) {
      const column = Math.min(j, columns - tall.columns);
      for (let i = 0; i < rows; i += tall.rows) {
        const row = Math.min(i, rows - tall.rows);
        const target = c + row * columns + column;
        compute(4 * (a + row * inner), 4 * (b + column), 4 * target, inner, 4 * inner, 4 * columns, 4 * columns);
      }
    }
  }

  multiplySlowly(a, b, c, rows, inner, columns) {
    const { numbers } = this;
    for (let i = 0; i < rows; i++) {
      const row = c + i * columns;
      numbers.fill(0, row, row + columns);
      for (let k = 0; k < inner; k++) {
        const factor = numbers[a + i * inner + k];
        const from = b + k * columns;
        if (factor !== 0) for (let j = 0; j < columns; j++) numbers[row + j] += factor * numbers[from + j];
      }
    }
  }
}
