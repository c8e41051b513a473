"""Large images in tiles: how far beside a tile the network looks, where tiles lie, how much memory one takes.

A tile's inside is answered as in the whole image if around it lies all that its samples see, if it starts where the
network's grids start again, and if it ends where the image ends or on such a place, so that the network fills it up
only where it would fill up the whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, lcm, pi, prod

import numpy as np
from numpy.typing import NDArray

from eyespot.anatomy.description import memory as in_words
from eyespot.anatomy.measure import run_as_predicting
from eyespot.errors import UserError
from eyespot.models.network import Network

Slices = tuple[slice, ...]
LABELS = 4
"""Bytes for a sample's label until it is written, copies included."""
BESIDE = 150 << 20
"""Bytes that torch's kernels and the compression of the answer take beside what is counted."""


@dataclass(frozen=True)
class Reach:
    """Samples that a tile needs before and after it, multiples of the grid that it starts on; the same for all axes.

    why   the reason why no tile can be exact, "" where it can
    """

    before: int
    after: int
    grid: int
    why: str = ""

    def around(self, inner: slice, n: int) -> slice:
        """An inner part, on the grid or up to the end, and what it sees, of an axis of n samples."""
        return slice(max(0, inner.start - self.before), min(n, inner.stop + self.after))


def up(n: int, grid: int) -> int:
    return -(-n // grid) * grid


def reach(network: Network, channels: int) -> Reach:
    """How far a segmentation network looks. Raises UserError for one that does not answer for every sample."""
    stride, kind = network.total_stride, type(network).__name__
    shape = (channels, *[up(max(network.smallest, 4 * stride), stride)] * network.kit.dim)
    _, follower, _, out = run_as_predicting(network, shape, "meta")
    if tuple(out.shape[2:]) != shape[1:]:
        raise UserError(
            f"this {kind} answers {tuple(out.shape[2:])} for {shape[1:]} samples, and tiles need an answer for "
            "every sample: use a segmentation network with padded=True"
        )
    why = ", and ".join(follower.notes)
    grids = [axis.grid for axis in follower.last if axis.grid is not None]
    if network.kit.padding == "circular":
        why = "its padding is circular: each edge sees the opposite one"
    if why or len(grids) < network.kit.dim:
        return Reach(0, 0, stride, why or "an output sees the whole image")
    step = lcm(stride, *(g.shift for g in grids))
    before = up(max(int(-low) for g in grids for low in g.lows), step)
    after = up(max(int(high) - g.shift + 1 for g in grids for high in g.highs), step)
    if (
        network.kit.padding != "zeros"
    ):  # what lies outside is then taken from inside, from as far on the other side
        before = after = max(before, after) + step
    return Reach(before, after, step)


def tiles(shape: Sequence[int], tile: Sequence[int], reach: Reach) -> Iterator[tuple[Slices, Slices]]:
    """Inner parts of `tile` samples (rounded up to the grid), which together are the image, each with what it sees."""
    steps = [up(t, reach.grid) for t in tile]
    axes = [
        [slice(a, min(a + step, n)) for a in range(0, n, step)] for n, step in zip(shape, steps, strict=True)
    ]
    for inner in product(*axes):
        yield inner, tuple(reach.around(part, n) for part, n in zip(inner, shape, strict=True))


def overlapping(n: int, tile: int, grid: int) -> list[slice]:
    """Parts of an axis, each of `tile` samples (rounded up to two of the grid's), beginning half a part apart."""
    tile = up(tile, 2 * grid)
    return [slice(a, min(a + tile, n)) for a in range(0, max(1, n - tile // 2), tile // 2)]


def shares(parts: Sequence[slice]) -> list[NDArray[np.float32]]:
    """For each of the parts, the weight of each of its samples: Hann windows, divided so that weights add up to 1."""
    windows = [np.sin(pi * (np.arange(p.stop - p.start) + 0.5) / (p.stop - p.start)) ** 2 for p in parts]
    total = np.zeros(parts[-1].stop)
    for part, window in zip(parts, windows, strict=True):
        total[part] += window
    return [(window / total[part]).astype(np.float32) for part, window in zip(parts, windows, strict=True)]


@dataclass(frozen=True)
class Plan:
    """How an image is cut: `tile` is the inner part where tiles are exact, the whole tile where they are blended.

    bytes   the most memory at once, beside what the process holds before
    why     why the tiles are blended, "" where they are exact
    """

    shape: tuple[int, ...]
    tile: tuple[int, ...]
    reach: Reach
    bytes: int
    why: str = ""

    @property
    def count(self) -> int:
        if self.why:
            return prod(len(p) for p in self.parts())
        return prod(ceil(n / t) for n, t in zip(self.shape, self.tile, strict=True))

    @property
    def rows(self) -> int:
        """How many times a band of all of the width is made."""
        return len(self.parts()[0]) if self.why else ceil(self.shape[0] / self.tile[0])

    def parts(self) -> list[list[slice]]:
        """Of each axis, the overlapping parts of tiles that are blended."""
        return [
            overlapping(n, t, self.reach.grid) if t < n else [slice(0, n)]
            for n, t in zip(self.shape, self.tile, strict=True)
        ]

    def __str__(self) -> str:
        size, most = " x ".join(map(str, self.tile)), in_words(self.bytes)
        if self.why:
            return f"{self.count:,} overlapping tiles of {size}, blended, since {self.why}; at most {most}"
        if self.count == 1:
            return f"in one piece; at most {most}"
        beside = max(self.reach.before, self.reach.after)
        return f"{self.count:,} tiles of {size} and up to {beside} beside, exact; at most {most}"


def memory(network: Network, channels: int, outer: Sequence[int]) -> int:
    """Bytes that the network takes for one tile of these sizes, in float32: all values alive at once."""
    return run_as_predicting(network, (channels, *outer), "meta")[2].peak


def plan(network: Network, channels: int, shape: Sequence[int], limit: int, answer: int = LABELS) -> Plan:
    """The largest tiles that take at most `limit` bytes: exact ones, or blended where these would cost less.

    `answer` is how many bytes are held for each sample of a band until it is written.

    Blended tiles overlap by half along each axis, so exact ones are chosen where their inner half or more is kept.
    """
    shape, how = tuple(shape), reach(network, channels)
    outer = largest_tile(network, channels, shape, limit, answer, blended=False)
    side, beside = max(outer), how.before + how.after
    inner = (side - beside) // how.grid * how.grid
    if outer == shape or (not how.why and 2 * inner >= side):
        tile = tuple(n if n <= side else evenly(n, inner, how.grid) for n in shape)
        outer = [min(n, t + beside) for n, t in zip(shape, tile, strict=True)]
        return Plan(shape, tile, how, cost(network, channels, shape, outer, answer, blended=False))
    why = (
        how.why
        or f"the network looks {beside} samples far and only {side} at a time fit in {in_words(limit)}"
    )
    outer = largest_tile(network, channels, shape, limit, answer, blended=True)
    return Plan(shape, outer, how, cost(network, channels, shape, outer, answer, blended=True), why)


def evenly(n: int, most: int, grid: int) -> int:
    """The length on the grid of as many parts as `most` asks for, but alike."""
    return up(ceil(n / ceil(n / most)), grid)


def largest_tile(
    network: Network, channels: int, shape: tuple[int, ...], limit: int, answer: int, blended: bool
) -> tuple[int, ...]:
    """The largest tile, halo included, that takes at most `limit` bytes; its sides are alike or end with the image.

    A blended one is shorter along the first axis where the rows that are held would take more than half of the memory.
    """
    grid, dim = 2 * network.total_stride, len(shape)
    least = up(network.smallest, grid)
    probe = 2 * least - 1  # filled up to 2 * least, as at the image's end; values rise with the area
    each = memory(network, channels, [probe] * dim) / (2 * least) ** dim
    row = held(network, shape, 1, answer, blended) - BESIDE
    rows = max(least, limit // (2 * row) // grid * grid) if blended else max(shape)

    def outer(side: int) -> tuple[int, ...]:
        return (min(rows, side, shape[0]), *(min(n, side) for n in shape[1:]))

    def taken(side: int) -> float:
        sides = outer(side)
        return each * prod(up(n, grid) for n in sides) + held(network, shape, sides[0], answer, blended)

    if taken(least) > limit:
        raise UserError(
            f"the memory allowed is {in_words(limit)}, and the smallest tile of this {type(network).__name__}, "
            f"{least} samples wide, takes {in_words(taken(least))}; allow more"
        )
    low, high = least, up(max(*shape, least), grid)
    while low < high:
        middle = up((low + high) // 2 + 1, grid)
        low, high = (middle, high) if taken(middle) <= limit else (low, middle - grid)
    return outer(low)


def cost(
    network: Network, channels: int, shape: Sequence[int], outer: Sequence[int], answer: int, blended: bool
) -> int:
    """Bytes for one tile and for all that is held beside it."""
    return memory(network, channels, outer) + held(network, shape, outer[0], answer, blended)


def held(network: Network, shape: Sequence[int], rows: int, answer: int, blended: bool) -> int:
    """Bytes for the rows of the answer that are kept until they are written, and BESIDE."""
    logits = 6 * network.classes if blended else 0  # in float32, half of them twice
    return rows * prod(shape[1:]) * (answer + logits) + BESIDE
