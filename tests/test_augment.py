"""Augmentations do what their names say, in every rank, and nothing else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eyespot.augment.pipeline import Flip, Shift, augment, parse
from eyespot.errors import UserError


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
    pixels = Shift(share).sample(torch.Generator().manual_seed(seed), x)
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
        ("shift(0.1", "did you mean|not an operation"),
        ("shift(2)", "between 0 and 0.5"),
        ("flip(1)", "not an operation with its numbers"),
        ("shift(__import__('os'))", "not an operation with its numbers"),
    ):
        with pytest.raises(UserError, match=message):
            parse(text)
