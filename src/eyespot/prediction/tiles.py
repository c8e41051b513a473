"""Large images in tiles: where tiles lie and how much memory one takes, planned from facts about the network alone.

A tile's inside is predicted as in the whole image if around it lies all that its samples see, if it starts where the
network's grids start again, and if it ends where the image ends or on such a place, so that the network pads it only
where it would pad the whole. No torch is needed here: the facts are in the model file (see `network_facts.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from math import ceil, pi, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.errors import UserError

Slices = tuple[slice, ...]
LABELS = 4
"""Bytes for a sample's label until it is written, copies included."""
OVERHEAD = 150 << 20
"""Bytes that kernels and the compression of the prediction take beside what is counted."""


@dataclass(frozen=True)
class Halo:
    """Samples that a tile needs before and after it, multiples of the grid that it starts on; the same for all axes.

    why   the reason why no tile can be exact, "" where it can
    """

    before: int
    after: int
    grid: int
    why: str = ""

    def around(self, inner: slice, n: int) -> slice:
        """An inner region, on the grid or up to the end, and what it sees, of an axis of n samples."""
        return slice(max(0, inner.start - self.before), min(n, inner.stop + self.after))


def round_up(n: int, grid: int) -> int:
    """The smallest multiple of `grid` that is not below n."""
    return -(-n // grid) * grid


@dataclass(frozen=True)
class NetworkFacts:
    """What a tile plan has to know of a network that predicts every position.

    name               of its class, for messages
    classes            channels of the logits
    smallest           the shortest axis that it takes without padding
    stride             its total stride, in samples
    bytes_per_sample   memory for one image in float32, all values alive at once, for each of its samples
    """

    name: str
    classes: int
    smallest: int
    stride: int
    bytes_per_sample: float
    halo: Halo

    def as_dict(self) -> dict[str, Any]:
        """Ready for the card."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> "NetworkFacts":
        """From a card."""
        fields = dict(facts)
        halo = fields.pop("reach", None) or fields["halo"]  # "reach": its name in older model files
        return cls(**{**fields, "halo": Halo(**halo)})

    @property
    def grid(self) -> int:
        """Sizes that tiles are multiples of, in samples."""
        return 2 * self.stride

    def memory(self, outer: Sequence[int]) -> int:
        """Bytes for one tile of these sizes."""
        return ceil(self.bytes_per_sample * prod(round_up(n, self.grid) for n in outer))


def tiles(shape: Sequence[int], tile: Sequence[int], halo: Halo) -> Iterator[tuple[Slices, Slices]]:
    """Inner parts of `tile` samples (rounded up to the grid), which together are the image, each with what it sees."""
    steps = [round_up(t, halo.grid) for t in tile]
    axes = [
        [slice(a, min(a + step, n)) for a in range(0, n, step)] for n, step in zip(shape, steps, strict=True)
    ]
    for inner in product(*axes):
        yield inner, tuple(halo.around(i, n) for i, n in zip(inner, shape, strict=True))


def overlapping(n: int, tile: int, grid: int) -> list[slice]:
    """Parts of an axis, each of `tile` samples (rounded up to two of the grid's), beginning half a part apart."""
    tile = round_up(tile, 2 * grid)
    return [slice(a, min(a + tile, n)) for a in range(0, max(1, n - tile // 2), tile // 2)]


def shares(parts: Sequence[slice]) -> list[NDArray[np.float32]]:
    """For each of the parts, the weight of each of its samples: Hann windows, divided so that weights add up to 1."""
    windows = [np.sin(pi * (np.arange(p.stop - p.start) + 0.5) / (p.stop - p.start)) ** 2 for p in parts]
    total = np.zeros(parts[-1].stop)
    for place, window in zip(parts, windows, strict=True):
        total[place] += window
    return [(window / total[place]).astype(np.float32) for place, window in zip(parts, windows, strict=True)]


@dataclass(frozen=True)
class Plan:
    """How an image is cut: `tile` is the inner region where tiles are exact, the whole tile where they are blended.

    bytes   the most memory at once, beside what the process holds before
    why     why the tiles are blended, "" where they are exact
    """

    shape: tuple[int, ...]
    tile: tuple[int, ...]
    halo: Halo
    bytes: int
    why: str = ""

    @property
    def count(self) -> int:
        if self.why:
            return prod(len(p) for p in self.axis_tiles())
        return prod(ceil(n / t) for n, t in zip(self.shape, self.tile, strict=True))

    @property
    def rows(self) -> int:
        """How many times a band of all of the width is made."""
        return len(self.axis_tiles()[0]) if self.why else ceil(self.shape[0] / self.tile[0])

    def axis_tiles(self) -> list[list[slice]]:
        """Of each axis, the overlapping parts of tiles that are blended."""
        return [
            overlapping(n, t, self.halo.grid) if t < n else [slice(0, n)]
            for n, t in zip(self.shape, self.tile, strict=True)
        ]

    def __str__(self) -> str:
        size = " x ".join(map(str, self.tile))
        most = in_words(self.bytes)
        if self.why:
            return f"{self.count:,} overlapping tiles of {size}, blended, since {self.why}; at most {most}"
        if self.count == 1:
            return f"in one piece; at most {most}"
        halo = max(self.halo.before, self.halo.after)
        return f"{self.count:,} tiles of {size} with a halo of up to {halo}, exact; at most {most}"


def plan(facts: NetworkFacts, shape: Sequence[int], limit: int, sample_bytes: int = LABELS) -> Plan:
    """The largest tiles that take at most `limit` bytes: exact ones, or blended where these would cost less.

    `sample_bytes` is the number of bytes that are kept for each sample of a band until it is written.

    Blended tiles overlap by half along each axis, so exact ones are chosen where their inner half or more is kept.
    """
    shape = tuple(shape)
    halo = facts.halo
    outer = largest_tile(facts, shape, limit, sample_bytes, blended=False)
    side = max(outer)
    both_sides = halo.before + halo.after
    inner = (side - both_sides) // halo.grid * halo.grid
    if outer == shape or (not halo.why and 2 * inner >= side):
        tile = tuple(n if n <= side else evenly(n, inner, halo.grid) for n in shape)
        outer = tuple(min(n, t + both_sides) for n, t in zip(shape, tile, strict=True))
        return Plan(shape, tile, halo, cost(facts, shape, outer, sample_bytes, blended=False))
    reason = (
        halo.why
        or f"the network looks {both_sides} samples far and only {side} at a time fit in {in_words(limit)}"
    )
    outer = largest_tile(facts, shape, limit, sample_bytes, blended=True)
    return Plan(shape, outer, halo, cost(facts, shape, outer, sample_bytes, blended=True), reason)


def evenly(n: int, most: int, grid: int) -> int:
    """The length on the grid of as many parts as `most` asks for, but alike."""
    return round_up(ceil(n / ceil(n / most)), grid)


def largest_tile(
    facts: NetworkFacts, shape: tuple[int, ...], limit: int, sample_bytes: int, blended: bool
) -> tuple[int, ...]:
    """The largest tile, halo included, that takes at most `limit` bytes; its sides are alike or end with the image.

    A blended one is shorter along the first axis where the rows that are kept would take more than half of the memory.
    """
    grid = facts.grid
    least = round_up(facts.smallest, grid)
    row = band_bytes(facts, shape, 1, sample_bytes, blended) - OVERHEAD
    rows = max(least, limit // (2 * row) // grid * grid) if blended else max(shape)

    def outer(side: int) -> tuple[int, ...]:
        return (min(rows, side, shape[0]), *(min(n, side) for n in shape[1:]))

    def taken(side: int) -> int:
        return cost(facts, shape, outer(side), sample_bytes, blended)

    if taken(least) > limit:
        raise UserError(
            f"the memory allowed is {in_words(limit)}, and the smallest tile of this {facts.name}, "
            f"{least} samples wide, takes {in_words(taken(least))}; allow more with EYESPOT_MEMORY_MB"
        )
    low = least
    high = round_up(max(*shape, least), grid)
    while low < high:
        middle = round_up((low + high) // 2 + 1, grid)
        if taken(middle) <= limit:
            low = middle
        else:
            high = middle - grid
    return outer(low)


def cost(
    facts: NetworkFacts, shape: Sequence[int], outer: Sequence[int], sample_bytes: int, blended: bool
) -> int:
    """Bytes for one tile and for all that is kept beside it."""
    return facts.memory(outer) + band_bytes(facts, shape, outer[0], sample_bytes, blended)


def band_bytes(facts: NetworkFacts, shape: Sequence[int], rows: int, sample_bytes: int, blended: bool) -> int:
    """Bytes for the rows of the prediction that are kept until they are written, and OVERHEAD."""
    logits = 6 * facts.classes if blended else 0  # in float32, half of them twice
    return rows * prod(shape[1:]) * (sample_bytes + logits) + OVERHEAD


def in_words(size: float) -> str:
    """12.3 MB"""
    exponent = 0
    while size >= 1024 and exponent < 4:
        size /= 1024
        exponent += 1
    return f"{size:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[exponent]}"
