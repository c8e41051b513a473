"""The report: its order, what it says of classes without numbers, colours, contrast, size, and that all can read it."""

import base64
import io
import json
import re
from dataclasses import replace
from types import SimpleNamespace as Stub

import numpy as np
import pytest
from PIL import Image, ImageColor

from browser import CHROMIUM, Browser
from eyespot.data.masks.mapping import VOID, Mapping
from eyespot.evaluation.classes import ClassDetails, evaluation_of
from eyespot.evaluation.distinct import OF_SCENES, distinct
from eyespot.evaluation.masks import KEPT, Case, shown_cases
from eyespot.evaluation.masks import evaluation_of as evaluation_of_masks
from eyespot.labels import VOID as IGNORED
from eyespot.metrics.masks import count
from eyespot.overlays import Layer, at_size, class_layers, painted, picture_of
from eyespot.pages.page import template, whole
from eyespot.pictures import MAP_COLOURS, class_colour, embedded
from eyespot.report.charts import limits, reliability
from eyespot.report.classes import galleries, uncertain_rows, worst_rows
from eyespot.report.masks import mask_parts
from eyespot.report.matrix import of_counts
from eyespot.report.page import _reduced, write_report
from eyespot.short_names import short_names
from eyespot.tasks.registry import TASKS
from eyespot.training.loop import Outcome
from eyespot.training.state import Row
from eyespot.weights.card import Card

CLASSES = ["ant", "bee", "cat", "dog"]
LIMIT = 3_000_000
"""Bytes of a report, at the most."""


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def survey_stub(word, classes, task, **more):
    """What the report reads of a survey."""
    return Stub(
        word=word,
        task=task,
        classes=tuple(classes),
        source=Stub(name="animals <of the zoo>"),
        preprocessing=Stub(fit="resize", size=32, dim=2, view="samples", channels=3, depth="uint8"),
        problems=[Stub(level="warning", text="one is alone", files=["a.png"])],
        guesses=[],
        checks=["one"],
        **more,
    )


def written(folder, evaluation, survey):
    """The text of the report."""
    config = Stub(size=32, device="cpu", batch=8)
    reasons = {"split": "20% of each class for validation", "batch": "a reason", "depth": "the files' own"}
    plan = Stub(config=config, train=[0] * 90, reasons=reasons, task=Stub(score="accuracy"))
    history = [Row(k, k, k / 9, 32, 0.1, 2 / (k + 1), 1 / (k + 1), k / 10, 99) for k in range(1, 10)]
    card = Card("small", {}, list(survey.classes), {}, task=survey.task, versions={"eyespot": "1"})
    write_report(folder / "report.html", evaluation, card, Outcome(None, 32, history, "done"), plan, survey)
    return (folder / "report.html").read_text()


def class_details(probabilities, labels, pixels=None):
    n = len(labels)
    pixels = noise(n, 32, 32, 3) if pixels is None else pixels
    return ClassDetails(
        [f"zoo/{i}.png" for i in range(n)],
        pixels,
        np.array(labels, np.int64),
        np.array(probabilities, float),
        CLASSES,
    )


