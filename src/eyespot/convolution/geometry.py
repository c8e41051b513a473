"""The arguments of a convolution, checked, and the padding and shapes that follow from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from operator import index
from typing import Any, TypedDict

from eyespot.errors import UserError, nearest
from eyespot.plurals import count

OPERATIONS = ("convolve", "correlate")
MODES = ("full", "same", "valid")
BOUNDARIES = ("zero", "replicate", "reflect", "circular")
Sizes = tuple[int, ...]


class Options(TypedDict, total=False):
    """The arguments that determine the geometry; meaning and defaults are those of `convolve`."""

    mode: str
    boundary: str
    stride: int | Sequence[int]
    dilation: int | Sequence[int]
    groups: int
    dim: int | None


@dataclass(frozen=True, eq=False)
class Geometry:
    """One operation on an image (N, G, C, *size) with a kernel (G, O, C, *taps).

    N is the batch, G the groups, C and O the input and output channels of one group (1 where there are none). Along
    each spatial axis y[i] = sum_j kernel[j] x[i stride + j dilation - before], the kernel flipped first if `flip`.
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
        """The number of spatial axes."""
        return len(self.before)

    @cached_property
    def size(self) -> Sizes:
        """Samples along each spatial axis."""
        return self.x_shape[3:]

    @cached_property
    def taps(self) -> Sizes:
        """Kernel weights along each spatial axis."""
        return self.kernel_shape[3:]

    @cached_property
    def reach(self) -> Sizes:
        """The distance between the first and the last tap along each spatial axis."""
        return tuple(d * (k - 1) for k, d in zip(self.taps, self.dilation, strict=True))

    @cached_property
    def out(self) -> Sizes:
        """Outputs along each spatial axis."""
        return self.y_shape[len(self.y_shape) - self.dim :]

    @cached_property
    def dense(self) -> Sizes:
        """Outputs along each spatial axis if the stride were 1."""
        ends = zip(self.size, self.before, self.after, self.reach, strict=True)
        return tuple(n + b + a - r for n, b, a, r in ends)

    @cached_property
    def flipped(self) -> tuple:
        """The index that puts the taps of a kernel (..., *taps) in the order in which they meet the image."""
        return (..., *[slice(None, None, -1 if self.flip else None)] * self.dim)

    @cached_property
    def one_channel(self) -> bool:
        """Whether there is one group of one input and one output channel."""
        return prod(self.kernel_shape[:3]) == 1

    @cached_property
    def strided(self) -> bool:
        """Whether the stride leaves outputs out."""
        return max(self.stride) > 1


def flips(operation: str) -> bool:
    """Whether the operation, given by name, flips its kernel."""
    if operation not in OPERATIONS:
        raise UserError(f"operation is {operation!r}; {nearest(str(operation), OPERATIONS)}")
    return operation == "convolve"


def named_geometry(x: Sequence[int], kernel: Sequence[int], operation: str, options: Options) -> Geometry:
    """The geometry of an operation given by name."""
    hashable: dict[str, Any] = {name: to_hashable(value) for name, value in options.items()}
    return geometry(tuple(x), tuple(kernel), flips(operation), **hashable)


def to_hashable(value: Any) -> Any:
    """A list as a tuple."""
    return tuple(value) if isinstance(value, list) else value


@lru_cache(maxsize=512, typed=True)
def geometry(
    x: Sizes,
    kernel: Sizes,
    flip: bool,
    mode: str = "full",
    boundary: str = "zero",
    stride: int | Sizes = 1,
    dilation: int | Sizes = 1,
    groups: int = 1,
    dim: int | None = None,
) -> Geometry:
    """The geometry for an image and a kernel of these shapes; UserError where the arguments do not fit."""
    shapes = f"image {x} and kernel {kernel}"
    if dim is None and len(x) != len(kernel):
        raise UserError(f"ranks do not match: {shapes}; pass dim= where x has batch or channel axes")
    dim = len(kernel) if dim is None else dim
    check(x, kernel, mode, boundary, dim)
    x_shape, kernel_shape, leading = with_groups(x, kernel, groups, dim)
    stride = per_axis(stride, dim, "stride")
    dilation = per_axis(dilation, dim, "dilation")
    reach = [d * (k - 1) for k, d in zip(kernel_shape[3:], dilation, strict=True)]
    before, after = zip(*(padding(r, mode, flip) for r in reach), strict=True)
    last = [n + b + a - r - 1 for n, b, a, r in zip(x_shape[3:], before, after, reach, strict=True)]
    if min(last) < 0:
        dilated = f" dilated to {tuple(r + 1 for r in reach)}" if max(dilation) > 1 else ""
        raise UserError(f"mode 'valid' needs an image as large as the kernel: {shapes}{dilated}")
    out = tuple(n // s + 1 for n, s in zip(last, stride, strict=True))
    return Geometry(x_shape, kernel_shape, (*leading, *out), before, after, stride, dilation, flip, boundary)


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


def with_groups(x: Sizes, kernel: Sizes, groups: int, dim: int) -> tuple[Sizes, Sizes, Sizes]:
    """The shapes (N, G, C, *S) of x and (G, O, C, *K) of the kernel, and the leading axes of the result."""
    shapes = f"image {x} and kernel {kernel}"
    spatial = x[len(x) - dim :]
    leading = x[: len(x) - dim]
    if len(kernel) == dim:
        if groups != 1:
            raise UserError(
                f"groups={groups} needs a kernel with channel axes (out, in / groups, ...): {shapes}"
            )
        return (prod(leading), 1, 1, *spatial), (1, 1, 1, *kernel), leading
    *batch, channels = leading
    cout, cin = kernel[:2]
    if groups < 1 or channels != cin * groups or cout % groups:
        raise UserError(
            f"channels do not match: {shapes} with groups={groups}; the kernel is (out, in / groups, ...)"
        )
    grouped_kernel = (groups, cout // groups, cin, *kernel[2:])
    return (prod(batch), groups, cin, *spatial), grouped_kernel, (*batch, cout)


def per_axis(value: int | Sizes, dim: int, name: str) -> Sizes:
    """One number for every spatial axis; a single number is repeated."""
    try:
        values = tuple(map(index, value)) if isinstance(value, tuple) else (index(value),) * dim
    except TypeError as error:
        raise UserError(f"{name} is {value!r}; it must be a whole number, or one per spatial axis") from error
    if len(values) != dim:
        raise UserError(
            f"{name} {values} has {count(len(values), 'number')} for {count(dim, 'spatial axis', 'spatial axes')}"
        )
    if any(v < 1 for v in values):
        raise UserError(f"{name} is {value}; it must be 1 or more along every axis")
    return values


def padding(reach: int, mode: str, flip: bool) -> tuple[int, int]:
    """Samples added (before, after) along one axis; "same" is centred on tap (taps - 1) // 2 of the kernel.

    For an even kernel, correlate pads as torch's padding="same", and convolve as "same" of SciPy and NumPy.
    """
    if mode == "full":
        return reach, reach
    if mode == "valid":
        return 0, 0
    short = reach // 2
    return (reach - short, short) if flip else (short, reach - short)
