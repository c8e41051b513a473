// The matrix as a table or a picture, and signals and images with the samples that one output sees.

import { matrixRow } from "./arithmetic.js";
import { drawPixels } from "./images.js";
import { element } from "./result.js";

export const TABLE_CELLS = 400;
const PICTURE_CELLS = 1 << 22;
const TINTS = ["#1f6f8b", "#d1603d", "#7a9a3a", "#8b5fa8", "#c08a1e", "#3f7fd1", "#b8487f", "#4f9a84", "#8a7a5c"];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const tint = (weight) => `color-mix(in srgb, ${TINTS[weight % TINTS.length]} 30%, transparent)`;

function cell(text, weights = []) {
  const made = element("td", { className: weights.length || text !== "0" ? "" : "zero" }, text);
  if (weights.length) made.style.background = tint(weights[0]);
  return made;
}

// matrix · x = y as three tables. Rows of the matrix follow the pointer.
export function matrixTable({ x, kernel, g, y, row: lit }, { nameOf, number, names, choose }) {
  const body = element("tbody");
  const outputs = element("tbody");
  for (let output = 0; output < y.length; output++) {
    const row = matrixRow(g, output);
    const cells = Array.from(x.values, (_, sample) => {
      const weights = row.get(sample) || [];
      const text = names ? weights.map((w) => nameOf("w", w, kernel.shape)).join("+") : number(weights.reduce((sum, w) => sum + kernel.values[w], 0));
      return cell(text || "0", weights);
    });
    const lines = [element("tr", {}, ...cells), element("tr", {}, cell(number(y[output]), []))];
    for (const line of lines) {
      line.classList.toggle("lit", output === lit);
      line.addEventListener("pointerenter", () => choose(output));
    }
    body.append(lines[0]);
    outputs.append(lines[1]);
  }
  const seen = matrixRow(g, lit);
  const samples = Array.from(x.values, (value, sample) => {
    const made = cell(number(value), seen.get(sample) || []);
    made.classList.toggle("lit", seen.has(sample));
    return element("tr", {}, made);
  });
  const table = (text, rows) => element("table", {}, element("caption", {}, text), rows);
  const sign = (text) => element("span", { ariaHidden: "true" }, text);
  return element(
    "div",
    {},
    table(`matrix, ${y.length} x ${x.values.length}`, body),
    sign("·"),
    table("x", element("tbody", {}, ...samples)),
    sign("="),
    table("y", outputs),
  );
}

// Whether the matrix is small enough for a picture, which is then drawn: a pixel per entry.
export function drawMatrix(canvas, { x, kernel, g, y }, lit) {
  if (x.values.length * y.length > PICTURE_CELLS) return false;
  Object.assign(canvas, { width: x.values.length, height: y.length });
  const context = canvas.getContext("2d");
  const most = kernel.values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;
  context.fillStyle = colour("--card");
  context.fillRect(0, 0, canvas.width, canvas.height);
  for (let output = 0; output < y.length; output++) {
    if (output === lit) {
      context.fillStyle = colour("--bar");
      context.fillRect(0, output, canvas.width, 1);
    }
    for (const [sample, weights] of matrixRow(g, output)) {
      const value = weights.reduce((sum, w) => sum + kernel.values[w], 0);
      context.globalAlpha = output === lit ? 1 : 0.25 + (0.75 * Math.min(1, Math.abs(value) / most));
      context.fillStyle = value < 0 ? TINTS[1] : TINTS[0];
      if (value) context.fillRect(sample, output, 1, 1);
    }
    context.globalAlpha = 1;
  }
  return true;
}

// Values that may be negative: zero is mid-grey then.
export function drawSigned(canvas, { values, shape }) {
  const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;
  const negative = values.some((value) => value < 0);
  drawPixels(canvas, { values, width: shape[1], height: shape[0] }, negative ? -most : 0, most);
}

const ENLARGED = 480;

// Enlarge the pixels of a canvas in place, and draw a frame around some of them.
export function outline(canvas, places, [rows, columns]) {
  const scale = Math.max(1, Math.floor(ENLARGED / Math.max(rows, columns)));
  const copy = element("canvas", { width: columns, height: rows });
  copy.getContext("2d").drawImage(canvas, 0, 0);
  Object.assign(canvas, { width: columns * scale, height: rows * scale });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(copy, 0, 0, canvas.width, canvas.height);
  const thin = scale < 16 ? 1 : 2;
  for (const [style, width] of [["#000000", 2 * thin], ["#ffb000", thin]]) {
    Object.assign(context, { strokeStyle: style, lineWidth: width });
    for (const place of places) context.strokeRect((place % columns) * scale, Math.floor(place / columns) * scale, scale, scale);
  }
}

// A signal as stems on a line of zero, some of them marked.
export function drawSignal(canvas, { values }, marked) {
  const [width, height, margin] = [480, 200, 16];
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const high = values.reduce((a, b) => Math.max(a, b), 0);
  const low = values.reduce((a, b) => Math.min(a, b), 0);
  const at = (value) => margin + ((high - value) / (high - low || 1)) * (height - 2 * margin);
  context.strokeStyle = colour("--soft");
  context.beginPath();
  context.moveTo(0, at(0));
  context.lineTo(width, at(0));
  context.stroke();
  values.forEach((value, k) => {
    const left = margin + ((k + 0.5) / values.length) * (width - 2 * margin);
    context.strokeStyle = context.fillStyle = colour(marked.has(k) ? "--main" : "--soft");
    context.lineWidth = marked.has(k) ? 4 : 2;
    context.beginPath();
    context.moveTo(left, at(0));
    context.lineTo(left, at(value));
    context.stroke();
    context.beginPath();
    context.arc(left, at(value), values.length > 60 ? 2 : marked.has(k) ? 7 : 5, 0, 7);
    context.fill();
  });
}
