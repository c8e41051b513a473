// The page that turns, shifts and mirrors an image, and draws the probability of classes along the slider.

import { drawChart, MOST_LINES } from "./chart.js";
import { chooseImages, predictionOf, say } from "./chosen.js";
import { drawPixels, shrink } from "./images.js";
import { examples, model, probabilities } from "./network.js";
import { percent, showPrediction, summary } from "./result.js";
import { warp } from "./warp.js";

const $ = (id) => document.getElementById(id);
const SLIDERS = ["degrees", "right", "down"];
const SWITCHES = ["mirrored", "upsideDown"];
const WORDS = { degrees: "turned by", right: "moved to the right by", down: "moved down by" };
const STEPS = 60;
const VISIBLE = 0.1;
const LONGEST = 64; // pixels of a side: the whole curve is predicted at each move
let moved = "degrees";
let session = null;
let image = null;
let asked = 0;

const unitOf = (name) => (name === "degrees" ? "degrees" : "pixels");

function changes() {
  const numbers = SLIDERS.map((name) => [name, Number($(name).value)]);
  return Object.fromEntries([...numbers, ...SWITCHES.map((name) => [name, $(name).checked])]);
}

async function predictAll(images) {
  const { height, width, values: first } = image;
  const pixels = new Uint8Array(images.length * first.length);
  images.forEach(({ values }, k) => pixels.set(values, k * first.length));
  const { data } = await probabilities(session, pixels, height, width);
  const classes = model.classes.length;
  return images.map((_, k) => Array.from(data.subarray(k * classes, (k + 1) * classes)));
}

function pointsOf(slider) {
  const [low, high] = [Number(slider.min), Number(slider.max)];
  return Array.from({ length: STEPS + 1 }, (_, k) => low + (k * (high - low)) / STEPS);
}

// Predict the changed image and the whole curve, and show them unless something newer was asked for.
async function update() {
  const number = ++asked;
  for (const name of SLIDERS) $(name).nextElementSibling.textContent = `${$(name).value} ${unitOf(name)}`;
  const chosen = changes();
  const points = pointsOf($(moved));
  const now = warp(image, chosen);
  const all = [image, now, ...points.map((value) => warp(image, { ...chosen, [moved]: value }))];
  const [first, changed, ...curve] = await predictAll(all);
  if (number !== asked) return;
  const before = predictionOf(first);
  const after = predictionOf(changed);
  drawPixels($("picture"), now);
  showPrediction(after, model);
  const same = after.label === before.label;
  const sentence = same ? `Still ${summary(after)}.` : `Now ${summary(after)}; unchanged it was ${summary(before)}.`;
  say(sentence);
  $("picture").ariaLabel = `${image.name}, changed. ${sentence}`;
  showCurve({ points, curve, before, value: chosen[moved] });
}

function showCurve({ points, curve, before, value }) {
  const best = model.classes.indexOf(before.label);
  const highest = model.classes.map((_, k) => Math.max(...curve.map((row) => row[k])));
  const others = model.classes.map((_, k) => k).filter((k) => k !== best && highest[k] > VISIBLE);
  const shown = [best, ...others.sort((a, b) => highest[b] - highest[a])].slice(0, MOST_LINES);
  const lines = shown.map((k) => ({ name: model.classes[k], shares: curve.map((row) => row[k]) }));
  const about = rangeText(points, curve, best);
  $("curve-title").textContent = `Probability when ${WORDS[moved]} -${$(moved).max} to ${$(moved).max} ${unitOf(moved)}`;
  drawChart($("chart"), $("key"), { points, unit: unitOf(moved), lines, now: value, about });
  $("range").textContent = about;
}

// Around zero, how far the prediction stays.
function rangeText(points, curve, best) {
  const stays = curve.map((row) => row.indexOf(Math.max(...row)) === best);
  const zero = points.findIndex((value) => value >= 0);
  const name = model.classes[best];
  const share = stays.filter(Boolean).length / stays.length;
  if (!stays[zero]) return `At 0 ${unitOf(moved)}, with the other changes, the prediction is not ${name}; it is at ${percent(share)} of the curve.`;
  let [low, high] = [zero, zero];
  while (low > 0 && stays[low - 1]) low--;
  while (high < stays.length - 1 && stays[high + 1]) high++;
  return `The prediction stays ${name} from ${points[low]} to ${points[high]} ${unitOf(moved)}, seen at ${points.length} points.`;
}

function show(started, chosen) {
  session = started;
  image = { ...chosen, ...shrink(chosen, LONGEST) };
  if (image.width < chosen.width) $("note").textContent += ` It was made smaller first, from ${chosen.width} x ${chosen.height} to ${image.width} x ${image.height} pixels.`;
  $("result").hidden = false;
  $("result-title").textContent = image.name;
  for (const [name, n] of [["right", image.width], ["down", image.height]]) {
    const most = Math.max(1, Math.floor(n / 2));
    Object.assign($(name), { min: -most, max: most, step: most / 2 / STEPS > 0.25 ? 1 : 0.25 });
  }
  return reset();
}

function reset() {
  for (const name of SLIDERS) $(name).value = 0;
  for (const name of SWITCHES) $(name).checked = false;
  return update();
}

for (const name of SLIDERS) {
  $(name).addEventListener("input", () => {
    moved = name;
    update();
  });
  $(name).addEventListener("focus", () => {
    if (moved === name) return;
    moved = name;
    update();
  });
}
for (const name of SWITCHES) $(name).addEventListener("input", update);
$("reset").addEventListener("click", reset);

// The digit that turns into another, or the bird of which the network is surest.
function firstOf({ name, classes }) {
  if (name === "digits") return 6;
  const shares = examples().map(({ expected }) => expected[classes.indexOf("bird")]);
  return shares.indexOf(Math.max(...shares));
}

const ready = chooseImages(show, firstOf(model));

// For tests: the image as it is shown, and its probabilities, after these changes.
self.eyespotInvariance = async (settings) => {
  await ready;
  const now = warp(image, settings);
  return { values: Array.from(now.values), probabilities: (await predictAll([now]))[0] };
};
