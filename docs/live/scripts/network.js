// An exported network in this browser: ONNX Runtime in wasm, one thread, everything from scripts beside the page.

export const model = self.eyespotModel;

export function bytesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let k = 0; k < letters.length; k++) bytes[k] = letters.charCodeAt(k);
  return bytes;
}

async function unzipped(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// The session. Throws a sentence where the browser is too old.
export async function start() {
  if (typeof DecompressionStream === "undefined" || typeof WebAssembly === "undefined") {
    throw new Error("This browser is too old for the network: it needs WebAssembly and DecompressionStream.");
  }
  const { glue, wasm } = self.eyespotRuntime;
  const { env, InferenceSession } = self.ort;
  env.wasm.numThreads = 1;
  env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([bytesOf(glue)], { type: "text/javascript" })) };
  env.wasm.wasmBinary = await unzipped(bytesOf(wasm));
  return InferenceSession.create(bytesOf(model.onnx), { executionProviders: ["wasm"] });
}

let running = Promise.resolve();

// Probabilities of images of one size, their values one after the other: a tensor. One run at a time.
export function probabilities(session, pixels, height, width) {
  const channels = model.examples[0].shape[2];
  const count = pixels.length / (height * width * channels);
  const tensor = new self.ort.Tensor("uint8", pixels, [count, height, width, channels]);
  const run = running.then(() => session.run({ pixels: tensor }, ["probabilities"]));
  running = run.catch(() => {});
  return run.then((outputs) => outputs.probabilities);
}

// The example images of the network, with what Python predicts for them.
export function examples() {
  return model.examples.map((example) => ({
    ...example,
    values: bytesOf(example.pixels),
    height: example.shape[0],
    width: example.shape[1],
    channels: example.shape[2],
    expected: new Float32Array(bytesOf(example.expected).buffer),
  }));
}

export function largestDifference(a, b) {
  let largest = 0;
  for (let k = 0; k < a.length; k++) largest = Math.max(largest, Math.abs(a[k] - b[k]));
  return a.length === b.length ? largest : NaN;
}
