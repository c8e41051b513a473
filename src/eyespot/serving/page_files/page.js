// The page: images come in by drop, paste, choice or webcam; each is predicted, and one of them is shown.

import { getModel, onTokenNeeded, post, setToken } from "./api.js";
import { csv, download, showTable } from "./batch.js";
import { makeControls } from "./changes.js";
import { element, percent, showOpacity, showPicture, showPrediction, summary } from "./result.js";

const $ = (id) => document.getElementById(id);
const AT_ONCE = 2;
const DELAY = 150;
let model = null;
let controls = null;
let items = [];
let current = null;
let running = 0;
let shown = 0; // counts what was asked to be shown, so that what arrives late is not shown

const say = (text) => {
  $("status").textContent = text;
};

// The model

const WORDS = { 1: "signals", 2: "images", 3: "volumes" };

function scoreText({ metric, scores, input }) {
  const score = scores[metric.key];
  if (!score || score.value === null) return `Its ${metric.name} was not measured.`;
  const between = score.low === null ? "" : ` (95% interval ${percent(score.low)} to ${percent(score.high)})`;
  const set = metric.of ? ` (${metric.of})` : "";
  return `Measured ${metric.name}: ${percent(score.value)}${between} on ${score.n.toLocaleString("en")} ${WORDS[input.axes]}${set}.`;
}

async function start() {
  try {
    model = await getModel();
  } catch (error) {
    say(error.message);
    return;
  }
  const word = WORDS[model.input.axes];
  $("hint").textContent = `Drop ${word} here, ${word === "images" ? "paste one, " : ""}or choose files. They are sent to this server and nowhere else.`;
  $("choose").textContent = `Choose ${word}`;
  $("camera").hidden = word !== "images";
  document.title = `${model.name}: eyespot`;
  $("title").textContent = model.name;
  const task = model.task[0].toUpperCase() + model.task.slice(1);
  $("about").textContent = `${task} of ${word} into ${model.classes.length} classes, by the network ${model.network}`;
  $("score").textContent = scoreText(model);
  $("certificate").textContent = model.certificate.sentence;
  $("token-form").hidden = true;
  if (model.input.fields.length > 1) {
    $("hint").textContent = `Each image of this network is ${model.input.fields.length} files, which the API takes (${model.input.fields.join(", ")}) and this page does not.`;
  }
  $("mask-box").hidden = !model.colours;
  prepareTools();
}

function prepareTools() {
  $("explain").hidden = !model.explanations.length;
  $("explain-class").replaceChildren(element("option", { value: "" }, "the predicted one"));
  $("explain-class").append(...model.classes.map((name) => element("option", { value: name }, name)));
  $("explain-method").replaceChildren(...model.explanations.map((name) => element("option", { value: name }, name)));
  $("changes").hidden = !model.changes.length;
  $("sliders").replaceChildren();
  controls = makeControls(model.changes, $("sliders"), changesMoved);
}

// Images that come in

function add(blobs) {
  if (!model || !blobs.length) return;
  const first = { name: blobs[0].name || "pasted image", blob: blobs[0] };
  const rest = [...blobs].slice(1).map((blob) => ({ name: blob.name || "image", blob }));
  items.push(first, ...rest);
  $("batch").hidden = items.length < 2;
  show(first);
  pump();
}

function pump() {
  const waiting = items.filter((item) => !item.started);
  for (const item of waiting.slice(0, AT_ONCE - running)) predict(item);
}

async function predict(item) {
  item.started = true;
  running += 1;
  try {
    item.prediction = await post("/v1/predict", item === current ? { view: true } : {}, item.blob, item.name);
  } catch (error) {
    item.error = error.message;
  }
  running -= 1;
  if (item === current) show(item);
  else refresh();
  pump();
}

function refresh() {
  showTable(items, current, model, show);
  const left = items.filter((item) => !item.prediction && !item.error).length;
  if (left) say(`${items.length - left} of ${items.length} images predicted`);
  else if (items.length > 1) say(`All ${items.length} images are done. ${current ? sentence(current) : ""}`);
}

function sentence(item) {
  return item.error ? `${item.name}: ${item.error}` : item.prediction ? `${item.name}: ${summary(item.prediction)}` : `${item.name} is on its way`;
}

// The image that is shown

async function show(item) {
  const number = ++shown;
  current = item;
  $("result").hidden = false;
  $("result-title").textContent = item.name;
  $("error").hidden = !item.error;
  $("error").textContent = item.error || "";
  const ready = Boolean(item.prediction) && !item.error;
  for (const id of ["figure", "details"]) $(id).hidden = !ready;
  $("changes").hidden = !ready || !model.changes.length;
  hideExplanation();
  controls.reset();
  refresh();
  if (items.length === 1) say(sentence(item));
  if (!ready) return;
  try {
    if (!item.prediction.view) item.prediction = await post("/v1/predict", { view: true }, item.blob, item.name);
    if (number === shown) showAgain();
  } catch (error) {
    say(error.message);
  }
}

