// The page of a U-Net: its mask over an image, with opacity, beside the true mask and what Python predicts.

import { chooseImages, endWithNumber, say } from "./chosen.js";
import { drawPixels } from "./images.js";
import { bytesOf, largestDifference, model, probabilities } from "./network.js";
import { percent, showOpacity, showPrediction } from "./result.js";

const $ = (id) => document.getElementById(id);
const MOST_PIXELS = 1024 * 1024;
const COLOUR = model ? model.colours[1] : "";
let shown = null;

async function predict(session, { values, height, width }) {
  return (await probabilities(session, Uint8Array.from(values), height, width)).data;
}

// The class of each pixel: the likeliest one.
function labelsOf(values, pixels) {
  const classes = model.classes.length;
  return Uint8Array.from({ length: pixels }, (_, k) => {
    let best = 0;
    for (let c = 1; c < classes; c++) if (values[c * pixels + k] > values[best * pixels + k]) best = c;
    return best;
  });
}

function shares(labels) {
  return model.classes.map((name, k) => {
    const pixels = labels.reduce((sum, label) => sum + (label === k), 0);
    return { name, pixels, share: pixels / labels.length };
  });
}

async function show(session, image) {
  const pixels = image.height * image.width;
  if (pixels > MOST_PIXELS) throw new Error(`This image has ${image.width} x ${image.height} pixels; this page masks up to 1,024 x 1,024.`);
  say(`Computing the mask of ${image.name}.`);
  const before = performance.now();
  const values = await predict(session, image);
  const milliseconds = Math.round(performance.now() - before);
  const labels = labelsOf(values, pixels);
  shown = { image, values, labels, truth: image.mask ? bytesOf(image.mask) : null };
  $("result").hidden = false;
  $("result-title").textContent = image.name;
  $("what").querySelector("[value=truth]").disabled = $("what").querySelector("[value=errors]").disabled = !shown.truth;
  if (!shown.truth && ["truth", "errors"].includes($("what").value)) $("what").value = "mask";
  drawPixels($("picture"), image);
  const classes = shares(labels);
  showPrediction({ classes }, model);
  drawOverlay();
  if (image.expected) compare();
  else $("python").textContent = "Python did not see this image, so there is nothing to compare.";
  $("truth").textContent = shown.truth ? overlap() : "";
  say(`${image.name}: ${percent(classes[1].share)} of the pixels are ${classes[1].name}, in ${milliseconds} ms.`);
}

function compare() {
  const { image, values, labels } = shown;
  const python = labelsOf(image.expected, labels.length);
  const other = labels.reduce((sum, label, k) => sum + (label !== python[k]), 0);
  const text = `Python (${model.predictedBy}) predicts another class for ${other.toLocaleString("en")} of ${labels.length.toLocaleString("en")} pixels. The largest difference of a probability:`;
  endWithNumber($("python"), text, largestDifference(values, image.expected));
}

function overlap() {
  const { labels, truth } = shown;
  let both = 0;
  let either = 0;
  labels.forEach((label, k) => {
    both += label === 1 && truth[k] === 1;
    either += label === 1 || truth[k] === 1;
  });
  return `Against the true mask: IoU ${percent(both / either)} (pixels in both, of those in either).`;
}

const PAINT = {
  mask: ({ labels }, k) => (labels[k] ? [COLOUR, 1] : null),
  probability: ({ values, labels }, k) => [COLOUR, values[labels.length + k]],
  truth: ({ truth }, k) => (truth[k] ? ["#e0a100", 1] : null),
  errors: ({ labels, truth }, k) => (labels[k] === truth[k] ? null : [labels[k] ? "#d1603d" : "#3f7fd1", 1]),
};
const ABOUT = {
  mask: "the predicted mask",
  probability: "the probability of a cell, as opacity",
  truth: "the true mask",
  errors: "orange: predicted and not true; blue: true and not predicted",
};

function rgb(hex) {
  return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
}

function drawOverlay() {
  if (!shown) return;
  const { height, width } = shown.image;
  const overlay = $("overlay");
  Object.assign(overlay, { width, height });
  const pixels = new ImageData(width, height);
  for (let k = 0; k < width * height; k++) {
    const painted = PAINT[$("what").value](shown, k);
    if (painted) pixels.data.set([...rgb(painted[0]), 255 * painted[1]], 4 * k);
  }
  overlay.getContext("2d").putImageData(pixels, 0, 0);
  $("picture").ariaLabel = `${shown.image.name}, ${width} x ${height} pixels`;
  overlay.ariaLabel = $("about").textContent = `Over the image: ${ABOUT[$("what").value]}.`;
}

$("opacity")?.addEventListener("input", showOpacity);
$("what")?.addEventListener("input", drawOverlay);
const ready = chooseImages(show);

// For tests: the probabilities of an image of 8 bits.
self.eyespotMask = async (values, height, width) => {
  const { session } = await ready;
  return Array.from(await predict(session, { values, height, width }));
};
