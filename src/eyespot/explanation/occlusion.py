"""Maps without gradients: what happens to the score when places are covered (Zeiler and Fergus 2013; RISE, Petsiuk et al. 2018)."""

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from eyespot.errors import UserError
from eyespot.explanation.gradients import batch_of

Score = Callable[[Tensor], Tensor]
MASKS = 1000
CELLS = 7
"""RISE: random masks, and cells of them along each axis."""
SHARES = {1: 16, 2: 8, 3: 4}
"""The patch that covers: so many make up the longest axis of a signal, an image, a volume."""
CHECKED = 4
"""A fast path is compared with the plain one on so many patches."""
TOLERANCE = 2e-5
"""By how much their scores may differ, as a share of the score."""
CHEAPER = 0.75
"""It is used where it takes less than this share of the multiply-adds."""
SEVERAL = 4
"""So many times as many images are computed at once there, as most of each is not stored."""
Progress = Callable[[Iterable[int], int], Iterator[int]]
Window = tuple[slice, ...]


def silent(items: Iterable[int], total: int) -> Iterator[int]:
    yield from items


def default_patch(size: tuple[int, ...]) -> int:
    """Samples along each axis of the patch that covers."""
    return max(1, round(max(size) / SHARES[len(size)]))


def refuse_patch(patch: int | None, name: str, size: tuple[int, ...]) -> None:
    """Raises UserError for a patch that covers all of an image of this size wherever it lies: its map says nothing of places."""
    longest = max(size)
    if patch is not None and patch >= longest > 1:
        raise UserError(
            f"a patch of {patch:,} samples covers all of {name}, whose longest axis has {longest:,} as the network gets it: "
            f"give a --patch of {longest - 1:,} or less, such as {default_patch(size)}"
        )


def windows(size: tuple[int, ...], patch: int, stride: int) -> list[Window]:
    """Where the patch lies, over every sample at least once; at the far edge it reaches beyond the image."""
    starts = [range(0, ceil(max(0, n - patch) / stride) * stride + 1, stride) for n in size]
    return [tuple(slice(s, s + patch) for s in corner) for corner in product(*starts)]


@torch.no_grad()
def occlusion(
    score: Score,
    x: Tensor,
    covered: Tensor,
    patch: int,
    stride: int,
    progress: Progress = silent,
    *,
    incremental: Score | None = None,
) -> Tensor:
    """(*S) by how much the score falls when a patch covers a place, mean over the patches that do

    covered      (1, C, *S) the image with which patches cover it, such as the mean of the training images
    incremental  the same score for batches that begin with x (`incremental.Incremental`): used where it is equal to the
                 plain one on some patches, and cheaper
    """
    where = windows(tuple(x.shape[2:]), patch, stride)
    falls, size = _falls_of(score, x, covered, where, incremental)
    total = torch.zeros(x.shape[2:], dtype=x.dtype, device=x.device)
    times = torch.zeros_like(total)
    starts = range(0, len(where), size)
    for start in progress(starts, len(starts)):
        chosen = where[start : start + size]
        for window, fall in zip(chosen, falls(chosen), strict=True):
            total[window] += fall
            times[window] += 1
    return total / times


