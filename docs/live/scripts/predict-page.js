// The page that predicts digits, and compares the browser with Python.

import { chooseImages, endWithNumber, predictionOf, say } from "./chosen.js";
import { makePad } from "./draw.js";
import { drawPixels } from "./images.js";
import { largestDifference, model, probabilities } from "./network.js";
import { showPrediction, summary } from "./result.js";

const $ = (id) => document.getElementById(id);

async function predict(session, { values, height, width }) {
  return (await probabilities(session, Uint8Array.from(values), height, width)).data;
}

async function show(session, image) {
  const before = performance.now();
  const values = await predict(session, image);
  const milliseconds = performance.now() - before;
  const prediction = predictionOf(Array.from(values));
  $("result").hidden = false;
  $("result-title").textContent = image.name;
  drawPixels($("picture"), image);
  $("picture").ariaLabel = `${image.name}, ${image.width} x ${image.height} pixels`;
  showPrediction(prediction, model);
  say(`${image.name}: ${summary(prediction)}, in ${milliseconds.toFixed(1)} ms.`);
  if (image.expected) compare(values, image.expected);
  else $("python").textContent = "Python did not see this image, so there is nothing to compare.";
}

function compare(values, expected) {
  const python = summary(predictionOf(Array.from(expected)));
  const text = `Python (${model.predictedBy}) predicted ${python}. The largest difference of a probability:`;
  endWithNumber($("python"), text, largestDifference(values, expected));
}

async function compareAll({ session, images, choose }) {
  const differences = [];
  for (const image of images) differences.push(largestDifference(await predict(session, image), image.expected));
  endWithNumber($("all"), `On all ${images.length} examples, the largest difference from Python is`, Math.max(...differences));
  startPad(images[0].width, choose);
  return { session, images };
}

// A drawing is predicted after each stroke.
function startPad(side, choose) {
  const pad = makePad($("pad"), side, (values) => {
    if (values.some((value) => value > 0)) choose({ values, height: side, width: side, name: "your drawing" });
    else say("The drawing is empty.");
  });
  $("pad").ariaLabel = `Drawing of ${side} x ${side} pixels: arrow keys move, space paints, backspace clears`;
  $("clear").addEventListener("click", pad.clear);
}

const ready = chooseImages(show).then((started) => started && compareAll(started));

// For tests: the probabilities of images of 8 bits, a list of their grey values each.
self.eyespotPredict = async (images, height, width) => {
  const { session } = await ready;
  const rows = [];
  for (const values of images) rows.push(Array.from(await predict(session, { values, height, width })));
  return rows;
};
