"""The page of `eyespot serve` in headless Chromium: drop, paste, prediction, overlay, error, keyboard, without a network."""

import base64
import json
import threading
import time

import pytest
import uvicorn

from browser import CHROMIUM, Browser
from eyespot.serving.app import create_app
from eyespot.serving.limits import Limits
from eyespot.serving.serve import listen
from eyespot.serving.service import Service
from serving_models import CLASSES, class_card, mask_card, png, predictor_of_card

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


class Server:
    """A server in a thread of this process."""

    def __init__(self, card, token=None):
        service = Service(predictor_of_card(card), Limits(), "runs/animals")
        self.listening = listen("127.0.0.1", 0)
        config = uvicorn.Config(create_app(service, token), log_config=None, lifespan="on")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listening]})
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join()
        self.listening.close()


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def classes():
    with Server(class_card()) as server:
        yield server


@pytest.fixture(scope="module")
def masks():
    with Server(mask_card()) as server:
        yield server


def opened(browser, server):
    browser.errors.clear()
    browser.requests.clear()
    browser.open(server.address)
    browser.until("document.getElementById('score').textContent")


def give(browser, how: str, *contents: bytes) -> None:
    """Drop or paste files."""
    files = [[f"{k}.png", base64.b64encode(content).decode()] for k, content in enumerate(contents)]
    field = "dataTransfer" if how == "drop" else "clipboardData"
    kind = "DragEvent" if how == "drop" else "ClipboardEvent"
    browser.js(f"""(() => {{
      const data = new DataTransfer();
      for (const [name, text] of {json.dumps(files)})
        data.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], name));
      document.dispatchEvent(new {kind}("{how}", {{{field}: data, bubbles: true, cancelable: true}}));
    }})()""")


def text(browser, name: str) -> str:
    return browser.js(f"document.getElementById('{name}').innerText")


def test_drop_and_paste(browser, classes):
    opened(browser, classes)
    assert "90.0%" in text(browser, "score") and "85.0% to 94.0%" in text(browser, "score")
    for how in ("drop", "paste"):
        give(browser, how, png(0, (30, 40, 3)))
        browser.until("document.querySelectorAll('#labels li').length === 3")
        browser.until("document.getElementById('status').innerText.includes('%')")
        browser.until("document.getElementById('picture').naturalWidth === 40")
    assert browser.js("document.getElementById('overlay').hidden")
    assert not browser.errors
    assert all(address.startswith((classes.address, "blob:", "data:")) for address in browser.requests)


def test_explanation_and_changes(browser, classes):
    opened(browser, classes)
    give(browser, "drop", png(0, (30, 40, 3)))
    browser.until("document.querySelectorAll('#labels li').length === 3")
    browser.js(f"document.getElementById('explain-class').value = '{CLASSES[2]}'")
    browser.js("document.querySelector('#explain button').click()")
    browser.until("!document.getElementById('overlay').hidden")
    assert f"speaks for {CLASSES[2]}" in text(browser, "caption")
    browser.js("""(() => { const o = document.getElementById('opacity'); o.value = 25;
                  o.dispatchEvent(new Event('input')); })()""")
    assert browser.js("document.getElementById('overlay').style.opacity") == "0.25"
    browser.js("document.getElementById('explain-off').click()")
    assert browser.js("document.getElementById('overlay').hidden")
    browser.js("""(() => { document.getElementById('changes').open = true;
                  const r = document.getElementById('change-rotate'); r.value = 30;
                  r.dispatchEvent(new Event('input')); })()""")
    browser.until("document.getElementById('caption').innerText.startsWith('Changed')")
    browser.js("document.getElementById('reset').click()")
    browser.until("document.getElementById('status').innerText.startsWith('Unchanged')")
    assert not browser.errors


