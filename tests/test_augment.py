"""Augmentations do what their names say, in every rank, and nothing else."""

import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import contract_transform
import eyespot
from eyespot.augment.geometry import Flip, Shift
from eyespot.augment.pipeline import Pipeline, augment, augment_pair, parse
from eyespot.augment.transform import TRANSFORMS, Transform, per_image
from eyespot.errors import UserError
from eyespot.renamed import report_renamed


def images(dim: int, batch: int = 6) -> torch.Tensor:
    return torch.arange(batch * 2 * 10**dim, dtype=torch.float32).reshape(batch, 2, *[10] * dim)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_flip_mirrors_the_last_axis_of_the_chosen(dim):
    x = images(dim)
    mask = torch.tensor([True, False] * 3)
    y = Flip().apply(x, mask)
    assert torch.equal(y[mask], x[mask].flip(-1)) and torch.equal(y[~mask], x[~mask])


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_shift_moves_and_mirrors_the_edge(dim):
    x = images(dim)
    pixels = torch.zeros(len(x), dim, dtype=torch.long)
    pixels[0, -1], pixels[1, 0] = 2, -3
    y = Shift().apply(x, pixels)
    assert torch.equal(y[2:], x[2:])
    assert torch.equal(y[0, ..., :8], x[0, ..., 2:]) and torch.equal(y[0, ..., 8:], x[0, ..., [8, 7]])
    assert torch.equal(y[1, :, 3:], x[1, :, :7]) and torch.equal(y[1, :, :3], x[1, :, [3, 2, 1]])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100), st.floats(0.01, 0.4))
def test_shifts_stay_within_their_share_and_reach_it(seed, share):
    x = torch.zeros(500, 1, 20, 30)
    pixels = Shift(share).sample(torch.Generator().manual_seed(seed), x.shape)
    for axis, n in enumerate((20, 30)):
        most = max(1, round(share * n))
        assert pixels[:, axis].min() == -most and pixels[:, axis].max() == most


def test_a_pipeline_is_repeatable_and_leaves_its_input_alone():
    x = images(2)
    before, ops = x.clone(), parse("flip|shift(0.2)")
    first = augment(x, ops, torch.Generator().manual_seed(1))
    assert torch.equal(first, augment(x, ops, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, augment(x, ops, torch.Generator().manual_seed(2)))
    assert torch.equal(x, before)


def test_pipelines_are_parsed_strictly():
    assert parse("none") == parse("") == []
    assert parse(" flip | shift(0.1) ") == [Flip(), Shift(0.1)]
    for text, message in (
        ("flop", "did you mean 'flip'"),
        ("shift(0.1", "did you mean|not a transform"),
        ("shift(2)", "between 0 and 0.5"),
        ("flip(1, '', 3)", "not a transform with its numbers"),
        ("shift(__import__('os'))", "not a transform with its numbers"),
    ):
        with pytest.raises(UserError, match=message):
            parse(text)


@pytest.mark.parametrize(("name", "dim"), contract_transform.CASES)
def test_every_registered_transform_keeps_the_contract(name, dim):
    contract_transform.check(TRANSFORMS[name](), dim)


@dataclass(frozen=True)
class Quarters(Transform):
    """Exchange the halves of the last axis, a user's transform without a matrix."""

    probability: float = 0.5
    geometric = True

    def sample(self, generator, shape):
        return torch.rand(shape[0], generator=generator) < self.probability

    def apply(self, x, parameters):
        return torch.where(per_image(parameters, x), x.roll(x.shape[-1] // 2, -1), x)


@pytest.fixture
def registered():
    eyespot.augment.register("quarters", Quarters)
    yield
    TRANSFORMS.pop("quarters")


def test_a_users_transform_is_one_of_the_pipeline(registered):
    contract_transform.check(Quarters(0.7), 1)
    contract_transform.check(Quarters(0.7), 3)
    (transform,) = parse("quarters(probability=1)")
    assert transform == Quarters(1) and str(transform) == "quarters(probability=1)"
    x, labels = contract_transform.ramps(2)
    changed, moved = augment_pair(x, labels, parse("quarters(1)|brightness"), torch.Generator())
    assert moved[0, 0].tolist() == labels[0, 0].roll(8).tolist() and not torch.equal(changed, x)


def test_registering_is_checked():
    for name, transform, message in (
        ("two words", Quarters, "letters, digits and underscores"),
        ("new", len, "register a subclass of"),
        ("flip", Quarters, "exists already"),
        ("turn", Quarters, "exists already"),
    ):
        with pytest.raises(UserError, match=message):
            eyespot.augment.register(name, transform)
    eyespot.augment.register("flip", Flip)  # the same class again, as in a notebook


def test_old_names_work_and_are_announced_once(capsys):
    report_renamed.cache_clear()
    assert parse("flips|turn|bright(0.1)", 2) == parse("flip_axes|rotate90|brightness(0.1)", 2)
    parse("flips", 2)
    said = capsys.readouterr().err
    assert said.count("'flips' was renamed 'flip_axes'") == 1 and said.count("renamed") == 3


def test_a_pipeline_replays_and_is_undone():
    x, labels = contract_transform.ramps(2)
    pipeline = Pipeline(parse("contrast|flip_axes|noise(0.1)|rotate90|brightness", 2))
    parameters = pipeline.sample(torch.Generator().manual_seed(0), x.shape)
    assert torch.equal(pipeline.apply(x, parameters), pipeline.apply(x, parameters))
    both = augment_pair(x, labels, pipeline.transforms, torch.Generator().manual_seed(0))
    assert torch.equal(pipeline.apply(x, parameters), both[0])
    assert torch.equal(pipeline.apply_labels(labels, parameters), both[1])
    assert parse(str(pipeline), 2) == list(pipeline.transforms)
    with pytest.raises(UserError, match=r"noise.* has no inverse"):
        pipeline.undo(x, parameters)
    pipeline = Pipeline(parse("contrast|flip_axes|rotate90|brightness", 2))
    parameters = pipeline.sample(torch.Generator().manual_seed(1), x.shape)
    changed = pipeline.apply(x, parameters)
    assert torch.allclose(pipeline.undo(changed, parameters), x, atol=1e-3) and not torch.allclose(changed, x)


def test_numbers_may_be_named():
    assert parse("rotate(degrees=15)|scale(0.9, high=1.2)", 2) == parse("rotate(15)|scale(0.9,1.2)", 2)
    for text in (
        "rotate(degree=15)",
        "rotate(15, degrees=15)",
        "rotate(**{})",
        "rotate(degrees=__import__('os'))",
    ):
        with pytest.raises(UserError, match="not a transform with its numbers"):
            parse(text, 2)


def test_importing_eyespot_imports_no_torch():
    code = "import eyespot, sys; assert 'torch' not in sys.modules; eyespot.augment.register"
    subprocess.run([sys.executable, "-c", code], check=True)
