"""Which method is used: the one that this rule expects to be fastest.

With M outputs per channel pair, K taps, and times in nanoseconds as measured on one core (benchmarks/convolution.py):

taps    K (1500 + 0.9 M)
line    2000 + 0.3 M K                                            1-D, no channels
blocks  12000 + M (4 + 0.05 flops)                                flops = 2 K (b + k - 1) / k with blocks of b
fft     60000 + P (0.55 log2(T) + 1.5), twice that beyond 2^18    P points transformed in tiles of T

M counts every position, also those that a stride skips, except for taps.
"""

from collections.abc import Callable
from functools import lru_cache
from math import log2, prod

from scipy.fft import next_fast_len

from eyespot.convolution.windows import Windows
from eyespot.errors import UserError, nearest

TILES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024, 2048, 4096, 8192)
BLOCKS = (1, 2, 4, 8, 16, 32, 64)


def pairs(w: Windows) -> int:
    """Images times channel pairs."""
    return w.x_shape[0] * prod(w.kernel_shape[:3])


def taps_cost(w: Windows) -> float:
    return prod(w.taps) * (1500 + 0.9 * pairs(w) * prod(w.out))


def line_cost(w: Windows) -> float:
    if w.dim > 1 or w.x_shape[0] > 1 or not w.plain or max(w.stride + w.dilation) > 1:
        return float("inf")
    return 2000 + 0.3 * w.out[0] * w.taps[0]


def blocks_cost(w: Windows, cut: int, block: int) -> float:
    n, (_, o, c) = w.x_shape[0] * w.kernel_shape[0], w.kernel_shape[:3]
    k = w.reach[cut] + 1
    rows = [r + 1 for a, r in enumerate(w.reach) if a != cut]
    flops = 2 * prod(rows) * c * (block + k - 1) * o * block / min(1, o * block / 8)
    moves = c * (block + k - 1) + o * block * (2 * prod(rows) / max(rows, default=1) - 1)
    count = n * prod(w.dense) / w.dense[cut] * -(-w.dense[cut] // block)
    return 12000 + count * (1.2 * moves + flops / 30)


def tiling(w: Windows) -> tuple[tuple[int, int], ...]:
    """Per axis, the number of tiles and the length of their transforms that need the fewest operations."""
    best = []
    for n, b, a, r, out in zip(w.size, w.before, w.after, w.reach, w.dense, strict=True):
        choices = []
        for m in TILES:
            if m > 1 and out < 2 * m:
                break
            length = -(-out // m) + r
            if m == 1 and w.boundary == "zero":
                length = n + max(a, b)
            length = next_fast_len(length, real=True)
            if m == 1 and w.boundary == "circular" and max(out, r + 1) <= n < length:
                length = n
            choices.append((m * length * (log2(length) + 4 * w.dim), m, length))
        best.append(min(choices)[1:])
    return tuple(best)


def fft_cost(w: Windows, tiles: tuple[tuple[int, int], ...]) -> float:
    counts, lengths = zip(*tiles, strict=True)
    g, o, c = w.kernel_shape[:3]
    images, points = w.x_shape[0] * prod(counts), prod(lengths)
    transforms = g * (images * (o + c) + o * c)
    per_point = (0.3 * log2(points) + 0.8) * (1 if points <= 1 << 18 else 2)
    return 60000 + points * (transforms * per_point + g * o * c * images * 0.5)


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
