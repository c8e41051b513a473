"""Losses by hand and by loops; void has no part in them; U-Net's border weights."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from eyespot.errors import UserError
from eyespot.labels import VOID, border_weights
from eyespot.tasks.losses import LOSSES, parse_loss, pixel_weights

SHAPES = [(12,), (5, 6), (3, 4, 5)]


def some(shape, k=3, void=0.2, seed=0):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, k, *shape, generator=g, dtype=torch.float64)
    labels = torch.randint(k, (2, *shape), generator=g)
    labels[torch.rand(labels.shape, generator=g) < void] = VOID
    return logits.requires_grad_(), labels


def pixels(logits, labels):
    """(N, K) probabilities and (N,) labels of what is not void"""
    p = logits.detach().softmax(1).movedim(1, -1)[labels != VOID]
    return p.numpy(), labels[labels != VOID].numpy()


@pytest.mark.parametrize("shape", SHAPES)
def test_values_are_those_of_loops_over_pixels(shape):
    logits, labels = some(shape)
    p, y = pixels(logits, labels)
    true = p[np.arange(len(y)), y]
    regions = []
    for fp, fn in ((0.5, 0.5), (0.3, 0.7)):
        per_class = []
        for c in range(3):
            hits = sum(q[c] for q, label in zip(p, y, strict=True) if label == c)
            false = sum(q[c] for q, label in zip(p, y, strict=True) if label != c)
            missed = sum(1 - q[c] for q, label in zip(p, y, strict=True) if label == c)
            per_class.append(1 - hits / (hits + fp * false + fn * missed))
        regions.append(np.mean(per_class))
    ce, focal = -np.log(true).mean(), (-((1 - true) ** 2) * np.log(true)).mean()
    expected = {"ce": ce, "border": ce, "focal": focal, "dice": regions[0], "tversky": regions[1]}
    assert {name: f(logits, labels).item() for name, f in LOSSES.items()} == pytest.approx(expected)
    assert parse_loss(" ce + dice ")[0](logits, labels).item() == pytest.approx(ce + regions[0])


def test_dice_by_hand():
    logits = torch.tensor([[[9.0, 9.0, -9.0, 0.0], [-9.0, -9.0, 9.0, 0.0]]]) * 10
    labels = torch.tensor([[0, 1, 1, VOID]])  # Dice of 0: 2 / (1 + 2), of 1: 2 / (2 + 1)
    assert LOSSES["dice"](logits, labels).item() == pytest.approx(1 / 3)
    assert LOSSES["dice"](logits, torch.tensor([[0, 0, 1, VOID]])).item() == pytest.approx(0)
    absent = torch.tensor([[0, 0, VOID, VOID]])  # class 1 does not occur, so it is no part of the mean
    assert LOSSES["dice"](logits, absent).item() == pytest.approx(0)


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_are_torchs_and_the_border_is_added(shape):
    logits, labels = some(shape)
    classes = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    got = LOSSES["ce"](logits, labels, pixel_weights(labels, classes))
    assert got.item() == pytest.approx(
        functional.cross_entropy(logits, labels, classes, ignore_index=VOID).item()
    )
    border = torch.rand(labels.shape, dtype=torch.float64)
    assert torch.equal(pixel_weights(labels, None, border), 1 + border)
    p, y = pixels(logits, labels)
    w = classes.numpy()[y] + border[labels != VOID].numpy()
    expected = -(w * np.log(p[np.arange(len(y)), y])).sum() / w.sum()
    assert LOSSES["ce"](logits, labels, pixel_weights(labels, classes, border)).item() == pytest.approx(
        expected
    )


@pytest.mark.parametrize("name", [*LOSSES, "ce+dice", "focal+tversky"])
def test_void_has_no_gradient_and_the_rest_has(name):
    logits, labels = some((5, 6))
    parse_loss(name)[0](logits, labels, pixel_weights(labels)).backward()
    by_pixel = logits.grad.abs().sum(1)
    assert (by_pixel[labels == VOID] == 0).all() and (by_pixel[labels != VOID] > 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", LOSSES)
def test_hard_batches_have_finite_gradients(name, dtype):
    for labels in (torch.full((2, 6), VOID), torch.zeros(2, 6, dtype=torch.long)):
        for scale in (0.0, 1.0, 1000.0):
            logits = (scale * torch.randn(2, 4, 6)).to(dtype).requires_grad_()
            loss = LOSSES[name](logits, labels, pixel_weights(labels))
            loss.backward()
            assert loss.isfinite() and logits.grad.isfinite().all()
            assert loss.dtype == torch.float32 and (loss == 0 or labels.max() == 0)


@pytest.mark.parametrize("name", LOSSES)
def test_descending_a_loss_learns_the_labels(name):
    logits, labels = some((5, 6))
    for _ in range(60):
        (gradient,) = torch.autograd.grad(LOSSES[name](logits, labels), logits)
        logits = (logits - 20 * gradient).detach().requires_grad_()
    right = logits.argmax(1)[labels != VOID] == labels[labels != VOID]
    assert right.float().mean() == 1


def test_losses_are_parsed_strictly():
    for text, message in (
        ("ce+dicce", "did you mean 'dice'"),
        ("", "known: border, ce, dice"),
        ("ce+", "has ''"),
    ):
        with pytest.raises(UserError, match=message):
            parse_loss(text)


@pytest.mark.parametrize("shape", [(30,), (16, 18), (8, 9, 10)])
def test_border_weights_are_those_of_distances_to_every_object(shape):
    rng = np.random.default_rng(0)
    ids = np.where(rng.random(shape) < 0.08, rng.integers(1, 6, shape), 0)
    ids[(0,) * len(shape)], ids[(-1,) * len(shape)] = 1, 7
    at = np.stack(np.indices(shape), -1).reshape(-1, len(shape))
    away = [
        np.linalg.norm(at[:, None] - at[ids.ravel() == i], axis=-1).min(1) for i in np.unique(ids[ids > 0])
    ]
    d = np.sort(away, 0)[:2].sum(0).reshape(shape)
    expected = np.where(ids > 0, 0, 6 * np.exp(-(d**2) / (2 * 3.0**2)))
    assert border_weights(ids, w0=6, sigma=3) == pytest.approx(expected, abs=1e-4)


def test_border_weights_by_hand():
    mask = np.zeros((9, 40), np.uint8)
    mask[:, :10], mask[:, 12:30] = 255, 255
    weights = border_weights(mask)
    between = 10 * np.exp(-(3**2) / 50)  # two pixels of background: 1 from one and 2 from the other
    assert weights[:, 10:12] == pytest.approx(np.full((9, 2), between))
    assert (weights[:, :10] == 0).all() and weights[:, 39].max() < 1e-4
    assert (border_weights(np.where(mask == 255, 1, VOID)) == weights).all()
    one = np.where(np.arange(40) < 10, 1, 0)
    assert not border_weights(one).any() and not border_weights(0 * one).any()
