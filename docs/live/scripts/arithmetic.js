// Convolution of signals and images by the rules of eyespot.convolution: sizes, boundaries and sums, one channel.

// Rows of numbers, separated by ";" or line ends: { values, shape }. Throws a sentence about what is no number.
export function parseNumbers(text) {
  const rows = text.split(/[;\n]/).map((row) => row.trim()).filter(Boolean);
  const numbers = rows.map((row) => row.split(/[\s,]+/).filter(Boolean).map(Number));
  if (!numbers.length) throw new Error("There is no number.");
  if (numbers.flat().some((n) => !Number.isFinite(n))) throw new Error(`"${text.trim().slice(0, 40)}" has something that is no number.`);
  if (numbers.some((row) => row.length !== numbers[0].length)) throw new Error("Rows differ in length.");
  return { values: Float64Array.from(numbers.flat()), shape: [numbers.length, numbers[0].length] };
}

// Samples added before and after an axis; "same" is centred on tap (taps - 1) // 2.
function padding(reach, mode, flip) {
  if (mode === "full") return [reach, reach];
  if (mode === "valid") return [0, 0];
  const short = Math.floor(reach / 2);
  return flip ? [reach - short, short] : [short, reach - short];
}

const modulo = (a, n) => ((a % n) + n) % n;

// The sample that a place outside or inside an axis of n samples repeats; -1 for a zero.
export function sourceOf(place, n, boundary) {
  if (boundary === "zero") return place < 0 || place >= n ? -1 : place;
  if (boundary === "replicate") return Math.min(Math.max(place, 0), n - 1);
  if (boundary === "circular") return modulo(place, n);
  const period = Math.max(2 * (n - 1), 1);
  const inside = modulo(place, period);
  return Math.min(inside, period - inside);
}

function axis(n, taps, { operation, mode, boundary, stride, dilation }) {
  const flip = operation === "convolve";
  const reach = dilation * (taps - 1);
  const [before, after] = padding(reach, mode, flip);
  const last = n + before + after - reach - 1;
  if (last < 0) throw new Error(`Without padding the input has to be as large as the kernel: ${n} samples, and the kernel reaches over ${reach + 1}.`);
  const outputs = Math.floor(last / stride) + 1;
  const samples = [];
  for (let i = 0; i < outputs; i++) {
    for (let j = 0; j < taps; j++) samples.push(sourceOf(i * stride + j * dilation - before, n, boundary));
  }
  const order = Array.from({ length: taps }, (_, j) => (flip ? taps - 1 - j : j));
  return { n, taps, outputs, samples, order };
}

// What meets what: an axis of rows and one of columns. A signal has one row.
export function geometry(shape, kernelShape, options) {
  const rows = axis(shape[0], kernelShape[0], options);
  const columns = axis(shape[1], kernelShape[1], options);
  return { rows, columns, shape: [rows.outputs, columns.outputs] };
}

// The terms of one output: the sample and the weight that are multiplied, as positions in the raveled arrays.
export function terms({ rows, columns }, output) {
  const i = Math.floor(output / columns.outputs);
  const j = output % columns.outputs;
  const list = [];
  for (let a = 0; a < rows.taps; a++) {
    const y = rows.samples[i * rows.taps + a];
    for (let b = 0; b < columns.taps; b++) {
      const x = columns.samples[j * columns.taps + b];
      if (y < 0 || x < 0) continue;
      list.push({ sample: y * columns.n + x, weight: rows.order[a] * columns.taps + columns.order[b] });
    }
  }
  return list;
}

// All outputs.
export function apply(x, kernel, g) {
  const y = new Float64Array(g.shape[0] * g.shape[1]);
  for (let output = 0; output < y.length; output++) {
    let sum = 0;
    for (const { sample, weight } of terms(g, output)) sum += kernel[weight] * x[sample];
    y[output] = sum;
  }
  return y;
}

// One row of the matrix: a map from the column to the weights that stand there.
export function matrixRow(g, output) {
  const row = new Map();
  for (const { sample, weight } of terms(g, output)) row.set(sample, [...(row.get(sample) || []), weight]);
  return row;
}
