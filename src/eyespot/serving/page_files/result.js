// The result of one image: bars of classes or the legend of a mask, the picture, and what lies over it.

const $ = (id) => document.getElementById(id);
const MOST = 8;
const TINY = 200;

export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1%";
  if (share < 1 && share > 0.999) return "> 99.9%";
  return `${(100 * share).toFixed(1)}%`;
}

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function row(name, share, text, { best = false, colour = null } = {}) {
  const bar = element("span", { className: "bar", ariaHidden: "true" });
  bar.style.width = `${100 * share}%`;
  const label = element("span", {}, name);
  if (colour !== null) {
    const swatch = element("span", { className: "swatch", ariaHidden: "true" });
    swatch.style.background = colour || "transparent";
    label.prepend(swatch);
  }
  return element("li", { className: best ? "best" : "" }, bar, label, element("span", { className: "number" }, text));
}

function bars(prediction) {
  const sorted = Object.entries(prediction.probabilities).sort((a, b) => b[1] - a[1]);
  const list = element("ul");
  for (const [name, share] of sorted.slice(0, MOST)) {
    list.append(row(name, share, percent(share), { best: name === prediction.label }));
  }
  const rest = sorted.slice(MOST);
  if (rest.length) {
    const sum = rest.reduce((total, [, share]) => total + share, 0);
    list.append(row(`${rest.length} other classes`, sum, percent(sum)));
  }
  return list;
}

function legend(prediction, colours) {
  const list = element("ul");
  prediction.classes.forEach(({ name, pixels, share }, k) => {
    const text = pixels ? percent(share) : "none";
    list.append(row(name, share, text, { colour: colours[k] || "" }));
  });
  return list;
}

export function summary(prediction) {
  if (prediction.label !== undefined) return `${prediction.label} (${percent(prediction.probability)})`;
  const present = prediction.classes.filter((c) => c.pixels);
  return present.map((c) => `${c.name} ${percent(c.share)}`).join(", ") || "no class in any pixel";
}

export function showPrediction(prediction, model) {
  $("labels-title").textContent = prediction.label === undefined ? "Share of the image" : "Class and probability";
  $("labels").replaceChildren(prediction.label === undefined ? legend(prediction, model.colours) : bars(prediction));
  $("remarks").replaceChildren(...(prediction.remarks || []).map((text) => element("li", {}, `Note: ${text}.`)));
}

const address = (text) => `data:image/png;base64,${text}`;

export function showPicture(view, alt, about = "") {
  const picture = $("picture");
  picture.onload = () => {
    $("stack").classList.toggle("tiny", picture.naturalWidth < TINY);
    $("stack").classList.toggle("tall", picture.naturalHeight > picture.naturalWidth);
  };
  picture.src = address(view.picture);
  picture.alt = alt;
  const slice = view.slice === undefined ? "" : ` Slice ${view.slice + 1} is shown.`;
  $("caption").textContent = `${about}${slice}`.trim();
  showOverlay(view.overlay);
}

export function showOverlay(overlay) {
  $("overlay").hidden = $("opacity-box").hidden = !overlay;
  if (overlay) $("overlay").src = address(overlay);
}

export function showOpacity() {
  const share = $("opacity").value;
  $("overlay").style.opacity = share / 100;
  $("opacity-value").textContent = `${share}%`;
}
