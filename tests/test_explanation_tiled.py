"""Maps of images larger than memory, tile by tile, equal those of the whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import eyespot
from eyespot.errors import UserError
from eyespot.explanation import explain as explaining
from eyespot.explanation.explain import Explainer, Request
from eyespot.explanation.methods import METHODS
from eyespot.explanation.subject import read_subject
from eyespot.explanation.tiled import TiledScore, weighted_tiles
from eyespot.models import create
from eyespot.prediction.load_torch import torch_predictor
from eyespot.prediction.tiles import Halo, Plan
from eyespot.weights.card import Card

CLASSES = ["background", "object"]
NETWORKS = {
    "unet": {"width": 3, "levels": 2},
    "unet_bn": {"width": 3, "levels": 3},
    "fcdensenet56": {"depths": (1, 1), "bottom": 1, "growth": 3, "width": 4},
}


def predictor_of(name: str = "unet_bn", dim: int = 2):
    mapping = dict(
        values=["0", "255"], classes=CLASSES, void=None, objects=False, multilabel=False, harden=False
    )
    size = dict(size=1, side=32, dim=dim, channels=1, accepts=[1], mean=[100.0], std=[50.0])
    reading = dict(fit="own", depth="uint8", stored=["uint8"], tta_flip=False, tta_shift=False, **size)
    torch.manual_seed(0)
    settings = NETWORKS[name]
    network = create(name, classes=2, channels=1, dim=dim, **settings).eval()
    card = Card(name, settings, CLASSES, reading | {"mapping": mapping}, task="segmentation")
    return torch_predictor(card, network)


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 1), np.uint8)


def in_tiles(monkeypatch, predictor, tile: int) -> None:
    """Each image is cut, whatever its size"""

    def planned(self, subject):
        shape = subject.array.shape[:-1]
        return Plan(shape, (tile,) * len(shape), predictor.engine.facts.halo, 0)

    monkeypatch.setattr(Explainer, "plan_of", planned)


def values_of(predictor, array: np.ndarray, request: Request, plan: Plan | None) -> np.ndarray:
    """A map in float64, so that no ReLU switches by rounding"""
    explainer = Explainer(predictor, request)
    subject = read_subject(array, predictor.preprocessing)
    target, _ = explainer.target_of(subject, plan)
    work = explainer.work(subject, target, plan)
    predictor.network.double()
    values = explainer.method.compute(
        replace(work, x=work.x.double(), baseline=work.baseline.double())
    ).values
    predictor.network.float()
    return values


COMBINATIONS = [
    *((name, method, None) for name in NETWORKS for method in ("gradient", "grad-cam")),
    *(("unet_bn", method, None) for method in ("grad-cam++", "occlusion")),
    *(("unet_bn", m.name, "37:58,30:33") for m in METHODS.values() if m.adds_up and m.name != "rise"),
]


@pytest.mark.parametrize("name,method,region", COMBINATIONS)
def test_tiles_are_equal_to_the_whole(name, method, region):
    """At sizes that are no multiple of the network's stride"""
    predictor = predictor_of(name)
    request = Request(method, target="object", region=region, patch=30 if method == "occlusion" else None)
    plan = Plan((91, 106), (24, 24), predictor.engine.facts.halo, 0)
    whole, tiled = (values_of(predictor, image(91, 106), request, p) for p in (None, plan))
    assert np.abs(whole).max() > 0
    assert np.abs(tiled - whole).max() <= 1e-11 * np.abs(whole).max()


@pytest.mark.parametrize("method", ["gradient", "grad-cam"])
def test_in_float32_tiles_are_equal_up_to_rounding(monkeypatch, method):
    predictor = predictor_of()
    whole = eyespot.explain(predictor, image(131, 150), method=method, target="object", check=False)
    in_tiles(monkeypatch, predictor, 40)
    tiled = eyespot.explain(predictor, image(131, 150), method=method, target="object")
    assert np.abs(tiled.map - whole.map).max() <= 2e-6 * np.abs(whole.map).max()
    assert tiled.predicted == whole.predicted and "equal to the whole image" in tiled.notes[-1]


