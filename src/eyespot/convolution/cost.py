"""Which method is used: the one that this rule expects to be fastest.

Nanoseconds, fitted to 11,000 timings in float64 on one core of an AMD EPYC (Zen 4), with M outputs per image and
channel pair and K taps:

rows    3000 (in 1-D, else 8000) + R (2000 + P t) for R rows of k taps over P points, one channel; t is k / 6 up to 11
        taps and 6.6 + k / 10 beyond; in more than 1-D 0.4 more, or 2 beyond 2^15 points
table   6500 + 1.15 M K                                           one channel
taps    1000 + K (3400 + 0.6 M)
blocks  9000 + 15000 pieces + 0.017 flops + 0.06 inputs + 1.5 outputs + 0.43 sums + 2 rows + 1 per Toeplitz entry;
        1.2 times that where the last of several axes is cut
fft     17000 + 32000 pieces + 1.3 points of tiles + P (0.1 log2(T) + 1.2, in 2-D 2.2, in 3-D 3.8, 0.4 more beyond 7000 and 3 beyond 2^17)
        for P points transformed in tiles of T; and 1.3 per product of spectra where there are channels

M counts every position, also those that a stride skips, except for taps and table.
"""

from collections.abc import Callable
from functools import lru_cache
from math import inf, log2, prod

from eyespot.convolution.blocks import CHUNK as BLOCK_CHUNK
from eyespot.convolution.fourier import CHUNK as FFT_CHUNK
from eyespot.convolution.fourier import fast_length
from eyespot.convolution.windows import Windows
from eyespot.errors import UserError, nearest

TILES = (*range(1, 9), *(m << n for n in range(1, 12) for m in (5, 6, 7, 8)))
BLOCKS = (1, 2, 4, 8, 16, 32, 64)


def pairs(w: Windows) -> int:
    """Images times channel pairs."""
    return w.x_shape[0] * prod(w.kernel_shape[:3])


def taps_cost(w: Windows) -> float:
    return 1000 + prod(w.taps) * (3400 + 0.6 * pairs(w) * prod(w.out))


def rows_cost(w: Windows, axis: int) -> float:
    if not w.plain:
        return inf
    rows = [r + 1 for r in w.reach]
    taps = rows.pop(axis)
    points = w.x_shape[0] * w.dense[0] * prod(m + r for m, r in list(zip(w.dense, w.reach, strict=True))[1:])
    if w.dim == 1 and w.boundary == "zero":
        points = min(points, w.x_shape[0] * w.size[0])
    per_point = (taps / 6 if taps <= 11 else 6.6 + taps / 10) + (w.dim > 1) * (0.4 if points < 1 << 15 else 2)
    return (3000 if w.dim == 1 else 8000) + prod(rows) * (2000 + points * per_point)


def table_cost(w: Windows) -> float:
    return 6500 + 1.15 * prod(w.out) * prod(w.taps) if w.plain and w.x_shape[0] == 1 else inf


def blocks_cost(w: Windows, cut: int, block: int) -> float:
    n, (g, o, c) = w.x_shape[0], w.kernel_shape[:3]
    rest = [r + 1 for axis, r in enumerate(w.reach) if axis != cut]
    taps, height = prod(rest), max(rest, default=1)
    wide, columns = c * (block + w.reach[cut]), o * block
    rows = n * g * -(-w.dense[cut] // block) * prod(m + r for m, r in zip(w.dense, w.reach, strict=True))
    rows //= w.dense[cut] + w.reach[cut]
    flops = 2 * rows * taps * wide * columns / min(1, columns / 8)
    pieces = 1 + rows * wide / BLOCK_CHUNK
    moves = rows * (2 + 0.06 * wide + columns * (1.5 + 0.43 * (taps / height - 1)))
    cost = 9000 + 15000 * pieces + 0.017 * flops + moves + 1.0 * g * taps * wide * columns
    return cost * (1.2 if cut == w.dim - 1 > 0 else 1)


def tiling(w: Windows) -> tuple[tuple[int, int], ...]:
    """Per axis, the number of tiles and the length of their transforms: each the cheapest given the others."""
    ways, least = [], (128, 24, 10)[min(w.dim, 3) - 1]
    for n, b, a, r, out in zip(w.size, w.before, w.after, w.reach, w.dense, strict=True):
        whole = n if w.boundary == "circular" and max(out, r + 1) <= n else fast_length(out + r)
        axis = [(1, fast_length(n + max(a, b)) if w.boundary == "zero" else whole)]
        for m in TILES[1:]:
            length = fast_length(-(-out // m) + r)
            if length < least or out < r * m / 3:
                break
            axis.append((m, length))
        ways.append(axis)
    tiles = [axis[-1] for axis in ways]
    for i in [*range(w.dim)] * 2:
        tiles[i] = min(ways[i], key=lambda way, i=i: fft_cost(w, (*tiles[:i], way, *tiles[i + 1 :])))
    return tuple(tiles)


def fft_cost(w: Windows, tiles: tuple[tuple[int, int], ...]) -> float:
    counts, lengths = zip(*tiles, strict=True)
    g, o, c = w.kernel_shape[:3]
    images, points = w.x_shape[0] * prod(counts), prod(lengths)
    transformed = points * g * (images * (o + c) + o * c)
    per_point = 0.1 * log2(points) + (1.2, 2.2, 3.8)[min(w.dim, 3) - 1]
    per_point += 0.4 * (points > 7000) + 2.6 * (points > 1 << 17)
    products = images * points * g * (1.3 * c + 1.3 * o * c * (o * c > 1))
    return 17000 + 32000 * (1 + images * points * g * c / FFT_CHUNK) + transformed * per_point + products


METHODS = ("auto", "direct", "fft")


def known(method: str) -> None:
    if method not in METHODS:
        raise UserError(f"method is {method!r}; {nearest(str(method), METHODS)}")


def prefer(method: str, direct: float, fft: Callable[[], float]) -> bool:
    """Whether the Fourier transform is asked for, or expected to be faster than `direct` nanoseconds."""
    known(method)
    return method == "fft" or (method == "auto" and direct > 60000 and fft() < direct)


@lru_cache(maxsize=512)
def choose(w: Windows, method: str) -> tuple[str, object]:
    """The name of the cheapest method allowed ("auto", "direct" or "fft"), and its block or tiling."""
    known(method)
    costs: list[tuple[float, str, object]] = []
    if method != "fft":
        costs += [(taps_cost(w), "taps", None), (table_cost(w), "table", None)]
        costs += [(rows_cost(w, axis), "rows", axis) for axis in range(w.dim)]
        cuts = [(a, b) for a in range(w.dim) for b in BLOCKS if b < 2 * w.dense[a]]
        costs += [(blocks_cost(w, *cut), "blocks", cut) for cut in cuts]
    if method == "fft" or (method == "auto" and min(cost for cost, *_ in costs) > 60000):
        tiles = tiling(w)
        costs.append((fft_cost(w, tiles), "fft", tiles))
    return min(costs, key=lambda c: c[0])[1:]
