"""The live pages of the docs, built to a folder and opened from disk: their numbers are those of Python."""

import base64
import io
import itertools
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from browser import CHROMIUM, Browser
from eyespot import convolution
from eyespot.environment import usual_cache
from eyespot.softmax import softmax

LIVE = Path(__file__).parents[1] / "docs" / "live"
sys.path.insert(0, str(LIVE))

import build  # noqa: E402
import examples  # noqa: E402
import runtime  # noqa: E402
from bundle import bundle  # noqa: E402

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
FIRST = 6
"""The example that the page of invariance begins with."""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(folder, why pages cannot run): runtime and birds are taken from the user's cache, and not fetched or exported"""
    folder = tmp_path_factory.mktemp("live")
    with pytest.MonkeyPatch.context() as patch:
        for module in (runtime, examples):
            patch.setattr(module, "cache_folder", lambda: usual_cache(sys.platform))
        patch.setattr(examples, "export_birds", not_exported)
        return folder, build.build_live(folder)


def not_exported(path):
    raise examples.ModelMissing("tests do not export it")


@pytest.fixture(scope="module")
def site(built):
    return with_page(built, "predict")


def with_page(built, page):
    folder, missing = built
    if page in missing:
        pytest.skip(f"{missing[page]}; python docs/live/build.py keeps it in the cache")
    return folder


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


def open_page(browser, folder, page):
    browser.errors.clear()
    browser.requests.clear()
    browser.open(f"{(folder / page).as_uri()}.html")


def set_controls(browser, values):
    """Type into controls, and say that they changed."""
    browser.js(f"""(() => {{
      for (const [id, value] of Object.entries({json.dumps(values)})) {{
        const control = document.getElementById(id);
        control.value = value;
        control.dispatchEvent(new Event("input", {{ bubbles: true }}));
      }}
    }})()""")


def as_text(array):
    return "; ".join(" ".join(map(repr, row)) for row in np.atleast_2d(array).tolist())


CHOICES = list(
    itertools.product(
        ("convolve", "correlate"), ("full", "same", "valid"), ("zero", "replicate", "reflect", "circular")
    )
)


def setting(rng, mode, boundary, columns):
    """An input, a kernel with so many columns and options that fit each other."""
    shape = (rng.choice([1, 1, 5, 8]), rng.randint(9, 13))
    taps = (1 if shape[0] == 1 else rng.randint(1, 3), columns)
    x = np.random.default_rng(rng.randrange(1000)).normal(0, 3, shape)
    kernel = np.random.default_rng(rng.randrange(1000)).integers(-5, 6, taps)
    options = {
        "mode": mode,
        "boundary": boundary,
        "stride": rng.randint(1, 3),
        "dilation": 1 if columns == 2 else rng.randint(1, 2),
    }
    return x, kernel, options


@needs_chromium
def test_the_page_convolves_as_the_library_does(browser, built):
    open_page(browser, built[0], "convolution")
    rng = random.Random(0)
    for k, (operation, mode, boundary) in enumerate(CHOICES):
        x, kernel, options = setting(rng, mode, boundary, columns=2 + k % 4)
        set_controls(browser, {"x": as_text(x), "kernel": as_text(kernel), "operation": operation, **options})
        text = browser.js("document.getElementById('numbers').value")
        shown = np.array([[float(number) for number in row.split()] for row in text.splitlines()])
        expected = getattr(convolution, operation)(x, kernel, **options)
        assert shown.shape == expected.shape
        assert np.allclose(shown, expected, rtol=1e-12, atol=1e-12), (x, kernel, operation, options)
    assert not browser.errors


def table_of(browser):
    return browser.js("""[...document.querySelectorAll('#product table')[0].rows].map(
        (row) => [...row.cells].map((cell) => cell.innerText).join(' ')).join('\\n')""")


def matrix_text(**options):
    text = convolution.matrix_text((3,), (5,), **options)
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


@needs_chromium
def test_the_matrix_is_that_of_the_lecture_and_its_row_is_lit(browser, built):
    open_page(browser, built[0], "convolution")
    assert table_of(browser) == matrix_text() and len(matrix_text().splitlines()) == 7
    set_controls(browser, {"row": 4})
    lit = "[...document.querySelectorAll('#product tr.lit')].map((row) => row.innerText.replace(/\\s+/g, ' ').trim())"
    assert browser.js(lit) == ["0 0 w3 w2 w1", "22"]
    assert browser.js("document.getElementById('sum').innerText").startswith("y5 = w3·x3 + w2·x4 + w1·x5 = ")
    set_controls(browser, {"mode": "valid"})
    assert table_of(browser) == matrix_text(mode="valid") and len(table_of(browser).splitlines()) == 3
    set_controls(browser, {"boundary": "circular", "mode": "same"})
    assert table_of(browser) == matrix_text(mode="same", boundary="circular")


