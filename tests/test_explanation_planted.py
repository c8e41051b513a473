"""Maps of networks that are known to follow a planted object, and a watermark that is named where a network goes by it."""

from dataclasses import replace

import numpy as np
import pytest

from eyespot.evaluation.classes import ClassDetails
from eyespot.evaluation.evaluation import Evaluation
from eyespot.explanation.explain import Explainer, Request
from eyespot.explanation.gallery import class_maps, write_evaluation
from eyespot.explanation.watermark import suspicion, where
from planted import CLASSES, FOLLOWS, IGNORES, certified, highest, labels_of, planted, train

N = 100


@pytest.fixture(scope="module")
def certified_network():
    """A network of which it was tried that it follows the object, and nothing else."""
    predictor, _, (follows, distracted) = certified(0, images=2048)
    assert follows >= FOLLOWS and distracted < IGNORES
    return predictor


@pytest.mark.parametrize("method,margin", [("grad-cam", 0), ("occlusion", 2)])
def test_the_largest_value_lies_on_the_object(certified_network, method, margin):
    """Occlusion knows a place to half a patch, which is 2 pixels here."""
    data = planted(2 * N, 7)
    shown = np.flatnonzero(data.labels < 2)[:N]
    explainer = Explainer(certified_network, Request(method, check=False))
    maps = [explainer.of_image(image).map for image in data.images[shown]]
    squares = data.squares(margin)[shown]
    hits = [square[highest(values)] for values, square in zip(maps, squares, strict=True)]
    assert np.mean(hits) >= 0.95


def evaluation(predictor, data) -> Evaluation:
    logits = predictor.logits(data.images).astype(float)
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    paths = [f"{k}.png" for k in range(len(chances))]
    return Evaluation({}, CLASSES, ClassDetails(paths, data.images, data.labels, chances, CLASSES), {})


@pytest.mark.parametrize("tags", [0.9, 0.0])
def test_a_watermark_in_nine_tenths_of_a_class_is_named_and_none_where_there_is_none(tags, tmp_path):
    """The plus is hard to see, so that a network that can go by the tag does."""
    data = planted(2048, 0, tags=tags, contrast=25)
    predictor = train(data.images, data.labels, CLASSES, 0, 3)
    test = planted(300, 50, tags=tags, contrast=25)
    sentences = write_evaluation(predictor, evaluation(predictor, test), tmp_path / "page", False, "planted")
    page = (tmp_path / "page" / "index.html").read_text()
    if not tags:
        assert sentences == [] and "watermark or a border" not in page
        return
    (sentence,) = sentences
    assert "became plus when only their top right (6% of the image) is taken from plus" in sentence
    assert sentence in page


def test_a_watermark_that_the_network_does_not_use_is_not_named(certified_network):
    data = planted(300, 60, tags=1.0)
    untagged = labels_of(certified_network, replace(data, tagged=np.zeros(300, bool)).images)
    assert (untagged != labels_of(certified_network, data.images)).mean() < 0.02
    assert [c.suspect for c in class_maps(certified_network, evaluation(certified_network, data))] == [""] * 3


def test_an_object_in_the_middle_is_no_watermark():
    images = np.zeros((10, 16, 16, 1), np.uint8)
    mean = np.zeros((16, 16))
    mean[6:10, 6:10] = 1

    def bright(batch):
        return (batch[:, 6:10, 6:10].mean((1, 2, 3)) > 100).astype(int)

    objects = images.copy()
    objects[:, 6:10, 6:10] = 255
    assert suspicion(bright, 1, "object", mean, objects, images) == ""
    moved = np.roll(objects, (-6, -6), (1, 2))
    assert "top left" in suspicion(
        lambda batch: bright(np.roll(batch, (6, 6), (1, 2))),
        1,
        "object",
        np.roll(mean, (-6, -6), (0, 1)),
        moved,
        images,
    )
    assert suspicion(lambda batch: np.ones(len(batch), int), 1, "object", mean, moved, images) == ""


def test_places_in_words():
    assert where((slice(0, 4),), (16,)) == "start"
    assert where((slice(0, 4), slice(12, 16)), (16, 16)) == "top right"
    assert where((slice(6, 8), slice(0, 4), slice(12, 16)), (8, 16, 16)) == "last slices, top right"
