// What if the image were different: a control for each change of the invariance report.

import { element } from "./result.js";

const STEPS = 40;

function text(change, severity) {
  if (!severity) return "unchanged";
  if (change.unit === "%") return `${(100 * severity).toFixed(severity * 100 % 1 ? 1 : 0)}%`;
  return `${Math.round(100 * severity) / 100} ${change.unit}`.trim();
}

function range(change, id) {
  const most = Math.max(...change.severities);
  const input = element("input", { type: "range", id });
  Object.assign(input, { min: change.either_way ? -most : 0, max: most, step: most / STEPS, value: 0 });
  return input;
}

function choice(change, id) {
  const select = element("select", { id }, element("option", { value: 0 }, "unchanged"));
  for (const severity of change.severities) {
    select.append(element("option", { value: severity }, text(change, severity)));
  }
  return select;
}

const MAKE = { range, choice, switch: (_, id) => element("input", { type: "checkbox", id, value: 1 }) };

// A control for each change. `moved` is called when one was moved; the result has the changes as the API wants them.
export function makeControls(changes, box, moved) {
  const controls = changes.map((change) => {
    const id = `change-${change.name}`;
    const input = MAKE[change.kind](change, id);
    const output = element("output", { htmlFor: id });
    const value = () => (change.kind === "switch" ? Number(input.checked) : Number(input.value));
    const show = () => {
      output.textContent = change.kind === "range" ? text(change, Math.abs(value()) < 1e-9 ? 0 : value()) : "";
    };
    input.addEventListener("input", () => {
      show();
      moved();
    });
    const line = element("p", { className: "slider" }, element("label", { htmlFor: id }, change.name), input, output);
    box.append(element("div", {}, line, element("small", { id: `${id}-about` }, change.meaning)));
    input.setAttribute("aria-describedby", `${id}-about`);
    show();
    const reset = () => {
      if (change.kind === "switch") input.checked = false;
      else input.value = 0;
      show();
    };
    return { change, value, reset };
  });
  return {
    chosen: () => controls.filter((c) => Math.abs(c.value()) > 1e-9).map((c) => ["change", `${c.change.name}:${c.value()}`]),
    reset: () => controls.forEach((c) => c.reset()),
  };
}
