// Requests to the server that this page came from, with its token if it needs one.

const RETRIES = 30;
let token = sessionStorage.getItem("eyespot-token") || "";
let askForToken = () => {};

export function onTokenNeeded(show) {
  askForToken = show;
}

export function setToken(text) {
  token = text;
  sessionStorage.setItem("eyespot-token", text);
}

function headers() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

async function send(path, options) {
  for (let attempt = 0; ; attempt++) {
    let response;
    try {
      response = await fetch(path, { ...options, headers: headers() });
    } catch {
      throw new Error("The server cannot be reached: is it still running?");
    }
    if (response.status === 503 && attempt < RETRIES) {
      await pause(Number(response.headers.get("Retry-After")) || 1);
      continue;
    }
    if (response.status === 401) askForToken();
    const document = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(reason(document, response.status));
    return document;
  }
}

// Of one image the reason alone, since the page shows its name.
function reason(document, status) {
  const predictions = document.predictions || [];
  if (predictions.length === 1 && predictions[0].error) return `It cannot be read: ${predictions[0].error}.`;
  return document.error?.message || `The server sent the status ${status}.`;
}

export function getModel() {
  return send("/v1/model", {});
}

// One image to a path with a query; the entry of the document that has its result.
export async function post(path, query, blob, name) {
  const form = new FormData();
  form.append("image", blob, name);
  const document = await send(`${path}?${new URLSearchParams(query)}`, { method: "POST", body: form });
  return (document.predictions || document.explanations)[0];
}