@pytest.fixture(scope="module")
def class_report(tmp_path_factory):
    """Of 60 images of three classes of four; "dog" has no image, and "cat" is never predicted."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    probabilities = rng.dirichlet([0.4] * 4, 60)
    probabilities[:, 2] = 0
    probabilities /= probabilities.sum(1, keepdims=True)
    evaluation = evaluation_of(class_details(probabilities, labels), {})
    folder = tmp_path_factory.mktemp("classes")
    return written(folder, evaluation, survey_stub("image", CLASSES, "classification")), evaluation, folder


def mask_case(k, shape=(48, 64), classes=4, image=None, truth=None, predicted=None):
    image = noise(*shape, 3, seed=k) if image is None else image
    truth = noise(*shape, seed=k + 100) % 3 if truth is None else truth
    predicted = noise(*shape, seed=k + 200) % 3 if predicted is None else predicted
    counts = count(np.where(truth == VOID, IGNORED, truth.astype(np.int64)), predicted, classes)
    return Case(f"zoo/{k}.png", k / 100, counts, None, None, image, truth, predicted)


def mask_survey(word="image", classes=CLASSES, multilabel=False):
    mapping = Mapping(tuple(range(len(classes))), tuple(classes), multilabel=multilabel)
    shares = np.full((3, len(classes)), 1 / len(classes))
    return survey_stub(
        word,
        classes,
        "segmentation",
        shares=shares,
        mapping=mapping,
    )


@pytest.fixture(scope="module")
def mask_report(tmp_path_factory):
    """Of 8 large noisy photographs, in which "dog" does not occur and "cat" is never predicted; one has void."""
    cases = []
    for k in range(8):
        predicted = noise(480, 640, seed=k) % 2
        truth = noise(480, 640, seed=k + 50) % 3
        truth[:300, :300] = VOID if k == 0 else 0
        cases.append(mask_case(k, (480, 640), 4, truth=truth, predicted=predicted))
    evaluation = evaluation_of_masks(cases, CLASSES, "image", None, {})
    folder = tmp_path_factory.mktemp("masks")
    return written(folder, evaluation, mask_survey()), evaluation, folder


def test_the_plan_has_the_values_that_the_terminal_shows_and_counts_have_their_plural(class_report):
    page, _, _ = class_report
    assert re.search(r'<td>depth</td><td class="value">uint8</td>', page)
    assert "<summary>1 file</summary>" in page
    assert _reduced(24, 32) == " (reduced to 24 for the network)" and not _reduced(32, 32) + _reduced(
        None, 32
    )


def test_many_classes_say_how_they_are_ordered():
    names = [f"c{k}" for k in range(60)]
    details = replace(class_details(np.eye(60), range(60), noise(60, 4, 4, 3)), classes=names)
    evaluation = evaluation_of(details, {})
    assert "\nclasses by F1, the lowest first:\nclass " in str(evaluation)
    assert "the lowest first" not in str(evaluation_of(class_details(np.eye(4), range(4)), {}))


def test_equal_names_are_told_apart_by_their_folders():
    details = class_details([[0.9, 0.1, 0, 0]] * 3, [1, 1, 1], noise(3, 32, 32, 3))
    details = replace(details, paths=["zoo/lab1/1.png", "zoo/lab2/1.png", "zoo/lab2/2.png"])
    (_, _, images), _ = galleries(details)
    assert [image["file"] for image in images] == ["lab1/1.png", "lab2/1.png", "2.png"]
    assert short_names(["1.png", "a/1.png", "1.png"]) == ["1.png", "a/1.png", "1.png"]


# Order


def test_mistakes_are_in_the_order_of_the_heading():
    """By the probability of what is predicted, not by that of the truth."""
    probabilities = [[0.5, 0.5, 0, 0], [0.1, 0.6, 0.3, 0], [0.05, 0.05, 0.9, 0], [0.9, 0.1, 0, 0]]
    details = class_details(probabilities, [3, 0, 1, 0])
    assert worst_rows(details, 9).tolist() == [2, 1, 0]
    assert uncertain_rows(details, 2).tolist() == [0, 1]
    (title, text, images), _ = galleries(details)
    assert title == "Most confident mistakes" and "highest confidence" in text
    assert [g["p"] for g in images] == ["90%", "60%", "50%"]


def test_nearly_identical_images_are_shown_once():
    image = noise(40, 40, 1)
    close = image.copy()
    close[0, 0] ^= 1
    assert distinct([image, close, image, noise(40, 40, 1, seed=1)], 9) == [0, 3]
    small, other = noise(8, 8, 1), noise(8, 8, 1)
    other[0, 0] ^= 1
    assert distinct([small, other, small], 9) == [0, 1]  # thumbnails of so few values say little
    assert distinct([image, noise(30, 40, 1)], 1) == [0]


def test_frames_of_a_film_give_way_to_other_scenes_as_long_as_there_are_others():
    def scene(seed, blur=0.0):
        frame = 0.8 * noise(40, 40, 1, seed=seed) + blur * noise(40, 40, 1, seed=seed + 50)
        return frame.round().astype(np.uint8)

    film = [scene(0), scene(0, 0.2), scene(1)]
    correlation = np.corrcoef(film[0].ravel(), film[1].ravel())[0, 1]
    assert 0.9 < correlation < 0.99
    assert distinct(film, 2, OF_SCENES) == [0, 2]
    assert distinct(film, 3, OF_SCENES) == [0, 1, 2]


def test_masks_keep_the_maps_of_the_worst_images_that_differ():
    cases = [mask_case(k, image=noise(48, 64, 3, seed=k // 10)) for k in range(30)]
    details = evaluation_of_masks(cases, CLASSES, "image", None, {}).details
    kept = [case.path for case in details.cases if case.image is not None]
    assert kept == ["zoo/0.png", "zoo/10.png", "zoo/20.png"] and len(kept) <= KEPT
    assert [case.path for case in shown_cases(details, 2)] == kept[:2]
    assert len(details.cases) == 30


# Classes without numbers


def test_a_class_that_is_never_predicted_says_so_everywhere(class_report):
    page, evaluation, _ = class_report
    cat, dog = (evaluation.as_dict()["classes"][name] for name in ("cat", "dog"))
    assert cat["precision"] == {"value": None, "low": None, "high": None, "n": 0}
    assert json.loads(json.dumps(dog))["recall"]["value"] is None
    row = next(line for line in str(evaluation).splitlines() if line.startswith("cat"))
    assert "never predicted" in row and "no images" not in row
    row = next(line for line in str(evaluation).splitlines() if line.startswith("dog"))
    assert row.count("no images") == 2
    assert re.search(r"<td>cat</td><td>0\.0%.*?</td><td>never predicted</td>", page)
    assert re.search(r"<td>dog</td><td>no images</td><td>0\.0%.*?</td><td>no images</td>", page)


def test_masks_say_it_too(mask_report):
    page, evaluation, _ = mask_report
    assert evaluation.scores["classes"]["cat"]["precision"]["value"] is None
    assert evaluation.scores["classes"]["cat"]["precision"]["n"] == 0
    rows = {line.split()[0]: line for line in str(evaluation).splitlines() if line[:3] in CLASSES}
    assert "never predicted" in rows["cat"] and rows["dog"].count("no images") == 3
    cat, dog = (re.search(rf"<td>{name}</td>.*", page) for name in ("cat", "dog"))
    assert cat and cat[0].count("never predicted") == 1 and "no images" not in cat[0]
    assert dog and "never predicted" in dog[0] and "no images" in dog[0]


# Colours


def test_an_image_keeps_its_colours_under_its_mask():
    image = np.zeros((200, 300, 3), np.uint8)
    image[..., 1] = 200
    picture = picture_of(image)
    labels = np.zeros((200, 300), np.uint8)
    labels[:, 150:] = 2
    labels[150:] = VOID
    drawn = np.asarray(painted(picture, class_layers(labels, picture, 3, False), labels == VOID)).astype(int)
    assert drawn[20, 20].tolist() == [0, 200, 0]  # class 0 has the image's own colours
    colour = np.array(ImageColor.getrgb(class_colour(2, False) or ""))
    assert np.abs(drawn[20, 250] - (0.6 * np.array([0, 200, 0]) + 0.4 * colour)).max() <= 1
    assert np.abs(drawn[20, 150] - colour).max() <= 1  # its border
    void = drawn[160:190, 20:50].reshape(-1, 3)
    assert [85] * 3 in void.tolist() and [255] * 3 in void.tolist()  # hatched, unlike class 0
    wrong = np.asarray(painted(picture, [Layer("#e5141e", labels == 0)], labels == VOID))
    assert wrong[20, 20, 0] > 80 and wrong[20, 250].tolist() == [0, 200, 0]


def test_every_class_has_its_own_colour():
    assert class_colour(0, False) is None and class_colour(0, True) == class_colour(1, False)
    rgb = [ImageColor.getrgb(colour) for colour in MAP_COLOURS]
    assert len(set(rgb[:40])) == 40 and len(rgb) == 254
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in MAP_COLOURS)


def test_the_legend_names_every_class_and_void(mask_report):
    page, _, _ = mask_report
    legend = re.search(r'<ul class="legend">.*?</ul>', page, re.DOTALL)
    assert legend and "ant (not coloured)" in legend[0] and "void: not counted" in legend[0]
    for k, name in enumerate(CLASSES[1:], 1):
        assert f'<i style="background: {class_colour(k, False)}"></i>{name}' in legend[0]


def test_classes_that_overlap_have_no_confusions_and_all_have_colours():
    truth = noise(24, 24) % 4
    bits = np.where(np.eye(24, dtype=bool), VOID, truth).astype(np.uint8)
    counts = count(np.zeros((2, 2), np.int64), np.zeros((2, 2), np.int64), 2)
    case = Case(
        "a.png", 0.5, Stub(regions=counts.regions, edges=counts.edges, matrix=None), image=noise(24, 24, 1)
    )  # type: ignore[arg-type]
    case = Case(case.path, 0.5, case.counts, None, None, case.image, bits, truth.astype(np.uint8))
    evaluation = evaluation_of_masks([case], ["dim", "lit"], "image", None, {})
    parts = mask_parts(evaluation, mask_survey(classes=["dim", "lit"], multilabel=True))
    assert parts["overlap"] and parts["matrix"] is None
    assert parts["legend"] == [("dim", MAP_COLOURS[0]), ("lit", MAP_COLOURS[1])]


def test_a_volume_shows_the_slice_with_most_mistakes_and_a_signal_its_curve():
    truth = np.zeros((5, 24, 24), np.uint8)
    predicted = truth.copy()
    predicted[3, 5:] = 1
    case = mask_case(0, image=noise(5, 24, 24, 1), truth=truth, predicted=predicted)
    evaluation = evaluation_of_masks([case], CLASSES, "volume", None, {})
    parts = mask_parts(evaluation, mask_survey("volume"))
    assert parts["unit"] == "voxels" and parts["worst"][0]["file"] == "0.png, slice 4 of 5"
    signal = noise(500, 2)
    picture = picture_of(signal)
    assert picture.size == (640, 160)
    plane = at_size(np.arange(500), picture)
    assert plane.shape == (160, 640) and plane[0, 0] == plane[159, 0] == 0 and plane[0, -1] == 499


def test_confusions_of_masks_are_shares_of_the_truth(mask_report):
    page, evaluation, _ = mask_report
    cells = of_counts(evaluation.scores["confusion"], as_shares=True)
    assert [text for text, _, _ in cells[2]] == ["50", "50", "", ""] and cells[3][3][0] == ""
    assert '<table class="matrix">' in page and "cat taken for" in page


# Size


def test_a_report_of_large_photographs_is_small(mask_report):
    page, _, _ = mask_report
    assert page.count("data:image/") == 8 * 4 and len(page) < LIMIT


def test_a_picture_takes_at_most_its_bytes_and_keeps_its_size_where_it_can():
    def size(address):
        return len(base64.b64decode(address.partition(",")[2]))

    flat = Image.new("RGB", (480, 360), "#d1603d")
    assert embedded(flat, 40_000).startswith("data:image/png")
    wild = Image.fromarray(noise(360, 480, 3))
    for most in (2_000, 10_000, 40_000):
        address = embedded(wild, most)
        assert address.startswith("data:image/jpeg") and size(address) <= most
    y, x = np.indices((360, 480))
    smooth = Image.fromarray(
        np.stack([x // 2, y // 2, (x + y + noise(360, 480) // 64) // 4], -1).astype(np.uint8)
    )
    address = embedded(smooth, 40_000)
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as shown:
        assert shown.size == (480, 360)
        difference = np.asarray(shown).astype(int) - np.asarray(smooth)
    assert np.abs(difference).mean() < 3


# Reading


def luminance(colour):
    channels = np.array(colour[:3]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    """As in WCAG 2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def schemes():
    """The variables of the style, for light and dark: name -> (r, g, b)"""
    style = template("pages", "style.html.j2").render()
    blocks = [re.findall(r"--([\w-]+): ([^;}]+)", line) for line in style.splitlines() if "--ground:" in line]
    assert len(blocks) == 2
    for block in blocks:
        yield {
            name: ImageColor.getrgb(value) if value.startswith("#") else tuple(map(int, value.split()))
            for name, value in ((name, value.strip()) for name, value in block)
        }


