// The image that a network page works on: one of the examples, or a file.

import { drawPixels, onFiles, readImage } from "./images.js";
import { examples, model, start } from "./network.js";
import { element, percent } from "./result.js";

const channels = model ? model.examples[0].shape[2] : 1;
const $ = (id) => document.getElementById(id);

export const say = (text) => {
  $("status").textContent = text;
};

function note(image) {
  if (image.expected) return "";
  const grey = image.coloured && channels === 1 ? "Its colours were made grey here; eyespot itself refuses colours for this network. " : "";
  return `${grey}The network was trained on images of ${model.examples[0].width} x ${model.examples[0].height} pixels like the examples, and gives probabilities for anything.`;
}

function button(image, choose) {
  const canvas = element("canvas", { ariaHidden: "true" });
  drawPixels(canvas, image);
  const made = element("button", { type: "button", ariaPressed: "false", ariaLabel: `Example ${image.name}` }, canvas);
  made.addEventListener("click", () => choose(image));
  return made;
}

// Start the network, and call `show(session, image)` for an example, and for what is chosen later.
export async function chooseImages(show, first = 0) {
  let session;
  try {
    const before = performance.now();
    session = await start();
    say(`The network is ready, after ${Math.round(performance.now() - before)} ms.`);
  } catch (error) {
    say("");
    $("error").textContent = `The network cannot run here: ${error.message}`;
    $("error").hidden = false;
    return null;
  }
  const images = examples();
  const choose = async (image) => {
    $("error").hidden = true;
    for (const [k, other] of images.entries()) buttons[k].ariaPressed = String(other === image);
    $("note").textContent = note(image);
    await show(session, image);
  };
  const buttons = images.map((image) => button(image, choose));
  $("examples").replaceChildren(...buttons.map((made) => element("li", {}, made)));
  const take = async (blob) => {
    try {
      const image = await readImage(blob);
      const values = channels === 3 ? image.colours : image.values;
      await choose({ ...image, values, channels, name: blob.name || "pasted image" });
    } catch (error) {
      $("error").textContent = error.message;
      $("error").hidden = false;
    }
  };
  onFiles($("drop"), $("files"), take);
  $("choose").addEventListener("click", () => $("files").click());
  $("score").textContent = scoreText();
  await choose(images[first]);
  return { session, images, choose };
}

function scoreText() {
  const { name, of, value, low, high, n } = model.score;
  const between = low === undefined || low === null ? "" : ` (95% interval ${percent(low)} to ${percent(high)})`;
  return `Measured ${name}: ${percent(value)}${between} on ${n.toLocaleString("en")} ${of} images.`;
}

// The probabilities of one image by class, as the page of `eyespot serve` shows them.
export function predictionOf(values) {
  const probabilities = Object.fromEntries(model.classes.map((name, k) => [name, values[k]]));
  const best = values.indexOf(Math.max(...values));
  return { label: model.classes[best], probability: values[best], probabilities };
}

// A sentence that ends with a small number, which is not broken over two lines.
export function endWithNumber(box, text, number) {
  const shown = number === 0 ? "0" : number.toExponential(1);
  box.replaceChildren(`${text} `, element("span", { className: "number" }, shown), ".");
}
