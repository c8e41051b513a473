// An image turned, shifted and mirrored, as `eyespot.augment` does: positions from the middle, linear interpolation, and
// beyond the edge the image reflected about its outermost pixels. Whole quarter turns, whole shifts and mirrors copy values.

const EXACT = 1e-9;

function reflected(place, n) {
  const period = Math.max(1, 2 * (n - 1));
  const inside = ((place % period) + period) % period;
  return n - 1 - Math.abs(n - 1 - inside);
}

// The value at a position between pixels.
function valueAt({ values, height, width, channels = 1 }, y, x, channel) {
  const [top, left] = [y, x].map((place) => (Math.abs(place - Math.round(place)) < EXACT ? Math.round(place) : Math.floor(place)));
  const [down, right] = [Math.max(0, y - top), Math.max(0, x - left)];
  const at = (i, j) => values[(reflected(i, height) * width + reflected(j, width)) * channels + channel];
  const upper = down < EXACT && right < EXACT ? at(top, left) : at(top, left) * (1 - right) + at(top, left + 1) * right;
  if (down < EXACT) return upper;
  return upper * (1 - down) + (at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right) * down;
}

// Whole values from 0 to 255, the half rounded to even as in Python.
function stored(value) {
  const whole = Math.round(value);
  const half = whole - value === 0.5 && whole % 2 ? whole - 1 : whole;
  return Math.min(255, Math.max(0, half));
}

// The image mirrored first, then turned by degrees as numpy.rot90 turns, then moved by pixels to the right and down.
export function warp(image, { degrees = 0, right = 0, down = 0, mirrored = false, upsideDown = false }) {
  const { height, width, channels = 1 } = image;
  const radians = (degrees * Math.PI) / 180;
  const [cos, sin] = [Math.cos(radians), Math.sin(radians)];
  const [middleY, middleX] = [(height - 1) / 2, (width - 1) / 2];
  const values = new Uint8Array(height * width * channels);
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      const [y, x] = [i - middleY - down, j - middleX - right];
      const turnedY = cos * y + sin * x;
      const turnedX = cos * x - sin * y;
      const [fromY, fromX] = [middleY + (upsideDown ? -turnedY : turnedY), middleX + (mirrored ? -turnedX : turnedX)];
      for (let c = 0; c < channels; c++) values[(i * width + j) * channels + c] = stored(valueAt(image, fromY, fromX, c));
    }
  }
  return { ...image, values };
}
