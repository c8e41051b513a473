// The page of convolution: settings, the product of matrix and input with one row lit, and the outputs.

import { apply, geometry, matrixRow, parseNumbers, terms } from "./arithmetic.js";
import { drawPixels, onFiles, readImage, shrink } from "./images.js";
import { drawMatrix, drawSignal, drawSigned, outline, TABLE_CELLS, matrixTable } from "./matrix.js";
import { CELLS, DIGIT } from "./samples.js";

const $ = (id) => document.getElementById(id);
const SETTINGS = ["operation", "mode", "boundary", "stride", "dilation"];
const FIRST = { signal: ["1 2 3 4 5", "1 2 3"], digit: [DIGIT, "1 -1"], cells: [CELLS, "1 0 -1;2 0 -2;1 0 -1"] };
const MOST_TERMS = 12;
const MOST_SAMPLES = 1 << 14;
const MOST_WEIGHTS = 1 << 10;
let file = null;
let input = null;
let state = null;

const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
const size = (shape, separator = " x ") => (shape[0] === 1 ? String(shape[1]) : shape.join(separator));
const number = (value) => String(Math.abs(value) < 1e15 ? Math.round(value * 1e6) / 1e6 : value);

// The name of a weight or sample as the lecture has it: w1, or w12 for row 1 and column 2.
function nameOf(letter, index, shape) {
  if (shape[0] === 1) return `${letter}${index + 1}`;
  const separator = Math.max(...shape) < 10 ? "" : ",";
  return `${letter}${Math.floor(index / shape[1]) + 1}${separator}${(index % shape[1]) + 1}`;
}

// Settings

function options() {
  const chosen = Object.fromEntries(SETTINGS.map((name) => [name, $(name).value]));
  return { ...chosen, stride: Number(chosen.stride), dilation: Number(chosen.dilation) };
}

function inputOf() {
  if ($("source").value !== "file") return parseNumbers($("x").value);
  const small = shrink(file, Number($("most").value));
  return { values: small.values, shape: [small.height, small.width] };
}

function compute() {
  for (const output of document.querySelectorAll("#settings output")) output.textContent = $(output.htmlFor).value;
  $("most-box").hidden = $("source").value !== "file";
  $("x").closest(".field").hidden = $("source").value === "file";
  try {
    input = inputOf();
    const kernel = parseNumbers($("kernel").value);
    refuseMany(input.values.length, MOST_SAMPLES, "samples");
    refuseMany(kernel.values.length, MOST_WEIGHTS, "weights");
    const g = geometry(input.shape, kernel.shape, options());
    state = { x: input, kernel, g, y: apply(input.values, kernel.values, g), row: 0 };
  } catch (error) {
    state = null;
    $("error").textContent = error.message;
  }
  $("error").hidden = Boolean(state);
  $("result").hidden = !state;
  if (state) show();
}

function refuseMany(n, most, word) {
  if (n > most) throw new Error(`${n.toLocaleString("en")} ${word} are too many for this page: it takes up to ${most.toLocaleString("en")}.`);
}

// What is shown of all outputs

function show() {
  const { x, kernel, g, y } = state;
  const [rows, columns] = g.shape;
  $("sizes").textContent = `${size(x.shape)} samples, ${size(kernel.shape)} weights: ${size(g.shape)} output${y.length === 1 ? "" : "s"}`;
  $("count").textContent = counts();
  $("column-box").hidden = rows === 1;
  $("row-label").textContent = rows === 1 ? "Output" : "Output row";
  const along = rows === 1 ? columns : rows;
  $("row").max = along - 1;
  $("column").max = columns - 1;
  $("numbers").value = Array.from({ length: rows }, (_, i) => Array.from(y.subarray(i * columns, (i + 1) * columns)).join(" ")).join("\n");
  $("python").textContent = pythonOf();
  showRow();
}

function counts() {
  const { x, kernel, y } = state;
  const entries = x.values.length * y.length;
  const dense = `${count(y.length, "row")} by ${count(x.values.length, "column")}: ${entries.toLocaleString("en")} in all`;
  const memory = entries > 1e6 ? ` (${Math.ceil((4 * entries) / 1e6).toLocaleString("en")} MB as float32, which is why nobody stores it)` : "";
  return `The matrix has ${dense}${memory}, made of ${count(kernel.values.length, "weight")}; a dense layer would learn every entry.`;
}

function pythonOf() {
  const o = options();
  const more = [o.stride > 1 && `stride=${o.stride}`, o.dilation > 1 && `dilation=${o.dilation}`].filter(Boolean);
  return `eyespot.convolution.${o.operation}(${["x", "kernel", `mode="${o.mode}"`, `boundary="${o.boundary}"`, ...more].join(", ")})`;
}

// What is shown of one output

function selected() {
  const row = Number($("row").value);
  return state.g.shape[0] === 1 ? row : row * state.g.shape[1] + Number($("column").value);
}

function showRow() {
  if (!state) return;
  const output = (state.row = selected());
  $("row-value").textContent = String(Number($("row").value) + 1);
  $("column-value").textContent = String(Number($("column").value) + 1);
  $("sum").textContent = sentence(output);
  const small = state.x.values.length * state.y.length <= TABLE_CELLS;
  $("product").hidden = $("names").closest(".field").hidden = !small;
  if (small) $("product").replaceChildren(matrixTable(state, { nameOf, number, names: $("names").value === "names", choose }));
  drawPictures(output, small);
}

