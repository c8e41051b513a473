// A small canvas to draw on, with a pointer or with the keyboard: arrow keys move, space paints, backspace clears.

const BRUSH = 1.15; // pixels from the middle of the stroke to where it ends
const SCALE = 24;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// `changed(values)` gets the grey values after each stroke.
export function makePad(canvas, side, changed) {
  const values = new Uint8Array(side * side);
  const cursor = { x: side / 2, y: side / 2, shown: false };
  let before = null;

  function draw() {
    Object.assign(canvas, { width: side * SCALE, height: side * SCALE });
    const context = canvas.getContext("2d");
    values.forEach((value, k) => {
      context.fillStyle = `rgb(${value} ${value} ${value})`;
      context.fillRect((k % side) * SCALE, Math.floor(k / side) * SCALE, SCALE, SCALE);
    });
    if (!cursor.shown) return;
    context.strokeStyle = "#ffb000";
    context.lineWidth = 2;
    context.strokeRect(Math.floor(cursor.x) * SCALE + 1, Math.floor(cursor.y) * SCALE + 1, SCALE - 2, SCALE - 2);
  }

  // A pixel is as bright as the brush covers it: white at its middle, black at BRUSH pixels from it.
  function dot(x, y) {
    values.forEach((value, k) => {
      const distance = Math.hypot((k % side) + 0.5 - x, Math.floor(k / side) + 0.5 - y);
      values[k] = Math.max(value, Math.round(255 * Math.min(1, Math.max(0, 1.5 * (1 - distance / BRUSH)))));
    });
  }

  function stroke(x, y) {
    const start = before || { x, y };
    const steps = Math.max(1, Math.ceil(4 * Math.hypot(x - start.x, y - start.y)));
    for (let k = 0; k <= steps; k++) dot(start.x + ((x - start.x) * k) / steps, start.y + ((y - start.y) * k) / steps);
    before = { x, y };
    draw();
    changed(values.slice());
  }

  function clear() {
    values.fill(0);
    before = null;
    draw();
    changed(values.slice());
  }

  function at(event) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * side, ((event.clientY - box.top) / box.height) * side];
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    cursor.shown = false;
    before = null;
    stroke(...at(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) stroke(...at(event));
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Backspace") clear();
    else if (event.key === " ") {
      before = null;
      stroke(Math.floor(cursor.x) + 0.5, Math.floor(cursor.y) + 0.5);
    } else if (MOVES[event.key]) {
      cursor.x = Math.min(side - 0.5, Math.max(0.5, Math.floor(cursor.x) + 0.5 + MOVES[event.key][0]));
      cursor.y = Math.min(side - 0.5, Math.max(0.5, Math.floor(cursor.y) + 0.5 + MOVES[event.key][1]));
      cursor.shown = true;
      draw();
    } else return;
    event.preventDefault();
  });
  draw();
  return { clear };
}
