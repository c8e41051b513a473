"""Where a kernel's windows lie on an array: every check at the door, and the numbers that the methods work with."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from operator import index
from typing import Any, TypedDict

from eyespot.errors import UserError, nearest

OPERATIONS = ("correlate", "convolve")
MODES = ("full", "same", "valid")
BOUNDARIES = ("zero", "replicate", "reflect", "circular")
Sizes = tuple[int, ...]
Source = tuple[tuple[slice, ...], Sizes, Sizes]


class How(TypedDict, total=False):
    """The arguments that say where the windows lie; what they mean and their defaults are those of `correlate`."""

    mode: str
    boundary: str
    stride: int | Sequence[int]
    dilation: int | Sequence[int]
    groups: int
    dim: int | None


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of one operation, as an array x (N, G, C, *size) and a kernel (G, O, C, *taps) have them.

    N is the batch, G the groups, C and O the channels in and out of one group (1 where there are none). Along each
    spatial axis output i is sum_j kernel[j] x[i stride + j dilation - before]; `after` samples follow the last.
    """

    x_shape: Sizes
    kernel_shape: Sizes
    y_shape: Sizes
    before: Sizes
    after: Sizes
    stride: Sizes
    dilation: Sizes
    flip: bool
    boundary: str

    @cached_property
    def dim(self) -> int:
        return len(self.before)

    @cached_property
    def size(self) -> Sizes:
        return self.x_shape[3:]

    @cached_property
    def taps(self) -> Sizes:
        return self.kernel_shape[3:]

    @cached_property
    def out(self) -> Sizes:
        """Outputs along each spatial axis."""
        return self.y_shape[len(self.y_shape) - self.dim :]

    @cached_property
    def reach(self) -> Sizes:
        return tuple(d * (k - 1) for k, d in zip(self.taps, self.dilation, strict=True))

    @cached_property
    def dense(self) -> Sizes:
        """Outputs along each spatial axis, had the stride been 1."""
        ends = zip(self.size, self.before, self.after, self.reach, strict=True)
        return tuple(n + b + a - r for n, b, a, r in ends)

    @cached_property
    def kept(self) -> tuple:
        """The outputs that the stride keeps, of an array (..., *dense) or a larger one."""
        return (..., *[slice(0, m, s) for m, s in zip(self.dense, self.stride, strict=True)])

    @cached_property
    def turned(self) -> tuple:
        """The kernel as it meets the image: flipped along its trailing spatial axes for convolution."""
        return (..., *[slice(None, None, -1 if self.flip else None)] * self.dim)

    def source(self, batch: slice, starts: Sequence[int], stops: Sequence[int]) -> Source:
        """Where the padded image from `starts` to `stops` lies in x, and the zeros needed before and after.

        An image with another boundary than zeros is padded as a whole, and only misses zeros beyond its end.
        """
        zero, where, around = self.boundary == "zero", [batch, slice(None), slice(None)], []
        for n, b, a, start, stop in zip(self.size, self.before, self.after, starts, stops, strict=True):
            n, b = (n, b) if zero else (n + b + a, 0)
            first, last = min(max(start - b, 0), n), min(max(stop - b, 0), n)
            where.append(slice(first, last))
            around.append((first - start + b, stop - b - last) if first < last else (stop - start, 0))
        before, after = zip(*around, strict=True)
        return tuple(where), before, after

    @cached_property
    def plain(self) -> bool:
        """Whether there is one group of one channel."""
        return prod(self.kernel_shape[:3]) == 1

    @cached_property
    def line(self) -> bool:
        """Whether it is one series and one kernel, with zeros outside and every output kept."""
        one = len(self.y_shape) == 1 and self.plain and self.stride == self.dilation == (1,)
        return one and self.x_shape[0] == 1 and self.boundary == "zero"


def flips(operation: str) -> bool:
    """Whether the operation flips its kernel."""
    if operation not in OPERATIONS:
        raise UserError(f"operation is {operation!r}; {nearest(str(operation), OPERATIONS)}")
    return operation == "convolve"