def _falls_of(
    score: Score, x: Tensor, covered: Tensor, where: list[Window], incremental: Score | None
) -> tuple[Callable[[list[Window]], Tensor], int]:
    """What gives by how much the score falls for each of some patches, in the cheaper way, and for how many at once"""
    before = score(x)

    def plain(chosen: list[Window]) -> Tensor:
        return before - score(_with_patches(x, covered, chosen))

    def fast(chosen: list[Window]) -> Tensor:
        assert incremental is not None
        values = incremental(torch.cat([x, _with_patches(x, covered, chosen)]))
        return values[0] - values[1:]

    size = batch_of(x)
    examples = where[:: max(1, len(where) // CHECKED)][:CHECKED]
    if incremental is None or not is_cheaper(fast, plain, examples, abs(float(before))):
        return plain, size
    return fast, SEVERAL * size


def is_cheaper(
    fast: Callable[[list[Window]], Tensor],
    plain: Callable[[list[Window]], Tensor],
    examples: list[Window],
    scale: float,
) -> bool:
    """Whether a fast path gives on a few patches what the plain one does, with clearly fewer multiply-adds.

    scale   of the scores whose differences these are: rounding is relative to it
    """
    from torch.utils.flop_counter import FlopCounterMode

    fast(examples)  # what is kept from now on does not count
    values = []
    costs = []
    for path in (fast, plain):
        with FlopCounterMode(display=False) as counter:
            values.append(path(examples))
        costs.append(counter.get_total_flops())
    tolerance = TOLERANCE * max(scale, float(values[1].abs().max()))
    return costs[0] < CHEAPER * costs[1] and float((values[0] - values[1]).abs().max()) <= tolerance


def _with_patches(x: Tensor, covered: Tensor, where: list[Window]) -> Tensor:
    """(1, C, *S) -> (len(where), C, *S), each with one patch"""
    batch = x.expand(len(where), *x.shape[1:]).clone(memory_format=torch.preserve_format)
    for image, window in zip(batch, where, strict=True):
        image[(slice(None), *window)] = covered[0][(slice(None), *window)]
    return batch


@torch.no_grad()
def rise(
    score: Score,
    x: Tensor,
    covered: Tensor,
    masks: int = MASKS,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Tensor, Tensor]:
    """(*S) by how much the score is higher when a place is seen, from random masks, and its standard error.

    RISE, centred: the score's covariance with the mask over the mask's variance, so that a place without influence has 0.
    """
    generator = torch.Generator().manual_seed(seed)
    size = batch_of(x)
    scores = []
    products = torch.zeros(x.shape[2:], dtype=torch.float64)
    squares = torch.zeros_like(products)
    sums = torch.zeros_like(products)
    sums_of_squares = torch.zeros_like(products)
    middle = float(score(torch.cat([x, covered])).mean())  # so that sums of squares do not cancel
    starts = range(0, masks, size)
    for start in progress(starts, len(starts)):
        seen = random_masks(tuple(x.shape[2:]), min(size, masks - start), generator)
        shares = seen[:, None].to(x)
        values = score(shares * x + (1 - shares) * covered).double().cpu() - middle
        seen = seen.double() - 0.5
        weighted = values.view(-1, *[1] * (seen.dim() - 1)) * seen
        scores.append(values)
        products += weighted.sum(0)
        squares += weighted.square().sum(0)
        sums += seen.sum(0)
        sums_of_squares += seen.square().sum(0)
    mean = torch.cat(scores).mean()
    variance = (sums_of_squares / masks - (sums / masks).square()).clamp(min=1e-9)
    slope = (products / masks - mean * sums / masks) / variance
    error = (squares / masks - (products / masks).square()).clamp(min=0).sqrt() / (variance * masks**0.5)
    return slope, error


def random_masks(size: tuple[int, ...], n: int, generator: torch.Generator) -> Tensor:
    """(n, *S) values from 0 to 1: cells that are seen or not with even chance, smooth and moved at random"""
    cells = [min(CELLS, s) for s in size]
    coarse = (torch.rand((n, 1, *[c + 1 for c in cells]), generator=generator) < 0.5).float()
    steps = [ceil(s / c) for s, c in zip(size, cells, strict=True)]
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(size)]
    large = F.interpolate(
        coarse, [(c + 1) * step for c, step in zip(cells, steps, strict=True)], mode=mode, align_corners=False
    )[:, 0]
    corners = torch.stack([torch.randint(0, step, (n,), generator=generator) for step in steps], 1)
    cut = [
        mask[tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))]
        for mask, corner in zip(large, corners.tolist(), strict=True)
    ]
    return torch.stack(cut)
