"""The resizing rule as products of matrices that are built from the shape: `data.preprocess.resize` in a graph.

There is no Resize node: engines disagree about it, and some ignore its filter without a word.
"""

from dataclasses import replace
from functools import cache

import numpy as np
from PIL import Image

from eyespot.onnx_file.nodes import Nodes, along
from eyespot.onnx_file.placement_nodes import Axis

BITS = 22
"""Of the fraction of a weight, in Pillow's whole-number arithmetic."""
HALF_BITS = 11
GAP = 2.0
"""Pillow's reducing_gap: how much of the reduction is left to the filter, the rest is a mean of whole squares."""


def resized_floats(nodes: Nodes, x: str, axes: list[Axis], whole: bool) -> str:
    """(B, C, *S) float32 -> (B, C, *covered), as SciPy's products in float32 and Pillow's planes of floats do.

    whole   whether the values are whole numbers, and the results are rounded
    """
    rank = len(axes) + 2
    if len(axes) == 2:
        for axis, at in _passes(nodes, axes):  # sums in float64, kept in float32
            product = along(nodes, nodes.cast(x, "float64"), _weights(nodes, at, True), axis, rank)
            x = nodes.cast(product, "float32")
    else:
        for axis, at in enumerate(axes, start=2):
            x = along(nodes, x, nodes.cast(_weights(nodes, at, False), "float32"), axis, rank)
    return nodes("Round", x) if whole else x


def resized_bytes(nodes: Nodes, x: str, axes: list[Axis]) -> str:
    """(B, C, H, W) whole numbers up to 255 as float32 -> (B, C, *covered), equal to Pillow's, which rounds after each axis."""
    x, axes = _reduced(nodes, x, axes)
    for axis, at in _passes(nodes, axes):
        scaled = nodes("Mul", _weights(nodes, at, True), np.float64(2**BITS))
        scaled = nodes("Floor", nodes("Add", scaled, np.float64(0.5)))
        upper = nodes("Floor", nodes("Div", scaled, np.float64(2**HALF_BITS)))
        lower = nodes("Sub", scaled, nodes("Mul", upper, np.float64(2**HALF_BITS)))
        x = _rounded_product(nodes, x, upper, lower, axis)
    return x


def _rounded_product(nodes: Nodes, x: str, upper: str, lower: str, axis: int) -> str:
    """Whole numbers throughout: in two halves, since float32 has 24 bits."""
    large, small = (
        nodes.cast(along(nodes, x, nodes.cast(half, "float32"), axis, 4), "int32") for half in (upper, lower)
    )
    total = nodes(
        "Add", nodes("Mul", large, np.int32(2**HALF_BITS)), nodes("Add", small, np.int32(2 ** (BITS - 1)))
    )
    value = nodes.cast(nodes("Div", total, np.int32(2**BITS)), "float32")
    return nodes("Clip", value, np.float32(0), np.float32(255))


def _weights(nodes: Nodes, axis: Axis, in_float32: bool) -> str:
    """(covered, n) the weights of the samples: `resize.filters`

    in_float32   whether the length of the window is computed in float32, as Pillow does
    """
    length = nodes("Sub", axis.high, axis.low)
    if in_float32:
        length = nodes.cast(nodes.cast(length, "float32"), "float64")
    step = nodes("Div", length, axis.covered)
    reach = nodes("Max", step, np.float64(1))
    half = np.float64(0.5)
    one = np.float64(1)
    outputs = nodes("Add", nodes("Range", np.float64(0), axis.covered, one), half)
    centres = nodes("Add", axis.low, nodes("Mul", outputs, step))
    taps = nodes("Add", nodes("Range", np.float64(0), axis.n, one), half)
    apart = nodes("Sub", nodes("Unsqueeze", taps, np.array([0])), nodes("Unsqueeze", centres, np.array([1])))
    weights = nodes("Relu", nodes("Sub", one, nodes("Div", nodes("Abs", apart), reach)))
    return nodes("Div", weights, nodes("ReduceSum", weights, np.array([1])))


def _passes(nodes: Nodes, axes: list[Axis]) -> list[tuple[int, Axis]]:
    """The axes in Pillow's order, which is vertical first where that axis loses more than twice the samples of the other.

    Both orders are one list: the first pass or the last one leaves the vertical axis as it is.
    """
    rows, columns = (_as_pillow(nodes, axis) for axis in axes)
    if not vertical_may_be_first():
        return [(3, columns), (2, rows)]
    lost, other = (nodes("Sub", axis.n, axis.covered) for axis in (rows, columns))
    at_all = nodes("Greater", lost, np.float64(0))
    first = nodes("And", at_all, nodes("Greater", lost, nodes("Mul", np.float64(2), other)))
    zero = np.float64(0)
    before = Axis(
        rows.n,
        nodes("Where", first, rows.low, zero),
        nodes("Where", first, rows.high, rows.n),
        nodes("Where", first, rows.covered, rows.n),
    )
    after = Axis(
        before.covered,
        nodes("Where", first, zero, rows.low),
        nodes("Where", first, rows.covered, rows.high),
        rows.covered,
    )
    return [(2, before), (3, columns), (2, after)]


