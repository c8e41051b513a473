"""Which method is used: the one that this rule expects to be fastest.

Nanoseconds, fitted to some 5,000 timings on one core of an AMD EPYC (Zen 4), with M outputs per image and channel pair
and K taps, in float64:

line    3200 + M K / 6 up to 11 taps, M (6.6 + K / 10) beyond     one axis, one channel
taps    1500 + K (3400 + 0.6 M)
blocks  14500 + 11600 pieces + 0.016 flops + 0.16 inputs + 2 outputs + 0.6 sums + 1.2 Toeplitz entries
fft     44000 + 11300 pieces + P (0.075 log2(T) + 2 + 1.1 in 2-D + 3 in 3-D, 3 more beyond 2^17) for P points
        transformed in tiles of T; and 1.4 per product of spectra where there are channels

M counts every position, also those that a stride skips, except for taps.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import product
from math import inf, log2, prod

from eyespot.convolution.blocks import CHUNK as BLOCK_CHUNK
from eyespot.convolution.fourier import CHUNK as FFT_CHUNK
from eyespot.convolution.fourier import fast_length
from eyespot.convolution.windows import Windows
from eyespot.errors import UserError, nearest

TILES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024, 2048, 4096, 8192)
BLOCKS = (1, 2, 4, 8, 16, 32, 64)


def pairs(w: Windows) -> int:
    """Images times channel pairs."""
    return w.x_shape[0] * prod(w.kernel_shape[:3])


def taps_cost(w: Windows) -> float:
    return 1500 + prod(w.taps) * (3400 + 0.6 * pairs(w) * prod(w.out))


def line_cost(w: Windows) -> float:
    if w.dim > 1 or w.x_shape[0] > 1 or not w.plain or w.dilation[0] > 1:
        return inf
    taps, outputs = w.taps[0], w.dense[0]
    return 3200 + outputs * (taps / 6 if taps <= 11 else 6.6 + taps / 10)


def blocks_cost(w: Windows, cut: int, block: int) -> float:
    n, (g, o, c) = w.x_shape[0], w.kernel_shape[:3]
    rest = [r + 1 for axis, r in enumerate(w.reach) if axis != cut]
    taps, height = prod(rest), max(rest, default=1)
    wide, columns = c * (block + w.reach[cut]), o * block
    rows = n * g * -(-w.dense[cut] // block) * prod(m + r for m, r in zip(w.dense, w.reach, strict=True))
    rows //= w.dense[cut] + w.reach[cut]
    flops = 2 * rows * taps * wide * columns / min(1, columns / 8)
    pieces = 1 + rows * wide / BLOCK_CHUNK
    moves = 0.16 * rows * wide + rows * columns * (2 + 0.6 * (taps / height - 1))
    return 14500 + 11600 * pieces + 0.016 * flops + moves + 1.2 * g * taps * wide * columns


def tiling(w: Windows) -> tuple[tuple[int, int], ...]:
    """Per axis, the number of tiles and the length of their transforms: the cheapest of all combinations."""
    ways = []
    for n, b, a, r, out in zip(w.size, w.before, w.after, w.reach, w.dense, strict=True):
        axis = []
        for m in TILES:
            if m > 1 and (out < 2 * m or out < r * m / 3):
                break
            length = n + max(a, b) if m == 1 and w.boundary == "zero" else -(-out // m) + r
            fast = fast_length(length)
            circle = m == 1 and w.boundary == "circular" and max(out, r + 1) <= n
            axis.append((m, min(n, fast) if circle else fast))
        ways.append(axis[:: 2 if len(axis) > 8 and w.dim > 2 else 1])
    return min(product(*ways), key=lambda tiles: fft_cost(w, tiles))


def fft_cost(w: Windows, tiles: tuple[tuple[int, int], ...]) -> float:
    counts, lengths = zip(*tiles, strict=True)
    g, o, c = w.kernel_shape[:3]
    images, points = w.x_shape[0] * prod(counts), prod(lengths)
    transformed = points * g * (images * (o + c) + o * c)
    per_point = 0.075 * log2(points) + (2, 3.1, 5)[min(w.dim, 3) - 1] + 3 * (points > 1 << 17)
    products = 1.4 * points * images * g * o * c * (o * c > 1)
    return 44000 + 11300 * (1 + images * points * g * c / FFT_CHUNK) + transformed * per_point + products


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
        costs += [(taps_cost(w), "taps", None), (line_cost(w), "line", None)]
        cuts = [(a, b) for a in range(w.dim) for b in BLOCKS if b < 2 * w.dense[a]]
        costs += [(blocks_cost(w, *cut), "blocks", cut) for cut in cuts]
    if method == "fft" or (method == "auto" and min(costs)[0] > 60000):
        tiles = tiling(w)
        costs.append((fft_cost(w, tiles), "fft", tiles))
    return min(costs, key=lambda c: c[0])[1:]
