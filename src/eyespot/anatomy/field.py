"""Which inputs an output depends on, along one axis: exact for any graph, of any size.

Along an axis, position i of a tensor depends on inputs between a lowest and a highest. A layer's output depends on
what the inputs in its window depend on, so its lowest is the least of theirs and its highest the greatest; and where
two paths meet, the same holds for both. Least and greatest of a union are least and greatest of the parts: carried
through the graph in this way, the ends are those of the union of all paths, not a bound. (For chains this is the
known recursion, Araujo et al. 2019.) Only weights that happen to be zero, or cancel, can make a network see less.

The axis is taken as endless, as the theoretical receptive field means it; padding only shifts positions. Every layer
does the same again some positions further on, so one period says all: after a transposed convolution, or where a
resolution rises, positions of different phase have receptive fields of different sizes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, inf, lcm


@dataclass(frozen=True)
class ReceptiveFields:
    """Those of all positions: i sees inputs lows[k] + n * jump to highs[k] + n * jump, where n, k = divmod(i, period).

    A position that no input reaches has the lowest inf and the highest -inf.
    """

    jump: int
    lows: tuple[float, ...]
    highs: tuple[float, ...]

    @property
    def period(self) -> int:
        return len(self.lows)

    @property
    def stride(self) -> Fraction:
        """Inputs from one position to the next, on average."""
        return Fraction(self.jump, self.period)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The receptive fields of the phases, in samples: each size once, rising."""
        spans = zip(self.lows, self.highs, strict=True)
        return tuple(sorted({max(0, int(high - low) + 1) if low < inf else 0 for low, high in spans}))

    def at(self, i: int) -> tuple[float, float]:
        n, k = divmod(i, self.period)
        return self.lows[k] + n * self.jump, self.highs[k] + n * self.jump

    def after_layer(
        self, window: Callable[[int], Iterable[int]], out_step: int = 1, in_step: int = 1
    ) -> "ReceptiveFields":
        """Those of a layer's output i that reads positions window(i), where window(i + out_step) = window(i) + in_step."""
        repeats = self.period // gcd(self.period, in_step)
        seen = [[self.at(j) for j in window(i)] for i in range(out_step * repeats)]
        lows = tuple(min((low for low, _ in ends), default=inf) for ends in seen)
        highs = tuple(max((high for _, high in ends), default=-inf) for ends in seen)
        return ReceptiveFields(self.jump * in_step * repeats // self.period, lows, highs)

    def shifted(self, by: int) -> "ReceptiveFields":
        """Position i of the result is position i + by."""
        return self.after_layer(lambda i: (i + by,))

    def union(self, other: "ReceptiveFields") -> "ReceptiveFields | None":
        """Each position sees what it sees in either; None if one resolution is finer than the other."""
        if self.stride != other.stride:
            return None
        period = lcm(self.period, other.period)
        pairs = [(self.at(i), other.at(i)) for i in range(period)]
        lows = tuple(min(a[0], b[0]) for a, b in pairs)
        highs = tuple(max(a[1], b[1]) for a, b in pairs)
        return ReceptiveFields(int(self.stride * period), lows, highs)


INPUT = ReceptiveFields(1, (0,), (0,))
"""The input itself: each position sees itself."""


def after_conv(
    fields: ReceptiveFields, size: int, stride: int, padding: int, dilation: int
) -> ReceptiveFields:
    """Those after a convolution or a pooling of `size` taps, with `padding` samples at the near end."""
    return fields.after_layer(lambda i: [i * stride - padding + k * dilation for k in range(size)], 1, stride)


def after_transposed_conv(
    fields: ReceptiveFields, size: int, stride: int, padding: int, dilation: int
) -> ReceptiveFields:
    """Those after a transposed convolution: input j adds to outputs j * stride - padding + k * dilation."""

    def window(i: int) -> list[int]:
        reached = [i + padding - k * dilation for k in range(size)]
        return [j // stride for j in reached if j % stride == 0]

    return fields.after_layer(window, stride, 1)


def after_resizing(
    fields: ReceptiveFields,
    in_size: int,
    out_size: int,
    window: Callable[[int], Iterable[int]],
    align_corners: bool = False,
) -> ReceptiveFields:
    """Those after samples were interpolated or adaptively pooled; with `align_corners` the ends stay in place."""
    if align_corners:
        in_size = max(in_size - 1, 1)
        out_size = max(out_size - 1, 1)
    common = gcd(in_size, out_size)
    return fields.after_layer(window, out_size // common, in_size // common)


def adaptive_window(in_size: int, out_size: int) -> Callable[[int], Iterable[int]]:
    """What output i of an adaptive pooling reads."""
    return lambda i: range(i * in_size // out_size, -(-(i + 1) * in_size // out_size))


def resize_window(
    in_size: int, out_size: int, mode: str, align_corners: bool
) -> Callable[[int], Iterable[int]]:
    """What output i of an interpolation reads: the nearest sample, or the two around it."""
    if mode == "nearest":
        return lambda i: (i * in_size // out_size,)
    if mode == "nearest-exact":
        return lambda i: ((2 * i + 1) * in_size // (2 * out_size),)
    scale = Fraction(in_size, out_size)
    offset = Fraction(1, 2)
    if align_corners:
        scale = Fraction(in_size - 1, max(out_size - 1, 1))
        offset = Fraction(0)

    def around(i: int) -> tuple[int, ...]:
        source = (i + offset) * scale - offset
        low = source.numerator // source.denominator
        return (low,) if source == low else (low, low + 1)

    return around