function sentence(output) {
  const { x, kernel, g, y } = state;
  const list = terms(g, output).map(({ sample, weight }) => ({ sample, weight })).sort((a, b) => a.sample - b.sample);
  const named = list.slice(0, MOST_TERMS).map((t) => `${nameOf("w", t.weight, kernel.shape)}·${nameOf("x", t.sample, x.shape)}`);
  const sums = list.slice(0, MOST_TERMS).map((t) => `${number(kernel.values[t.weight])}·${number(x.values[t.sample])}`);
  const rest = list.length > MOST_TERMS ? ` + ${list.length - MOST_TERMS} more` : "";
  if (!list.length) return `${nameOf("y", output, g.shape)} = 0: its window lies outside.`;
  return `${nameOf("y", output, g.shape)} = ${named.join(" + ")}${rest} = ${sums.join(" + ")}${rest} = ${number(y[output])}`;
}

function drawPictures(output, small) {
  const { x, g, y } = state;
  const row = matrixRow(g, output);
  const signal = x.shape[0] === 1;
  (signal ? drawSignal : drawInput)($("x-picture"), x, row);
  (signal ? drawSignal : drawSigned)($("y-picture"), { values: y, shape: g.shape }, new Map([[output, []]]));
  if (!signal) outline($("y-picture"), [output], g.shape);
  $("x-picture").ariaLabel = $("x-caption").textContent = `Input: ${size(x.shape)} samples; what this output sees is marked.`;
  $("y-picture").ariaLabel = $("y-caption").textContent = `Output: ${size(g.shape)}, from ${number(y.reduce((a, b) => Math.min(a, b)))} to ${number(y.reduce((a, b) => Math.max(a, b)))}${signal ? "." : "; mid-grey is zero where values are negative."}`;
  const drawn = !small && drawMatrix($("matrix-picture"), state, output);
  $("matrix-picture").closest("figure").hidden = small || !drawn;
  $("matrix-picture").ariaLabel = $("matrix-caption").textContent = "The matrix: positive weights are blue, negative ones orange; the row of this output is lit.";
}

function drawInput(canvas, { values, shape }, row) {
  drawPixels(canvas, { values, width: shape[1], height: shape[0] }, ...range(values));
  outline(canvas, [...row.keys()], shape);
}

function range(values) {
  const high = values.reduce((a, b) => Math.max(a, b));
  const low = values.reduce((a, b) => Math.min(a, b));
  return low >= 0 && high <= 255 && high > 16 ? [0, 255] : [low, high];
}

// The output under the pointer, or the one that is asked for.
function choose(output) {
  const [rows, columns] = state.g.shape;
  $("row").value = rows === 1 ? output : Math.floor(output / columns);
  $("column").value = output % columns;
  if (output !== state.row) showRow();
}

function point(event) {
  if (!state) return;
  const [rows, columns] = state.g.shape;
  const box = event.currentTarget.getBoundingClientRect();
  const at = (share, n) => Math.min(n - 1, Math.max(0, Math.floor(share * n)));
  choose(at((event.clientY - box.top) / box.height, rows) * columns + at((event.clientX - box.left) / box.width, columns));
}

// What a person does

function setSource() {
  const first = FIRST[$("source").value];
  if (first) [$("x").value, $("kernel").value] = first;
  $("mode").value = $("source").value === "signal" ? "full" : "same";
  $("preset").value = [...$("preset").options].some((o) => o.value === $("kernel").value) ? $("kernel").value : "";
  $("row").value = 2;
  compute();
  middle();
}

// Start at an output in the middle of an image.
function middle() {
  if (!state || state.g.shape[0] === 1) return;
  choose(Math.floor(state.g.shape[0] / 2) * state.g.shape[1] + Math.floor(state.g.shape[1] / 2));
}

const isText = (blob) => blob.type.startsWith("text/") || /\.(txt|csv|tsv)$/i.test(blob.name || "");

// A file of numbers: one column or one row is a signal.
async function takeNumbers(blob) {
  const text = (await blob.text()).trim();
  const { values, shape } = parseNumbers(text);
  const signal = Math.min(...shape) === 1;
  $("x").value = signal ? values.join(" ") : text.replaceAll(/\s*\n\s*/g, "; ");
  $("source").value = "numbers";
  if (signal && parseNumbers($("kernel").value).shape[0] > 1) $("kernel").value = "1 2 1";
  setSource();
}

async function take(blob) {
  try {
    if (isText(blob)) {
      await takeNumbers(blob);
      return;
    }
    file = await readImage(blob);
  } catch (error) {
    $("error").textContent = error.message;
    $("error").hidden = false;
    return;
  }
  $("source").querySelector("[value=file]").hidden = false;
  $("source").value = "file";
  if (parseNumbers($("kernel").value).shape[0] === 1) $("kernel").value = "1 -1";
  setSource();
}

$("source").addEventListener("change", setSource);
$("x").addEventListener("input", () => {
  $("source").value = "numbers";
  compute();
});
$("kernel").addEventListener("input", () => {
  $("preset").value = "";
  compute();
});
$("preset").addEventListener("change", () => {
  if ($("preset").value) $("kernel").value = $("preset").value;
  compute();
});
for (const name of [...SETTINGS, "most"]) $(name).addEventListener("input", compute);
for (const name of ["row", "column", "names"]) $(name).addEventListener("input", showRow);
for (const kind of ["pointermove", "pointerdown"]) $("y-picture").addEventListener(kind, point);
$("settings").addEventListener("submit", (event) => event.preventDefault());
$("choose").addEventListener("click", () => $("files").click());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showRow);
addEventListener("resize", showRow);
onFiles($("drop"), $("files"), take);

// Another page may link to settings: convolution.html#mode=valid&kernel=1 -1
function readAddress() {
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if ([...SETTINGS, "x", "kernel", "source"].includes(name)) $(name).value = value;
    if (name === "x") $("source").value = "numbers";
  }
}

setSource();
readAddress();
compute();