def hashable(value: Any) -> Any:
    """A list as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def windows_of(x: Sequence[int], kernel: Sequence[int], operation: str, how: How) -> Windows:
    """The windows of an operation by name, with its arguments as given."""
    return windows(tuple(x), tuple(kernel), flips(operation), **{k: hashable(v) for k, v in how.items()})


def per_axis(value: int | Sizes, dim: int, name: str) -> Sizes:
    """A number for every axis: one number serves all."""
    try:
        values = tuple(map(index, value)) if isinstance(value, tuple) else (index(value),) * dim
    except TypeError as error:
        raise UserError(f"{name} is {value!r}; it must be a whole number, or one per spatial axis") from error
    if len(values) != dim:
        raise UserError(f"{name} {values} has {len(values)} numbers for {dim} spatial axes")
    if any(v < 1 for v in values):
        raise UserError(f"{name} is {value}; it must be 1 or more along every axis")
    return values


def edges(reach: int, mode: str, flip: bool) -> tuple[int, int]:
    """The samples added (before, after) along one axis; "same" is centred on tap (taps - 1) // 2 of the kernel.

    So an even kernel leans as torch's padding="same" for correlate, and as SciPy's and NumPy's "same" for convolve.
    """
    if mode == "full":
        return reach, reach
    short, long = reach // 2, reach - reach // 2
    if mode == "same":
        return (long, short) if flip else (short, long)
    return 0, 0


def layout(x: Sizes, kernel: Sizes, groups: int, dim: int) -> tuple[Sizes, Sizes, Sizes]:
    """The shapes (N, G, C, *S) of x and (G, O, C, *K) of the kernel, and the leading axes of the result."""
    shapes = f"image {x} and kernel {kernel}"
    if len(kernel) == dim:
        if groups != 1:
            raise UserError(
                f"groups={groups} needs a kernel with channel axes (out, in / groups, ...): {shapes}"
            )
        lead = x[: len(x) - dim]
        return (prod(lead), 1, 1, *x[len(lead) :]), (1, 1, 1, *kernel), lead
    channels, (cout, cin) = x[len(x) - dim - 1], kernel[:2]
    if groups < 1 or channels != cin * groups or cout % groups:
        raise UserError(
            f"channels do not match: {shapes} with groups={groups}; the kernel is (out, in / groups, ...)"
        )
    lead = x[: len(x) - dim - 1]
    x_shape = (prod(lead), groups, cin, *x[len(x) - dim :])
    return x_shape, (groups, cout // groups, cin, *kernel[2:]), (*lead, cout)


def check(x: Sizes, kernel: Sizes, mode: str, boundary: str, dim: int) -> None:
    """Refuse unknown words, ranks that do not fit, and empty arrays."""
    shapes = f"image {x} and kernel {kernel}"
    if mode not in MODES:
        raise UserError(f"mode is {mode!r}; {nearest(str(mode), MODES)}")
    if boundary not in BOUNDARIES:
        raise UserError(f"boundary is {boundary!r}; {nearest(str(boundary), BOUNDARIES)}")
    if dim < 1 or len(kernel) not in (dim, dim + 2) or len(x) < len(kernel) - (len(kernel) > dim):
        raise UserError(
            f"ranks do not match: {shapes} with {dim} spatial axes; pass dim= where x has batch or channel axes"
        )
    if not prod(x) or not prod(kernel):
        raise UserError(f"nothing to convolve: {shapes} must not be empty")


@lru_cache(maxsize=512, typed=True)
def windows(
    x: Sizes,
    kernel: Sizes,
    flip: bool = False,
    mode: str = "full",
    boundary: str = "zero",
    stride: int | Sizes = 1,
    dilation: int | Sizes = 1,
    groups: int = 1,
    dim: int | None = None,
) -> Windows:
    """The windows of `kernel` on `x`, both given as shapes, or a refusal that repeats them."""
    if dim is None and len(x) != len(kernel):
        raise UserError(
            f"ranks do not match: image {x} and kernel {kernel}; pass dim= where x has batch or channel axes"
        )
    dim = len(kernel) if dim is None else dim
    check(x, kernel, mode, boundary, dim)
    x_shape, kernel_shape, lead = layout(x, kernel, groups, dim)
    stride, dilation = per_axis(stride, dim, "stride"), per_axis(dilation, dim, "dilation")
    reach = [d * (k - 1) for k, d in zip(kernel_shape[3:], dilation, strict=True)]
    before, after = zip(*(edges(r, mode, flip) for r in reach), strict=True)
    room = [n + b + a - r - 1 for n, b, a, r in zip(x_shape[3:], before, after, reach, strict=True)]
    if min(room) < 0:
        wide = f" spread over {tuple(r + 1 for r in reach)}" if max(dilation) > 1 else ""
        raise UserError(
            f"mode 'valid' needs an image as large as the kernel: image {x} and kernel {kernel}{wide}"
        )
    out = tuple(r // s + 1 for r, s in zip(room, stride, strict=True))
    return Windows(x_shape, kernel_shape, (*lead, *out), before, after, stride, dilation, flip, boundary)