def test_volumes_in_tiles(monkeypatch):
    predictor = predictor_of("unet", dim=3)
    array = image(20, 44, 36)
    whole = eyespot.explain(predictor, array, method="gradient", target="object", check=False)
    in_tiles(monkeypatch, predictor, 16)
    tiled = eyespot.explain(predictor, array, method="gradient", target="object")
    assert np.abs(tiled.map - whole.map).max() <= 2e-6 * np.abs(whole.map).max()
    assert tiled.trust is None and "too large to be compared" in tiled.notes[-1]


def test_a_region_costs_what_it_sees_and_no_more():
    """A region of 8 pixels with a halo of 16: one tile of at most 8 + 2 x 16, here where the grid of 8 allows"""
    weights = np.zeros((400, 400), np.float32)
    weights[100:104, 203:206] = 1
    ((inner, outer),) = weighted_tiles(weights, Plan((400, 400), (64, 64), Halo(16, 16, 8), 0))
    assert inner == (slice(96, 104), slice(200, 208))
    assert outer == (slice(80, 120), slice(184, 224))


def test_rules_that_do_not_add_up_are_refused_for_more_than_one_tile(monkeypatch):
    predictor = predictor_of()
    array = image(120, 120)
    whole = eyespot.explain(
        predictor, array, method="guided-backprop", target="background", region="40:44,40:44", check=False
    )
    in_tiles(monkeypatch, predictor, 40)
    one = eyespot.explain(
        predictor, array, method="guided-backprop", target="background", region="40:44,40:44", check=False
    )
    slope = eyespot.explain(
        predictor, array, method="gradient", target="background", region="40:44,40:44", check=False
    )
    assert np.abs(one.map - whole.map).max() <= 2e-6 * np.abs(whole.map).max()
    assert np.abs(one.map - slope.map).max() > 0.1 * np.abs(slope.map).max()
    with pytest.raises(UserError, match="does not add up over tiles"):
        eyespot.explain(predictor, array, method="guided-backprop", target="object", region="0:120,0:120")


def test_tiles_that_do_not_change_are_not_computed_again():
    predictor = predictor_of()
    explainer = Explainer(predictor, Request("gradient", target="object"))
    subject_target = explainer.region_of(np.ones((2, 160, 160), bool))[0]
    calls = []

    def logits(x):
        calls.append(x.shape)
        return predictor.engine.differentiable(x)

    planned = Plan((160, 160), (40, 40), predictor.engine.facts.halo, 0)
    score = TiledScore(logits, subject_target, planned)
    x = torch.randn(1, 1, 160, 160)
    before = score(x)
    count = len(calls)
    changed = x.clone()
    changed[..., 0:4, 0:4] = 0
    values = score(torch.cat([x, changed]))
    assert 1 <= len(calls) - count < count
    assert values[0] == before[0]
    expected = subject_target.of(predictor.engine.differentiable(changed))[0]
    assert values[1].item() == pytest.approx(expected.item(), rel=1e-5)
    changed_later = x.clone()
    changed_later += 1
    assert score(changed_later)[0] != before[0]


def test_an_image_that_does_not_fit_is_cut_and_one_whose_tiles_would_not_be_equal_is_refused(monkeypatch):
    predictor = predictor_of()
    array = image(1200, 1200)
    whole = eyespot.explain(
        predictor, array, method="gradient", target="object", region="300:304,300:310", check=False
    )
    monkeypatch.setattr(explaining, "MEMORY_MB", 200)
    made = eyespot.explain(predictor, array, method="gradient", target="object", region="300:304,300:310")
    assert np.abs(made.map - whole.map).max() <= 2e-6 * np.abs(whole.map).max()
    assert "computed in 1 tile," in made.notes[-1]
    monkeypatch.setattr(explaining, "MEMORY_MB", 174)
    with pytest.raises(UserError, match=r"1200 x 1200 samples.*EYESPOT_MEMORY_MB"):
        eyespot.explain(predictor, array, target="object")