def test_all_text_has_contrast_in_light_and_dark():
    for colours in schemes():
        for text in ("ink", "soft", "warn", "blue"):
            assert contrast(colours[text], colours["ground"]) >= 4.5, text
        assert contrast(colours["ink"], colours["panel"]) >= 4.5
        for cell in ("right", "mistake"):
            for share in np.linspace(0, 1, 11):
                mixed = share * np.array(colours[cell]) + (1 - share) * np.array(colours["ground"])
                assert contrast(colours["ink"], mixed) >= 4.5, (cell, share)
        for line in ("blue", "orange", "soft"):  # of charts
            assert contrast(colours[line], colours["ground"]) >= 4.5


def test_charts_take_their_colours_from_the_page_and_say_what_they_show(class_report):
    page, _, _ = class_report
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) == 3
    for chart in charts:
        label = re.search(r'role="img" aria-label="([^"]+)"', chart)
        assert label and len(label[1]) > 20
        assert set(re.findall(r"#[0-9a-f]{6}", chart)) <= {"#ffffff"} and "currentColor" in chart
    assert "validation 0.5 to 0.1" in page
    for name in (">epoch<", ">loss<", ">accuracy (%)<", ">confidence<"):
        assert name in page
    assert page.count("<summary>as a table</summary>") == 3
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(set(ids)) == len(ids) > 8


