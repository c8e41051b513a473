"""Results in a notebook: they show themselves, progress is one line, and ten cells run from start to end."""

import re
import warnings

import numpy as np
import pytest
from PIL import ImageColor

import serving_models as models
from conftest import write_set
from eyespot.data.masks.mapping import VOID
from eyespot.notebook import html
from eyespot.notebook.predictions import over
from eyespot.overlays import SHARE
from eyespot.pictures import class_colour
from eyespot.prediction.predictions import Prediction, Predictions

CELLS = [
    "import numpy as np\nimport eyespot\nfrom PIL import Image\nfrom pathlib import Path\ndata = Path({data!r})",
    "eyespot.look(data)",
    "run = eyespot.train(data, epochs=1, model='tiny', size=16, batch=8, recipe='none', augment='none', out={out!r})",
    "run",
    "eyespot.Run(run.folder).evaluation",
    "run.predict(data / 'rows')",
    "run.predict(np.stack([np.asarray(Image.open(p)) for p in sorted(data.rglob('*.png'))]))",
    "eyespot.explain(run.folder, data / 'rows' / '000.png', method='gradient')",
    "eyespot.datasets.read(data)",
    "import eyespot.console as console\nconsole.LIVE_SECONDS = 0\n"
    "for i in console.track(range(200), 200, 'working'): pass\nconsole.live('half of it')",
]
LARGEST = 200_000
"""Letters of what a cell shows of this small data set."""


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The outputs of each cell, run by a kernel."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient runs notebooks: pip install 'eyespot[dev]'")
    pytest.importorskip(
        "ipykernel", reason="ipykernel is the kernel of notebooks: pip install 'eyespot[dev]'"
    )
    import nbformat.v4 as v4

    root = tmp_path_factory.mktemp("notebook")
    data = write_set(root / "photos", per_class=7, kinds=2)
    filled = [cell.format(data=str(data), out=str(root / "run")) for cell in CELLS]
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in filled])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the client's own packages
        nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(root))
    return [cell.outputs for cell in notebook.cells]


def shown(outputs) -> list[str]:
    return [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]


def test_ten_cells_show_their_results(cells):
    assert len(cells) == 10
    for number in (1, 3, 4, 5, 6, 7, 8):
        (page,) = shown(cells[number])
        assert len(page) < LARGEST, CELLS[number]
        pictures = re.findall(r"<(?:img|svg)[^>]*>", page)
        named = [re.search(r'(alt|aria-label)="[^"]+"', picture) for picture in pictures]
        assert pictures and all(named), CELLS[number]
        plain = cells[number][-1].data["text/plain"]
        assert plain and "object at 0x" not in plain
    assert "would be trained at" in shown(cells[1])[0] and "95% interval for" in shown(cells[4])[0]
    assert "Loss from epoch" in shown(cells[3])[0] and "accuracy" in shown(cells[4])[0]
    assert shown(cells[5])[0].count("<figure") == 7 and "and 2 other predictions" in shown(cells[6])[0]


def test_progress_is_one_line_of_a_cell(cells):
    lines = [output for output in cells[9] if output.output_type == "display_data"]
    assert [line.data["text/plain"] for line in lines] == ["half of it"]
    assert len(cells[9]) == 1
    training = [output for output in cells[2] if output.output_type != "stream"]
    assert len(training) <= 1


def test_names_cannot_break_a_page():
    odd = "<b>&\"'.png"
    page = Predictions([Prediction(odd, "<i>", 0.9, {"<i>": 0.9}, picture=np.zeros((4, 4, 3), np.uint8))])
    assert "<b>" not in page._repr_html_() and "<i>9" not in page._repr_html_()
    assert "<b>" not in html.table([odd], [[odd]]) + html.line(odd) + html.text(odd) + html.link(odd, odd)


def test_long_tables_are_cut():
    page = html.table(["n"], [[i] for i in range(50)], "class")
    assert page.count("<tr>") == 21 and "and 30 other classes" in page


def test_masks_look_as_in_the_report_and_void_is_hatched():
    small = np.zeros((60, 80, 3), np.uint8)
    labels = np.zeros((30, 40), np.uint8)
    labels[:15, 20:] = 2
    labels[20:] = VOID
    drawn = np.asarray(over(small, labels)).astype(int)
    k = len(drawn) // 60
    colour = np.array(ImageColor.getrgb(class_colour(2, False) or ""))
    assert np.abs(drawn[10 * k, 60 * k] - SHARE * colour).max() <= 1 and not drawn[10 * k, 10 * k].any()
    assert {(85,) * 3, (255,) * 3} <= set(map(tuple, drawn[45 * k :, : 20 * k].reshape(-1, 3).tolist()))
    planes = np.stack([labels == 2, labels == 1])
    first = np.array(ImageColor.getrgb(class_colour(0, True) or ""))
    assert np.abs(np.asarray(over(small, planes))[10 * k, 60 * k] - SHARE * first).max() <= 1


def test_masks_are_shown_over_their_images_with_a_legend():
    predictor = models.predictor_of_card(models.mask_card())
    images = np.random.default_rng(0).integers(0, 255, (2, 40, 24), np.uint8)
    predictions = predictor(images[:, None])
    page = predictions._repr_html_()
    assert page.count("<img") == 2 and page.count("swatch") == 2 and "cell" in page  # the style names it once
    assert "24 x 40" not in page and "40 x 24" in page
    assert sum(predictions[0].shares().values()) == pytest.approx(1)
    assert re.search(r"background: [\d.]+%", page) and re.search(r"background: [\d.]+%", str(predictions))
    assert repr(predictions[0]).startswith("MaskPrediction('(image)', 40 x 24  ")
    assert "MaskPrediction" not in repr(predictions) and "background" in repr(predictions)