def test_mask_overlay_and_legend(browser, masks):
    opened(browser, masks)
    give(browser, "drop", png(0, (40, 30)))
    browser.until("document.querySelectorAll('#labels .swatch').length === 2")
    browser.until("document.getElementById('overlay').naturalWidth === 30")
    assert not browser.js("document.getElementById('opacity-box').hidden")
    browser.js("""(() => { window.saved = []; const make = URL.createObjectURL;
                  URL.createObjectURL = (blob) => { window.saved.push(blob.size); return make(blob); }; })()""")
    browser.js("document.getElementById('mask').click()")
    assert browser.until("window.saved[0]") > 60


def test_an_error_is_said(browser, classes):
    opened(browser, classes)
    give(browser, "drop", b"not an image")
    browser.until("!document.getElementById('error').hidden")
    assert "not an image" in text(browser, "error")
    assert browser.js("document.getElementById('figure').hidden")


def test_a_batch_becomes_a_csv(browser, classes):
    opened(browser, classes)
    browser.js("""(() => { window.saved = []; const make = URL.createObjectURL;
                  URL.createObjectURL = (blob) => { blob.text().then(t => window.saved.push(t)); return make(blob); }; })()""")
    give(browser, "drop", png(0), b"no", png(1))
    browser.until("document.getElementById('status').innerText.startsWith('All 3 images')")
    assert browser.js("document.querySelectorAll('#rows tr').length") == 3
    browser.js("document.getElementById('csv').click()")
    lines = browser.until("window.saved[0]").splitlines()
    assert lines[0] == "name,label,probability,error,cat,dog,hen" and len(lines) == 4
    assert lines[1].split(",")[1] in CLASSES and "not an image" in lines[2]
    browser.js("document.querySelectorAll('#rows button')[2].click()")
    browser.until(
        "document.getElementById('result-title').innerText === '2.png' && document.getElementById('picture').naturalWidth > 0"
    )


def test_keyboard(browser, classes):
    """Everything is reached by Tab, in the order of the page, and sliders move with arrows."""
    opened(browser, classes)
    give(browser, "drop", png(0))
    browser.until("document.querySelectorAll('#labels li').length === 3")
    browser.js("document.getElementById('changes').open = true; document.body.focus()")
    reached = []
    for _ in range(40):
        browser.press("Tab", 9)
        reached.append(browser.js("document.activeElement.id || document.activeElement.tagName"))
    for name in (
        "choose",
        "camera",
        "explain-class",
        "explain-method",
        "BUTTON",
        "SUMMARY",
        "change-rotate",
        "reset",
    ):
        assert name in reached, reached
    browser.js("document.getElementById('change-rotate').focus()")
    browser.press("ArrowRight", 39)
    browser.until("document.getElementById('caption').innerText.startsWith('Changed')")


def test_the_webcam(browser, classes):
    opened(browser, classes)
    browser.js("document.getElementById('camera').click()")
    browser.until(
        "!document.getElementById('camera-box').hidden && document.getElementById('video').videoWidth > 0"
    )
    browser.js("document.getElementById('shoot').click()")
    browser.until("document.getElementById('result-title').innerText === 'webcam.png'")
    browser.until("document.querySelectorAll('#labels li').length === 3")
    browser.js("document.getElementById('camera-off').click()")


def test_token(browser):
    with Server(class_card(), "0123456789abcdef") as server:
        browser.open(server.address)
        browser.until("!document.getElementById('token-form').hidden")
        browser.js("document.getElementById('token').value = '0123456789abcdef'")
        browser.js("document.querySelector('#token-form button').click()")
        browser.until(
            "document.getElementById('token-form').hidden && document.getElementById('score').textContent"
        )
        give(browser, "drop", png(0))
        browser.until("document.querySelectorAll('#labels li').length === 3")


def test_without_a_network_the_server_is_missed(browser, classes):
    opened(browser, classes)
    browser.call(
        "Network.emulateNetworkConditions",
        offline=True,
        latency=0,
        downloadThroughput=-1,
        uploadThroughput=-1,
    )
    give(browser, "drop", png(0))
    browser.until("document.getElementById('error').innerText.includes('cannot be reached')")
    browser.call(
        "Network.emulateNetworkConditions",
        offline=False,
        latency=0,
        downloadThroughput=-1,
        uploadThroughput=-1,
    )
