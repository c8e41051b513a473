"""The parts of training: each can be left out, and each does what its name says."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

import eyespot
from eyespot.config import Config
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.recipe import GROW, PARTS, parse_recipe
from eyespot.tasks.classification import usual_recipe
from eyespot.tasks.growth import EPOCHS, GROWTH, mean_cost, side, usual_growth
from eyespot.tasks.order import Draw
from eyespot.training.loop import clock
from eyespot.training.networks import Fit, batch_for, largest
from eyespot.training.optimise import EMA, AdamW, Muon, optimisers
from eyespot.training.plan import make_plan, reserve
from eyespot.training.timing import Allowance, Timed, fastest


def test_a_recipe_is_its_parts_and_says_what_it_does_not_know():
    assert (
        parse_recipe("whiten | muon") == {"whiten", "muon"}
        and parse_recipe("none") == parse_recipe("") == set()
    )
    with pytest.raises(UserError, match=r"unknown entry 'whitten'; did you mean 'whiten'"):
        Config(recipe="whitten")
    with pytest.raises(UserError, match="two ways to grow"):
        parse_recipe("grow_short|grow_long")
    assert {*GROW, ""} == set(EPOCHS) == set(GROWTH) and set(GROW) < set(PARTS)


def test_more_passes_end_with_larger_images():
    assert [usual_growth(passes) for passes in (1, 8, 12, 30)] == [*GROW, ""]
    assert [side(1, 32, growth) for growth in GROW] == [24, 32, 32] and side(0, 32, "") == 32
    assert all(side(a, 64, g) <= side(b, 64, g) for g in GROW for a, b in [(0, 0.4), (0.4, 0.8), (0.8, 1)])


def test_training_imports_no_compiler():
    """torch.optim's own methods would, at their first call: two seconds."""
    program = (
        "import sys, torch; from eyespot.training.optimise import optimisers\n"
        "layers = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(2, 2))\n"
        "before = [p.clone() for p in layers.parameters()]\n"
        "layers(torch.ones(1, 1, 3, 3)).sum().backward()\n"
        "for o in optimisers(layers, 1): o.step(), o.zero_grad()\n"
        "assert not any(torch.equal(a, b) for a, b in zip(before, layers.parameters()))\n"
        "assert all(p.grad is None for p in layers.parameters())\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_the_mean_cost_is_that_of_the_images_seen():
    """Equal shares of time at sizes a and b give images in the ratio of their speeds."""
    for growth in GROW:
        steps = np.linspace(0, 1, 100_001)[:-1]
        images = np.mean([(32 / side(f, 32, growth)) ** 2 for f in steps])
        assert mean_cost(32, growth) == pytest.approx(1 / images, rel=1e-4)


def planned(photos, **settings):
    return make_plan(survey_data(photos), Config(str(photos), epochs=2, device="cpu", **settings), clock())


def test_each_part_can_be_left_out(photos):
    whole = planned(photos).task
    plain = planned(photos, recipe="none").task
    assert (
        whole.parts == {"whiten", "muon", "grow_short", "ema", "label_smoothing", "alternate", "tta_flip"}
        and plain.parts == set()
    )
    assert (whole.views(), plain.views()) == (2, 1)
    logits, y = torch.tensor([[9.0, 0.0, 0.0]]), torch.tensor([0])
    assert whole.loss(logits, y) > 0.1 > plain.loss(logits, y)
    for task, fixed in ((whole, True), (plain, False)):
        network = task.network()
        before = network.stem.weight.clone()
        task.prepare(network)
        assert torch.equal(before, network.stem.weight) != fixed
        assert network.stem.weight.requires_grad != fixed
    network = plain.network()
    kinds = [{type(o) for o in optimisers(network, 16, muon)} for muon in (0.1, 0.0)]
    assert kinds == [{Muon, AdamW}, {AdamW}]


@pytest.mark.parametrize(
    "seconds,images,most,chosen",
    [
        (100, 40_000, 100, "small_w16"),  # 40 s of small_w32 would be 30,000 images
        (300, 40_000, 100, "small_w32"),
        (2_000, 40_000, 100, "small_w32"),
        (4_000, 40_000, 100, "small"),  # 400,000 images, 10 passes
        (16_000, 40_000, 100, "small_w96"),
        (60_000, 40_000, 100, "small_w128"),
        (160, 1_000, 100, "small"),  # 16,000 images, but 16 passes
        (60_000, 1_000, 100, "small"),  # 100 passes, but not 600,000 images
        (160, 1_000, 10, "small_w16"),  # 10 passes at the most
    ],
)
def test_the_network_is_the_widest_that_learns_enough_in_the_time(
    seconds, images, most, chosen, photos, monkeypatch
):
    speed = {"small_w16": 1000.0, "small_w32": 300.0, "small": 100.0, "small_w96": 40.0, "small_w128": 10.0}
    seen: list[str] = []

    class Fake:
        """A timer that knows the rates."""

        def __init__(self, task, sample_indices, allowance):
            self.model = task.config.model
            seen.append(self.model)

        def timed(self):
            return Timed({"float32 1": speed[self.model], "predict": 1.0})

        def quick(self, way=None):
            return self.timed()

        def compare(self):
            return self.timed()

        def finish(self, seconds):
            return self.timed()

    fit = Fit(
        lambda task, timed: min(most * images, seconds * timed["float32 1"]), lambda task, timed: seconds
    )
    task = planned(photos, model="small").task
    monkeypatch.setattr("eyespot.training.networks.NetworkTimer", Fake)
    rows = np.zeros(images, np.int64)
    task, timed, why = largest(task, rows, fit, Allowance(seconds), free=True)
    assert task.config.model == chosen and timed["float32 1"] == speed[chosen]
    assert f"at {speed[chosen]:,.0f} images/s" in why
    wider = [name for name in speed if list(speed).index(name) > list(speed).index(chosen)]
    assert ("needs" in why) == any(name in why for name in wider)
    assert not any(f"{name} needs" in why for name in speed if name not in wider)
    assert seen[0] == "small_w16"
    seen.clear()
    task, timed, why = largest(task, rows, fit, Allowance(seconds), free=False)
    assert task.config.model == chosen and why == "" and seen == [chosen]


def test_im2col_is_preferred_where_it_is_nearly_as_quick():
    timed = {"float32 2": 47.0, "bfloat16 2": 105.0, "im2col 2": 96.0, "im2col 1": 50.0, "predict": 400.0}
    assert fastest(timed) == "im2col 2"
    assert fastest(timed | {"im2col 2": 95.0}) == "bfloat16 2"


def test_a_short_run_takes_smaller_batches():
    assert batch_for(64, 9_600, 16) == (64, "")
    assert [batch_for(64, images, 16)[0] for images in (9_599, 4_000, 10)] == [32, 16, 16]
    assert batch_for(14, 10, 16) == (14, "") and "150 steps" in batch_for(14, 2_000, 4)[1]
    assert [batch_for(14, images, 4)[0] for images in (2_000, 10)] == [7, 7]


def test_the_average_is_the_last_network_where_it_is_left_out():
    network = torch.nn.Linear(1, 1)
    kept = [EMA(network), EMA(network, on=False)]
    for value in (1.0, 2.0, 3.0):
        torch.nn.init.constant_(network.weight, value)
        for average in kept:
            average.update()
    assert 1 < kept[0].network.weight.item() < 3 and kept[1].network.weight.item() == 3


def test_the_reserve_grows_with_views_and_images(photos):
    timed = {"predict": 10.0}
    plain, mirrored = planned(photos, recipe="none").task, planned(photos, recipe="tta_flip").task
    few, many = np.arange(10), np.arange(20)
    assert reserve(plain, few, timed) < reserve(plain, many, timed) == reserve(mirrored, few, timed)


def test_the_answer_is_the_mean_over_all_views_and_the_file_says_so(photos, tmp_path):
    recipe = "whiten|muon|tta_flip|tta_shift"
    run = eyespot.train(
        photos,
        epochs=1,
        batch=16,
        device="cpu",
        recipe=recipe,
        augment="flip|shift(0.06)",
        out=tmp_path / "a",
    )
    predictor = eyespot.load(run.folder)
    views = predictor.engine.views
    assert predictor.card.preprocessing["tta_flip"] is predictor.card.preprocessing["tta_shift"] is True
    assert set(views) == {(m, by) for m in (False, True) for by in (-1, 0, 1)} and len(views) == 6
    assert planned(photos, recipe=recipe).task.views() == 6
    pixels = survey_data(photos).images.pixels[:5]
    predictor.engine.views = [
        (False, 0),
        (True, 0),
    ]  # shifts go down and to the right, so that a mirror changes them
    both = predictor.output.probabilities(pixels)
    np.testing.assert_allclose(predictor.output.probabilities(pixels[:, :, ::-1]), both, atol=1e-2)
    predictor.engine.views = views
    predictor.card.__dict__["temperature"] = 1.0
    both, single = predictor.output.probabilities(pixels), []
    for view in views:
        predictor.engine.views = [view]
        single.append(predictor.output.probabilities(pixels))
    np.testing.assert_allclose(both, np.mean(single, axis=0), atol=1e-6)
    assert all(np.abs(a - b).max() > 1e-4 for a, b in pairwise(single))
    predictor.engine.views = [(False, 1)]
    moved = np.pad(pixels, [(0, 0), (0, 1), (0, 1), (0, 0)], mode="reflect")[:, 1:, 1:]
    by_hand = predictor.output.probabilities(pixels)
    predictor.engine.views = [(False, 0)]
    np.testing.assert_allclose(predictor.output.probabilities(moved), by_hand, atol=1e-6)


def test_alternate_shows_each_image_both_ways_in_turn(photos):
    task = planned(photos, recipe="alternate", augment="flip").task
    rows = np.arange(12)
    seen = [task.batch(Draw(rows, np.full(12, epoch)), 24)[0] for epoch in range(3)]
    assert torch.equal(seen[0].flip(-1), seen[1]) and torch.equal(seen[0], seen[2])
    plain = task.normal(task.pixels[rows])
    as_it_is = [torch.equal(a, b) for a, b in zip(plain, seen[0], strict=True)]
    assert 0 < sum(as_it_is) < 12
    assert planned(photos, recipe="alternate", augment="shift(0.1)").task.mirrored_first is None


def test_the_plan_names_only_the_parts_that_are_used():
    config = Config(model="small", augment="none", start_from="x.pth")
    assert usual_recipe(config, 1.0)[0] == "muon|grow_short|ema|label_smoothing"
    assert usual_recipe(replace(config, fine_tune=True), 1.0)[0] == "grow_short|ema|label_smoothing"
    assert usual_recipe(replace(config, start_from=None), 1.0)[0].startswith("whiten|muon|")
    photo = Config(model="small", augment="flip|shift(0.06)")
    parts = {passes: usual_recipe(photo, passes)[0].split("|") for passes in (1.0, 5.0)}
    assert (
        "tta_flip" in parts[1.0]
        and "tta_shift" not in parts[1.0]
        and {"tta_flip", "tta_shift"} <= {*parts[5.0]}
    )
    assert "tta_shift" not in usual_recipe(replace(photo, augment="flip"), 5.0)[0]
    assert "tta_shift" not in usual_recipe(replace(photo, model="resnet18"), 5.0)[0]
    assert (
        "tta_shift" in usual_recipe(photo, 5.0, 0.007)[0]
        and "tta_shift" not in usual_recipe(photo, 5.0, 0.008)[0]
    )
    assert "grow" not in usual_recipe(photo, 20.0)[0] and "||" not in usual_recipe(photo, 20.0)[0]