function showAgain() {
  showPrediction(current.prediction, model);
  showPicture(current.prediction.view, current.name);
}

const ENDINGS = { png: "png", tiff: "tif", nifti: "nii.gz", npy: "npy" };

async function saveMask() {
  try {
    const { mask } = await post("/v1/predict", { mask: true }, current.blob, current.name);
    const bytes = Uint8Array.from(atob(mask.data), (letter) => letter.charCodeAt(0));
    download(bytes, `${current.name.replace(/\.[^.]*$/, "")}-mask.${ENDINGS[mask.format]}`);
  } catch (error) {
    say(error.message);
  }
}

// What the network looked at

function hideExplanation() {
  $("explanation").textContent = "";
  $("explain-off").hidden = true;
}

async function explain(event) {
  event.preventDefault();
  const number = ++shown;
  controls.reset();
  const query = { method: $("explain-method").value };
  if ($("explain-class").value) query.class = $("explain-class").value;
  say("Computing what the network looked at");
  try {
    const found = await post("/v1/explain", query, current.blob, current.name);
    if (number !== shown) return;
    showPrediction(current.prediction, model);
    showPicture(found.view, current.name, `Orange speaks for ${found.target}, blue against it.`);
    $("explain-off").hidden = false;
    const warnings = found.warnings.map((text) => ` Warning: ${text}.`).join("");
    $("explanation").textContent = `${found.method}${found.layer ? ` at ${found.layer}` : ""}; ${found.label}: ${found.why}.${warnings}`;
    say(`The map shows what speaks for ${found.target}`);
  } catch (error) {
    if (number === shown) say(error.message);
  }
}

// Changed images

let timer = 0;

function changesMoved() {
  clearTimeout(timer);
  timer = setTimeout(showChanged, DELAY);
}

async function showChanged() {
  const number = ++shown;
  const chosen = controls.chosen();
  hideExplanation();
  if (!chosen.length) {
    showAgain();
    say(`Unchanged: ${summary(current.prediction)}`);
    return;
  }
  try {
    const changed = await post("/v1/transform", chosen, current.blob, current.name);
    if (number !== shown) return;
    showPrediction(changed, model);
    showPicture(changed.view, `${current.name}, changed`, verdict(changed));
    say(verdict(changed));
  } catch (error) {
    if (number === shown) say(error.message);
  }
}

function verdict(changed) {
  if (changed.label === undefined) return `Changed: ${summary(changed)}`;
  const before = current.prediction.label;
  return changed.label === before
    ? `Changed, and still ${summary(changed)}.`
    : `Changed: now ${summary(changed)}, before ${summary(current.prediction)}.`;
}

// What a person does

$("choose").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", () => {
  add($("files").files);
  $("files").value = "";
});
$("opacity").addEventListener("input", showOpacity);
$("explain").addEventListener("submit", explain);
$("explain-off").addEventListener("click", () => {
  hideExplanation();
  showAgain();
});
$("reset").addEventListener("click", () => {
  controls.reset();
  showChanged();
});
$("csv").addEventListener("click", () => download(csv(items, model), `${model.name}-predictions.csv`));
$("mask").addEventListener("click", saveMask);
$("clear").addEventListener("click", () => {
  items = [];
  current = null;
  shown += 1;
  $("result").hidden = $("batch").hidden = true;
  say("All images are removed");
  $("choose").focus();
});
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken($("token").value.trim());
  start();
});
onTokenNeeded(() => {
  $("token-form").hidden = false;
  $("token").focus();
});

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    if (kind === "drop" || event.relatedTarget === null) $("drop").classList.remove("over");
  });
}
document.addEventListener("drop", (event) => add(event.dataTransfer.files));
document.addEventListener("paste", (event) => add(event.clipboardData.files));

// The webcam

let stream = null;

function cameraOff() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  $("camera-box").hidden = true;
  $("camera").focus();
}

$("camera").addEventListener("click", async () => {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: true });
  } catch {
    say("There is no webcam here, or this page may not use it: choose a file instead.");
    return;
  }
  $("camera-box").hidden = false;
  $("video").srcObject = stream;
  await $("video").play();
  $("shoot").focus();
});
$("camera-off").addEventListener("click", cameraOff);
$("shoot").addEventListener("click", () => {
  const canvas = element("canvas", { width: $("video").videoWidth, height: $("video").videoHeight });
  canvas.getContext("2d").drawImage($("video"), 0, 0);
  canvas.toBlob((blob) => add([new File([blob], "webcam.png", { type: "image/png" })]), "image/png");
});

start();
