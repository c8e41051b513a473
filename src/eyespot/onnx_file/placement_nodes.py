"""Where the samples of an image lie in the network's input, as nodes: `data.preprocess.placement` in a graph.

Numbers are computed in float64 in the same order as there, so that they are rounded alike.
"""

from dataclasses import dataclass

import numpy as np

from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.onnx_file.nodes import Nodes


@dataclass(frozen=True)
class Axis:
    """Of one axis, names of float64 numbers: its length, the window of it that is used, and the samples that this becomes."""

    n: str
    low: str
    high: str
    covered: str


def place_nodes(nodes: Nodes, x: str, preprocessing: Preprocessing) -> list[Axis]:
    """Of images x (B, C, *S)."""
    axes = range(2, preprocessing.dim + 2)
    lengths = [nodes.cast(nodes.length(x, axis), "float64") for axis in axes]
    size = np.float64(preprocessing.size)
    return [
        _axis(nodes, n, scale, size)
        for n, scale in zip(lengths, _scales(nodes, lengths, preprocessing), strict=True)
    ]


def _scales(nodes: Nodes, lengths: list[str], preprocessing: Preprocessing) -> list[str]:
    """Samples of the result for one of the image, along each axis."""
    size = np.float64(preprocessing.size)
    if preprocessing.fit == "stretch":
        return [nodes("Div", size, n) for n in lengths]
    if preprocessing.spacing is not None:  # the input has the spacing of the model
        return [nodes.constant(np.float64(1))] * len(lengths)
    longest = nodes("Max" if preprocessing.fit == "pad" else "Min", *lengths)
    return [nodes("Div", size, longest)] * len(lengths)


def _axis(nodes: Nodes, n: str, scale: str, size: np.float64) -> Axis:
    covered = nodes("Min", size, nodes("Max", np.float64(1), nodes("Round", nodes("Mul", n, scale))))
    wanted = nodes("Min", n, nodes("Div", size, scale))
    low = nodes("Div", nodes("Sub", n, wanted), np.float64(2))
    high = nodes("Div", nodes("Add", n, wanted), np.float64(2))
    return Axis(n, low, high, covered)


def margin(nodes: Nodes, x: str, axes: list[Axis], size: int) -> str:
    """Zeros around what is covered: (B, C, *covered) -> (B, C, size, ...)"""
    covered = [nodes.cast(axis.covered, "int64") for axis in axes]
    missing = [nodes("Sub", np.int64(size), n) for n in covered]
    before = [nodes("Div", n, np.int64(2)) for n in missing]
    after = [nodes("Sub", n, b) for n, b in zip(missing, before, strict=True)]
    return nodes("Pad", x, nodes.shape(0, 0, *before, 0, 0, *after))