def test_a_larger_dot_is_more_images_and_the_axis_is_used():
    def score(n):
        return {"value": 0.9, "low": 0.8, "high": 0.95, "n": n}

    bins = [{"confidence": 0.5 + 0.1 * k, "accuracy": score(n)} for k, n in enumerate((3, 30, 300))]
    drawn = reliability(bins, "signal")
    dots = re.findall(r'<path d="(M [^"]*z)\s*"[^>]*fill: var\(--blue\)', str(drawn.svg))
    heights = [np.ptp([float(y) for y in re.findall(r"[\d.]+ ([\d.]+)", dot)]) for dot in dots]
    assert len(heights) == 3 and heights[0] < heights[1] < heights[2] / 2
    assert drawn.rows[2] == ("70.0%", "90.0% (80.0-95.0)", "300") and "signals" in drawn.title
    assert limits(np.array([0.9, 0.97])) == (pytest.approx(0.87), pytest.approx(1.03))
    assert limits(np.array([0.0]))[0] < 0


def test_every_picture_has_a_text_and_every_table_scrolls_inside_itself(class_report, mask_report):
    for page, _, _ in (class_report, mask_report):
        images = re.findall(r"<img[^>]*>", page)
        texts = [re.search(r'alt="([^"]*)"', image) for image in images]
        assert images and all(text and text[1] for text in texts)
        assert len({text[1] for text in texts if text}) > len(images) / 2
        tables = re.findall(r".{120}<table", page, re.DOTALL)
        assert tables and all('tabindex="0" aria-label="' in before for before in tables)