@cache
def vertical_may_be_first() -> bool:
    """Whether the installed Pillow orders the axes by what they lose; before version 13 the vertical axis came last."""
    steps = np.arange(60 * 12, dtype=np.uint64) * 2654435761 % 2**32 >> 24
    picture = Image.fromarray(steps.astype(np.uint8).reshape(60, 12))
    how = Image.Resampling.BILINEAR
    vertical_last = picture.resize((10, 60), how).resize((10, 10), how)
    return picture.resize((10, 10), how).tobytes() != vertical_last.tobytes()


def _as_pillow(nodes: Nodes, axis: Axis) -> Axis:
    """Pillow takes the window in float32."""
    low, high = (nodes.cast(nodes.cast(end, "float32"), "float64") for end in (axis.low, axis.high))
    return replace(axis, low=low, high=high)


def _reduced(nodes: Nodes, x: str, axes: list[Axis]) -> tuple[str, list[Axis]]:
    """Means of whole squares where the result is more than `2 * GAP` times smaller, as Pillow's reducing_gap makes them."""
    factors = [_factor(nodes, axis) for axis in axes]
    any_at_all = nodes("Greater", nodes("Max", *factors), np.float64(1))
    starts, stops = zip(*(_safe(nodes, axis, any_at_all) for axis in axes), strict=True)
    whole_starts, whole_stops = ([nodes.cast(v, "int64") for v in ends] for ends in (starts, stops))
    x = nodes("Slice", x, nodes.shape(*whole_starts), nodes.shape(*whole_stops), np.array([2, 3]))
    lengths = [nodes("Sub", b, a) for a, b in zip(whole_starts, whole_stops, strict=True)]
    x, counts = _square_means(nodes, x, lengths, [nodes.cast(f, "int64") for f in factors])
    reduced = [
        Axis(
            nodes.cast(count, "float64"),
            nodes("Div", nodes("Sub", axis.low, start), factor),
            nodes("Div", nodes("Sub", axis.high, start), factor),
            axis.covered,
        )
        for axis, start, factor, count in zip(axes, starts, factors, counts, strict=True)
    ]
    return x, reduced


def _factor(nodes: Nodes, axis: Axis) -> str:
    step = nodes("Div", nodes("Sub", axis.high, axis.low), axis.covered)
    return nodes("Max", np.float64(1), nodes("Floor", nodes("Div", step, np.float64(GAP))))


def _safe(nodes: Nodes, axis: Axis, reduced: str) -> tuple[str, str]:
    """The samples that the window and its filter may touch, where an axis is reduced; else all."""
    step = nodes("Div", nodes("Sub", axis.high, axis.low), axis.covered)
    support = nodes("Mul", np.float64(0.5), step)
    start = nodes("Max", np.float64(0), nodes("Floor", nodes("Sub", axis.low, support)))
    stop = nodes("Min", axis.n, nodes("Ceil", nodes("Add", axis.high, support)))
    return nodes("Where", reduced, start, np.float64(0)), nodes("Where", reduced, stop, axis.n)


def _square_means(nodes: Nodes, x: str, lengths: list[str], factors: list[str]) -> tuple[str, list[str]]:
    """(B, C, H, W) -> the means of squares, those at the far ends of what is left of them; and how many there are"""
    one = np.int64(1)
    counts = []
    missing = []
    sizes = []
    for n, factor in zip(lengths, factors, strict=True):
        count = nodes("Div", nodes("Sub", nodes("Add", n, factor), one), factor)
        counts.append(count)
        missing.append(nodes("Sub", nodes("Mul", count, factor), n))
        starts = nodes("Mul", nodes("Range", np.int64(0), count, one), factor)
        sizes.append(nodes("Min", factor, nodes("Sub", n, starts)))
    padded = nodes("Pad", x, nodes.shape(0, 0, 0, 0, 0, 0, *missing))
    batch = nodes.length(x, 0)
    channels = nodes.length(x, 1)
    squares = nodes(
        "Reshape", padded, nodes.shape(batch, channels, counts[0], factors[0], counts[1], factors[1])
    )
    sums = nodes("ReduceSum", squares, np.array([3, 5]), keepdims=0)
    area = nodes(
        "Mul", nodes("Unsqueeze", sizes[0], np.array([1])), nodes("Unsqueeze", sizes[1], np.array([0]))
    )
    return _divided(nodes, sums, area), counts


def _divided(nodes: Nodes, sums: str, area: str) -> str:
    """Rounded as Pillow does: it multiplies with 2^24 / area, without its fraction, instead of dividing."""
    half = nodes.cast(nodes("Div", area, np.int64(2)), "float64")
    factor = nodes.cast(nodes("Div", np.int64(2**24), area), "float64")
    product = nodes("Mul", nodes("Add", nodes.cast(sums, "float64"), half), factor)
    return nodes.cast(nodes("Floor", nodes("Div", product, np.float64(2**24))), "float32")
