// All images of this visit: a table, and the same as CSV.

import { element, percent, summary } from "./result.js";

const quoted = (value) => (/[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));

export function csv(items, model) {
  const ofMasks = Boolean(model.colours);
  const columns = ofMasks ? ["name", "error", ...model.classes.map((c) => `share of ${c}`)] : ["name", "label", "probability", "error", ...model.classes];
  const lines = items.map(({ name, prediction, error }) => {
    if (ofMasks) return [name, error || "", ...(prediction ? prediction.classes.map((c) => c.share) : model.classes.map(() => ""))];
    const p = prediction || {};
    return [name, p.label ?? "", p.probability ?? "", error || "", ...model.classes.map((c) => p.probabilities?.[c] ?? "")];
  });
  return [columns, ...lines].map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n";
}

export function download(content, name) {
  const link = element("a", { href: URL.createObjectURL(new Blob([content])), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export function showTable(items, current, model, choose) {
  const ofMasks = Boolean(model.colours);
  const titles = ofMasks ? ["Image", "Mask"] : ["Image", "Class", "Probability"];
  const head = titles.map((title) => element("th", { scope: "col" }, title));
  document.getElementById("head").replaceChildren(element("tr", {}, ...head));
  const rows = items.map((item) => {
    const button = element("button", { type: "button" }, item.name);
    button.addEventListener("click", () => choose(item));
    const cells = [element("td", {}, button), ...cellsOf(item, ofMasks)];
    const row = element("tr", {}, ...cells);
    if (item === current) row.setAttribute("aria-current", "true");
    return row;
  });
  document.getElementById("rows").replaceChildren(...rows);
}

function cellsOf({ prediction, error }, ofMasks) {
  const wide = ofMasks ? 1 : 2;
  if (error) return [element("td", { colSpan: wide }, error)];
  if (!prediction) return [element("td", { colSpan: wide }, "waiting")];
  if (ofMasks) return [element("td", {}, summary(prediction))];
  return [element("td", {}, prediction.label), element("td", { className: "number" }, percent(prediction.probability))];
}