@needs_chromium
def test_the_page_says_what_does_not_fit(browser, built):
    open_page(browser, built[0], "convolution")
    set_controls(browser, {"mode": "valid", "kernel": "1 2 3 4 5 6"})
    assert "as large as the kernel" in browser.js("document.getElementById('error').innerText")
    assert browser.js("document.getElementById('result').hidden")
    set_controls(browser, {"kernel": "1 b"})
    assert "no number" in browser.js("document.getElementById('error').innerText")
    set_controls(browser, {"kernel": "1 2"})
    assert browser.js("document.getElementById('error').hidden")


def predicted_by_onnxruntime(name, images):
    """Probabilities of the exported file: a list of (height, width, 1) images of one size."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(LIVE / "models" / f"{name}.onnx")
    return session.run(["probabilities"], {"pixels": np.stack(images)})[0]


@needs_chromium
def test_a_hundred_predictions_are_those_of_python(browser, site):
    files = examples.validation_files("digits")[:100]
    images = [examples.pixels_of(file) for file in files]
    open_page(browser, site, "predict")
    rows = [image.ravel().tolist() for image in images]
    shown = np.array(browser.js(f"eyespotPredict({json.dumps(rows)}, 8, 8)"))
    torch = np.stack([examples.probabilities_of("digits", file) for file in files])
    assert shown.shape == (100, 10)
    assert np.abs(shown - torch).max() < 1e-5
    assert np.abs(shown - predicted_by_onnxruntime("digits", images)).max() < 1e-5
    browser.until("document.getElementById('all').innerText")
    assert float(browser.js("document.querySelector('#all .number').innerText")) < 1e-5
    assert not browser.errors
    assert all(address.startswith(("file:", "blob:", "data:")) for address in browser.requests)


def overlap(file):
    """IoU of the mask that torch predicts with the true one."""
    predicted = examples.probabilities_of("cells", file).argmax(0) == 1
    truth = examples.pixels_of(file.parents[1] / "masks" / file.name)[..., 0] > 0
    return (predicted & truth).sum() / (predicted | truth).sum()


@needs_chromium
def test_a_mask_is_that_of_python(browser, site):
    file = examples.validation_files("cells")[1]
    image = examples.pixels_of(file)[:96, 8:]  # another size than the examples
    open_page(browser, site, "mask")
    values = image.ravel().tolist()
    shown = np.array(browser.js(f"eyespotMask({json.dumps(values)}, {image.shape[0]}, {image.shape[1]})"))
    model = examples.predictor("cells")
    torch = softmax(model.logits(model.preprocessing.of_decoded(examples.Decoded(image))[None])[0], axis=0)
    assert np.abs(shown.reshape(torch.shape) - torch).max() < 1e-5
    assert np.abs(shown.reshape(torch.shape) - predicted_by_onnxruntime("cells", [image])[0]).max() < 1e-5
    browser.until("document.getElementById('python').innerText")
    assert "another class for 0 of 16,384 pixels" in browser.js("document.getElementById('python').innerText")
    assert f"IoU {100 * overlap(examples.shown_files('cells')[0]):.1f}%" in browser.js(
        "document.getElementById('truth').innerText"
    )
    assert not browser.errors


def test_errors_of_the_mask_lie_at_borders():
    """As the page says."""
    errors, at_borders = 0, 0
    for file in examples.validation_files("cells"):
        truth = examples.pixels_of(file.parents[1] / "masks" / file.name)[..., 0] > 0
        wrong = (examples.probabilities_of("cells", file).argmax(0) == 1) != truth
        borders = maximum_filter(truth, 3) != minimum_filter(truth, 3)
        errors += wrong.sum()
        at_borders += (wrong & borders).sum()
    assert at_borders > 0.95 * errors > 0


def moved_by_eyespot(image, degrees, right, down, mirrored):
    import torch

    from eyespot.augment.geometry import Flip, Rotate, Shift, composed

    steps = [
        (Flip(), torch.tensor([mirrored])),
        (Rotate(), torch.deg2rad(torch.tensor([float(degrees)]))),
        (Shift(), torch.tensor([[-down, -right]])),
    ]
    x = torch.from_numpy(np.moveaxis(image, -1, 0)[None].astype(np.float32))
    return composed(steps, 2).apply(x)[0][0, 0].numpy()


@needs_chromium
@pytest.mark.parametrize(
    "change", [(90, 0, 0, False), (0, 2, -1, True), (33, 1, 0, False), (-120, -3, 2, True)]
)
def test_changed_images_are_those_of_augmentation(browser, site, change):
    degrees, right, down, mirrored = change
    image = examples.pixels_of(examples.shown_files("digits")[FIRST])
    if not (browser.js("location.href") or "").endswith("invariance.html"):
        open_page(browser, site, "invariance")
    given = {"degrees": degrees, "right": right, "down": down, "mirrored": mirrored}
    shown = browser.js(f"eyespotInvariance({json.dumps(given)})")
    values = np.array(shown["values"]).reshape(8, 8)
    assert np.abs(values - moved_by_eyespot(image, *change)).max() < 0.51
    probabilities = predicted_by_onnxruntime("digits", [values.astype(np.uint8)[..., None]])[0]
    assert np.abs(np.array(shown["probabilities"]) - probabilities).max() < 1e-5
    assert not browser.errors


@needs_chromium
def test_photographs_of_birds_in_colour(browser, built):
    """As they are, and turned: the same probabilities as torch gives for the same pixels."""
    open_page(browser, with_page(built, "birds"), "birds")
    files = examples.shown_files("birds")
    bird = examples.predictor("birds").classes.index("bird")
    shares = [examples.probabilities_of("birds", file) for file in files]
    assert len(files) == 3 and all(share.argmax() == bird for share in shares)
    uncut = [examples.predictor("birds")(str(file))[0].label for file in files]
    assert "bird" not in uncut
    file = max(files, key=lambda file: examples.probabilities_of("birds", file)[bird])
    for change in ((0, 0, 0, False), (25, 0, 0, False), (0, 3, -2, True)):
        given = dict(zip(("degrees", "right", "down", "mirrored"), change, strict=True))
        shown = browser.js(f"eyespotInvariance({json.dumps(given)})")
        pixels = np.array(shown["values"], np.uint8).reshape(32, 32, 3)
        for channel in range(3):
            moved = moved_by_eyespot(examples.pixels_of(file)[..., channel : channel + 1], *change)
            assert np.abs(pixels[..., channel] - moved).max() < 0.51
        torch = list(examples.predictor("birds")(pixels)[0].probabilities.values())
        assert np.abs(np.array(shown["probabilities"]) - torch).max() < 1e-5
    assert not browser.errors


@needs_chromium
def test_a_dropped_image_is_predicted_and_a_slider_moves_the_curve(browser, site):
    open_page(browser, site, "invariance")
    browser.until("document.querySelectorAll('#chart path').length")
    before = browser.js("document.querySelector('#chart .now').getAttribute('x1')")
    set_controls(browser, {"degrees": 90})
    browser.until(f"document.querySelector('#chart .now').getAttribute('x1') !== '{before}'")
    browser.js("""new Promise((done) => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 300, height: 200 });
      canvas.getContext('2d').fillRect(50, 50, 100, 100);
      canvas.toBlob((blob) => {
        const data = new DataTransfer();
        data.items.add(new File([blob], 'mine.png', { type: 'image/png' }));
        document.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
        done();
      });
    })""")
    browser.until("document.getElementById('result-title').innerText === 'mine.png'")
    browser.until("document.getElementById('picture').width === 64")
    assert "from 300 x 200 to 64 x 43 pixels" in browser.js("document.getElementById('note').innerText")
    assert not browser.errors


@needs_chromium
def test_a_drawing_is_predicted(browser, site):
    """A stroke from top to bottom is a 1; the keyboard paints, too."""
    open_page(browser, site, "predict")
    browser.until("document.getElementById('all').innerText")
    browser.js("document.getElementById('pad').scrollIntoView({ block: 'center' })")
    box = browser.js(
        "(({ left, top, width }) => [left, top, width])(document.getElementById('pad').getBoundingClientRect())"
    )
    left, top, width = box
    middle = left + 0.5 * width
    press = {"button": "left", "buttons": 1, "clickCount": 1}
    browser.call("Input.dispatchMouseEvent", type="mousePressed", x=middle, y=top + 0.05 * width, **press)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=middle, y=top + 0.95 * width, **press)
    browser.call("Input.dispatchMouseEvent", type="mouseReleased", x=middle, y=top + 0.95 * width, **press)
    browser.until("document.getElementById('result-title').innerText === 'your drawing'")
    browser.until("document.getElementById('status').innerText.startsWith('your drawing: 1 ')")
    browser.js("document.getElementById('pad').focus()")
    browser.press("Backspace", 8)
    browser.until("document.getElementById('status').innerText === 'The drawing is empty.'")
    browser.press("ArrowDown", 40)
    browser.press(" ", 32)
    browser.until("document.getElementById('status').innerText.startsWith('your drawing: ')")
    assert not browser.errors


@needs_chromium
def test_a_dropped_image_in_colour_is_read_as_pillow_reads_it(browser, site):
    """Grey values are those of Pillow, and so is what is predicted of them, at another size than the network's."""
    colours = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, "PNG")
    open_page(browser, site, "predict")
    browser.until("document.getElementById('all').innerText")
    content = base64.b64encode(buffer.getvalue()).decode()
    browser.js(f"""(() => {{
      const bytes = Uint8Array.from(atob("{content}"), (letter) => letter.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], 'colours.png', {{ type: 'image/png' }}));
      document.dispatchEvent(new DragEvent('drop', {{ dataTransfer: data, bubbles: true, cancelable: true }}));
    }})()""")
    browser.until("document.getElementById('result-title').innerText === 'colours.png'")
    shown = browser.js("""[...document.getElementById('picture').getContext('2d').getImageData(0, 0, 40, 30).data].filter(
        (_, k) => k % 4 === 0)""")
    grey = np.asarray(Image.fromarray(colours).convert("L"))
    assert np.array_equal(np.array(shown).reshape(30, 40), grey)
    browser.until("document.getElementById('status').innerText.startsWith('colours.png: ')")
    prediction = examples.predictor("digits")(grey)[0]
    expected = f"colours.png: {prediction.label} ({100 * prediction.probability:.1f}%)"
    assert browser.js("document.getElementById('status').innerText").startswith(expected)
    assert "eyespot itself refuses colours" in browser.js("document.getElementById('note').innerText")