def test_contents_lead_to_the_headings(class_report):
    page, _, _ = class_report
    assert "animals &lt;of the zoo&gt;" in page and "<of the zoo>" not in page
    nav = re.search(r"<nav aria-label=\"Contents\">.*?</nav>", page)
    assert nav
    addresses = re.findall(r'href="#([^"]+)"', nav[0])
    assert addresses == re.findall(r'<h2 id="([^"]+)"', page) and len(addresses) == 8
    assert "<nav" not in whole("one", "<h2>a</h2>") and '<h2 id="a-1">a</h2>' in whole("one", "<h2>a</h2>")


def test_every_task_has_a_page():
    assert set(TASKS) == {"classification", "segmentation"}


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_nothing_is_wider_than_a_phone_and_dark_is_dark(class_report, mask_report):
    with Browser() as browser:
        for _, _, folder in (class_report, mask_report):
            for dark in (False, True):
                browser.size(400, 900, dark)
                browser.open(f"file://{folder}/report.html")
                assert browser.js("document.documentElement.scrollWidth") <= 400
                ground, ink = (
                    tuple(map(int, re.findall(r"\d+", browser.js(f"getComputedStyle({name}"))[:3]))
                    for name in ("document.body).backgroundColor", "document.querySelector('h1')).color")
                )
                assert (luminance(ground) < 0.05) == dark or not dark
                assert (luminance(ink) > 0.5) == dark
            assert not browser.errors
