// Probabilities along a slider, a line per class, with a mark where the slider is.

import { element } from "./result.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [560, 260, 44, 34, 12, 12];
const STYLES = [["#1f8aad", ""], ["#d1603d", "7 3"], ["#7a9a3a", "2 3"], ["#a070b4", "9 3 2 3"], ["#c08a1e", "5 5"]];

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const along = (x, points) => LEFT + ((x - points[0]) / (points.at(-1) - points[0])) * (WIDTH - LEFT - RIGHT);
const above = (share) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);

function axes(points, unit) {
  const made = [];
  for (const share of [0, 0.5, 1]) {
    const y = above(share);
    made.push(svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y }));
    made.push(svg("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, `${100 * share}%`));
  }
  for (const [share, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
    const value = points[0] + share * (points.at(-1) - points[0]);
    made.push(svg("text", { x: along(value, points), y: HEIGHT - 12, "text-anchor": anchor }, `${value} ${unit}`));
  }
  return made;
}

// lines: [{ name, shares }], the first drawn strongest. `now` is where the slider is.
export function drawChart(chart, key, { points, unit, lines, now, about }) {
  const drawn = lines.map(({ shares }, k) => {
    const path = shares.map((share, n) => `${n ? "L" : "M"}${along(points[n], points).toFixed(1)} ${above(share).toFixed(1)}`).join("");
    return svg("path", { d: path, fill: "none", stroke: STYLES[k][0], "stroke-width": k ? 2 : 3, "stroke-dasharray": STYLES[k][1] });
  });
  const x = along(now, points);
  const mark = svg("line", { class: "now", x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM });
  chart.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  chart.setAttribute("aria-label", about);
  chart.replaceChildren(...axes(points, unit), ...drawn, mark);
  key.replaceChildren(
    ...lines.map(({ name }, k) => {
      const sample = svg("svg", { width: 28, height: 10, "aria-hidden": "true" });
      sample.append(svg("line", { x1: 0, x2: 28, y1: 5, y2: 5, stroke: STYLES[k][0], "stroke-width": k ? 2 : 3, "stroke-dasharray": STYLES[k][1] }));
      return element("li", {}, sample, ` ${name}`);
    }),
  );
}

export const MOST_LINES = STYLES.length;