@needs_chromium
def test_a_dropped_signal_is_convolved(browser, built):
    open_page(browser, built[0], "convolution")
    browser.js("""(() => {
      const data = new DataTransfer();
      data.items.add(new File(['1\\n5\\n2\\n'], 'signal.csv', { type: 'text/csv' }));
      document.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    })()""")
    browser.until("document.getElementById('x').value === '1 5 2'")
    expected = convolution.convolve([1, 5, 2], [1, 2, 3], mode="same")
    assert browser.js("document.getElementById('numbers').value") == " ".join(map(str, expected))


def test_without_the_runtime_pages_say_why(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "cache_folder", lambda: tmp_path / "empty")
    monkeypatch.setattr(runtime.shutil, "which", lambda name: None)
    monkeypatch.setenv("EYESPOT_OFFLINE", "0")
    missing = build.build_live(tmp_path / "live")
    assert set(missing) == {"predict", "invariance", "birds", "mask"}
    for page, reason in missing.items():
        html = (tmp_path / "live" / f"{page}.html").read_text()
        assert reason == "npm is not installed, so onnxruntime-web@1.30.0 was not fetched"
        assert reason in html and "<script" not in html
    assert "convolution.js" in (tmp_path / "live" / "convolution.html").read_text()


def test_without_foolbox_the_page_of_birds_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "find_spec", lambda name: None)
    monkeypatch.setattr(build, "PAGES", {"birds": "birds", "convolution": None})
    monkeypatch.setattr(build, "runtime_script", lambda: b"")
    examples.shown_files.cache_clear()
    missing = build.build_live(tmp_path)
    assert set(missing) == {"birds"} and missing["birds"].endswith("pip install foolbox")
    html = (tmp_path / "birds.html").read_text()
    assert missing["birds"] in html and "<script" not in html


def test_another_package_than_the_known_one_is_refused():
    with pytest.raises(runtime.RuntimeMissing, match="it was not used"):
        runtime.check_hash(b"something else")


def test_the_folder_is_small_enough(site):
    assert sum(path.stat().st_size for path in site.iterdir()) < 20e6
    assert all(path.stat().st_size < 300_000 for path in (LIVE / "models").iterdir())


def test_the_command_line_builds(built):
    assert subprocess.run([sys.executable, LIVE / "build.py", "--help"], capture_output=True).returncode == 0


def test_unknown_forms_of_modules_are_refused():
    with pytest.raises(ValueError, match="not a form"):
        bundle("page", [], {"page": "export default 3;\n"})
