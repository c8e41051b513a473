// Images from files, and images on canvases. Nothing leaves the page.

const LARGEST = 4096;

// A file as grey values by Pillow's rule for "L", and as colours: { values, colours, coloured, height, width }. Throws a sentence.
export async function readImage(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Error(`${blob.name || "This file"} is no image that this browser reads: try PNG or JPEG.`);
  }
  const { width, height } = bitmap;
  if (Math.max(width, height) > LARGEST) throw new Error(`This image has ${width} x ${height} pixels; this page takes up to ${LARGEST} along a side.`);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#ffffff"; // under transparent pixels, as eyespot reads them
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  return { ...greyOf(context.getImageData(0, 0, width, height).data), width, height };
}

// RGBA as grey, (19595 R + 38470 G + 7471 B + 32768) / 65536 rounded down, and as RGB.
export function greyOf(rgba) {
  const values = new Uint8Array(rgba.length / 4);
  const colours = new Uint8Array(3 * values.length);
  let coloured = false;
  for (let k = 0; k < values.length; k++) {
    const [r, g, b] = rgba.subarray(4 * k, 4 * k + 3);
    colours.set([r, g, b], 3 * k);
    coloured = coloured || r !== g || g !== b;
    values[k] = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
  }
  return { values, colours, coloured };
}

// The same image with at most `most` pixels along its longer side, each the mean of those that it covers.
export function shrink({ values, width, height, channels = 1 }, most) {
  const factor = Math.max(width, height) / most;
  if (factor <= 1) return { values: Float64Array.from(values), width, height, channels };
  const [w, h] = [width, height].map((n) => Math.max(1, Math.round(n / factor)));
  const rows = bins(height, h);
  const columns = bins(width, w);
  const small = new Float64Array(w * h * channels);
  for (let i = 0; i < h; i++) {
    for (let j = 0; j < w; j++) {
      const area = (rows[i + 1] - rows[i]) * (columns[j + 1] - columns[j]);
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let y = rows[i]; y < rows[i + 1]; y++) for (let x = columns[j]; x < columns[j + 1]; x++) sum += values[(y * width + x) * channels + c];
        small[(i * w + j) * channels + c] = Math.round(sum / area);
      }
    }
  }
  return { values: small, width: w, height: h, channels };
}

const bins = (n, count) => Array.from({ length: count + 1 }, (_, k) => Math.floor((k * n) / count));

// Draw values on a canvas, grey ones or three for each pixel; `low` is black and `high` white.
export function drawPixels(canvas, { values, width, height, channels = 1 }, low = 0, high = 255) {
  Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  const scale = high > low ? 255 / (high - low) : 0;
  for (let k = 0; k < width * height; k++) {
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = (values[k * channels + (c % channels)] - low) * scale;
    image.data[4 * k + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// Files that are dropped anywhere, pasted or chosen go to `take`.
export function onFiles(box, input, take) {
  input.addEventListener("change", () => {
    if (input.files.length) take(input.files[0]);
    input.value = "";
  });
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      if (kind === "dragleave" && event.relatedTarget !== null) return;
      box.classList.toggle("over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files[0]);
  });
}
