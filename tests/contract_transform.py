"""What every registered transform must do, in every rank that it has: a new one is checked by being registered."""

import torch

from eyespot.augment.pipeline import Pipeline, parse
from eyespot.augment.policies import Trivial
from eyespot.augment.transform import TRANSFORMS, Transform

SHAPES = {1: (24,), 2: (12, 17), 3: (6, 8, 8)}
CASES = [
    (name, dim)
    for name, kind in TRANSFORMS.items()
    for dim in SHAPES
    if kind.least_axes <= dim <= kind.most_axes
]
BATCH = 5


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramps(dim: int, channels: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, dim, *S) each pixel's index along each axis, and (B, *S) the same along the last as labels

    channels   so many instead, the last of which is again the index along the last axis
    """
    axes = torch.meshgrid(*[torch.arange(n) for n in SHAPES[dim]], indexing="ij")
    x = (
        torch.stack([axes[k % dim] for k in range(-(channels or dim), 0)])
        .expand(BATCH, -1, *[-1] * dim)
        .clone()
    )
    return x.float(), x[:, -1].clone()


def check(transform: Transform, dim: int) -> None:
    """All of the contract."""
    x, labels = ramps(dim, max(transform.channels, default=dim))
    parameters = transform.sample(seeded(3), x.shape)
    replays(transform, x, labels, parameters)
    keeps_labels_aligned(transform, x, labels, parameters)
    is_undone(transform, x, parameters)
    assert parse(str(transform), dim) == [transform]
    assert parse(f"{transform} | {transform}", dim) == [transform, transform]


def replays(transform: Transform, x, labels, parameters) -> None:
    assert torch.equal(parameters, transform.sample(seeded(3), x.shape)) and len(parameters) == BATCH
    before = x.clone(), labels.clone(), parameters.clone()
    changed, moved = transform.apply(x, parameters), transform.apply_labels(labels, parameters)
    assert torch.equal(changed, transform.apply(x, parameters))
    assert torch.equal(moved, transform.apply_labels(labels, parameters))
    assert (changed.shape, changed.dtype) == (x.shape, x.dtype)
    assert (moved.shape, moved.dtype) == (labels.shape, labels.dtype)
    assert all(torch.equal(a, b) for a, b in zip(before, (x, labels, parameters), strict=True))
    pipeline = Pipeline([transform])
    assert torch.equal(pipeline.apply(x, (parameters,)), changed)
    assert torch.equal(pipeline.apply_labels(labels, (parameters,)), moved)
    if not transform.mixes:
        one = transform.apply(x[2:3], parameters[2:3])
        assert torch.allclose(one, changed[2:3], atol=1e-4), "an image depends on others of its batch"


def keeps_labels_aligned(transform: Transform, x, labels, parameters) -> None:
    moved = transform.apply_labels(labels, parameters)
    if not transform.geometric:
        assert torch.equal(moved, labels)
        return
    assert set(moved.unique().tolist()) <= set(labels.unique().tolist())
    along_last = transform.apply(x, parameters)[:, -1]
    assert isinstance(transform, Trivial) or (along_last - moved).abs().max() <= 0.5 + 1e-3, (
        "the label is not that of the nearest pixel"
    )


def is_undone(transform: Transform, x, parameters) -> None:
    inverse = transform.inverse(parameters)
    if inverse is None:
        return
    smooth = (x / 8).cos() if transform.geometric else x
    back = transform.apply(transform.apply(smooth, parameters), inverse)
    middle = tuple(slice(n // 3, n - n // 3) for n in x.shape[2:])  # what did not leave the image
    assert (back - smooth)[..., *middle].abs().max() < 0.05
    assert torch.allclose(
        Pipeline([transform]).undo(transform.apply(smooth, parameters), (parameters,)), back
    )
