"""Which inputs an output depends on, along one axis: exact for any graph, of any size.

Along an axis, position i of a tensor depends on inputs between a lowest and a highest. A layer's output depends on
what the inputs in its window depend on, so its lowest is the least of theirs and its highest the greatest; and where
two paths meet, the same holds for both. Least and greatest of a union are least and greatest of the parts: carried
through the graph in this way, the ends are those of the union of all paths, not a bound. (For chains this is the
known recursion, Araujo et al. 2019.) Only weights that happen to be zero, or cancel, can make a network see less.

The axis is taken as endless, as the theoretical receptive field means it; padding only shifts positions. Every layer
does the same again some positions further on, so one period says all: after a transposed convolution, or where a
grid is made finer, positions of different phase see differently much.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, inf, lcm


@dataclass(frozen=True)
class Grid:
    """Position i sees inputs lows[k] + n * shift to highs[k] + n * shift, where n, k = divmod(i, period).

    A position that no input reaches has the lowest inf and the highest -inf.
    """

    shift: int
    lows: tuple[float, ...]
    highs: tuple[float, ...]

    @property
    def period(self) -> int:
        return len(self.lows)

    @property
    def stride(self) -> Fraction:
        """Inputs from one position to the next, on average."""
        return Fraction(self.shift, self.period)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The receptive fields of the phases, in samples: each size once, rising."""
        spans = zip(self.lows, self.highs, strict=True)
        return tuple(sorted({max(0, int(high - low) + 1) if low < inf else 0 for low, high in spans}))

    def at(self, i: int) -> tuple[float, float]:
        n, k = divmod(i, self.period)
        return self.lows[k] + n * self.shift, self.highs[k] + n * self.shift

    def through(self, window: Callable[[int], Iterable[int]], out: int = 1, into: int = 1) -> "Grid":
        """The grid of a layer's output i that reads positions window(i), where window(i + out) = window(i) + into."""
        turns = self.period // gcd(self.period, into)
        seen = [[self.at(j) for j in window(i)] for i in range(out * turns)]
        lows = tuple(min((low for low, _ in ends), default=inf) for ends in seen)
        highs = tuple(max((high for _, high in ends), default=-inf) for ends in seen)
        return Grid(self.shift * into * turns // self.period, lows, highs)

    def moved(self, by: int) -> "Grid":
        """Position i of the result is position i + by."""
        return self.through(lambda i: (i + by,))

    def joined(self, other: "Grid") -> "Grid | None":
        """Each position sees what it sees in either; None if one grid is finer than the other."""
        if self.stride != other.stride:
            return None
        period = lcm(self.period, other.period)
        pairs = [(self.at(i), other.at(i)) for i in range(period)]
        lows = tuple(min(a[0], b[0]) for a, b in pairs)
        highs = tuple(max(a[1], b[1]) for a, b in pairs)
        return Grid(int(self.stride * period), lows, highs)


START = Grid(1, (0,), (0,))
"""The input itself: each position sees itself."""


def conv(grid: Grid, size: int, stride: int, before: int, dilation: int) -> Grid:
    """A convolution or a pooling of `size` taps, `before` samples of padding at the near end."""
    return grid.through(lambda i: [i * stride - before + k * dilation for k in range(size)], 1, stride)


def transposed(grid: Grid, size: int, stride: int, cut: int, dilation: int) -> Grid:
    """A transposed convolution: input j adds to outputs j * stride - cut + k * dilation."""

    def window(i: int) -> list[int]:
        reached = [i + cut - k * dilation for k in range(size)]
        return [j // stride for j in reached if j % stride == 0]

    return grid.through(window, stride, 1)


def resized(
    grid: Grid, n: int, m: int, window: Callable[[int], Iterable[int]], corners: bool = False
) -> Grid:
    """n samples resized to m, or adaptively pooled; `corners` if the first and last samples stay in place."""
    if corners:
        n = max(n - 1, 1)
        m = max(m - 1, 1)
    return grid.through(window, m // gcd(n, m), n // gcd(n, m))


def adaptive_window(n: int, m: int) -> Callable[[int], Iterable[int]]:
    return lambda i: range(i * n // m, -(-(i + 1) * n // m))


def resize_window(n: int, m: int, mode: str, corners: bool) -> Callable[[int], Iterable[int]]:
    """What output i of an interpolation reads: the nearest sample, or the two around it."""
    if mode == "nearest":
        return lambda i: (i * n // m,)
    if mode == "nearest-exact":
        return lambda i: ((2 * i + 1) * n // (2 * m),)
    scale = Fraction(n, m)
    half = Fraction(1, 2)
    if corners:
        scale = Fraction(n - 1, max(m - 1, 1))
        half = Fraction(0)

    def around(i: int) -> tuple[int, ...]:
        place = (i + half) * scale - half
        low = place.numerator // place.denominator
        return (low,) if place == low else (low, low + 1)

    return around
