"""From decoded pixels (B, *S, C) of any size to values (B, C, *S) of the network's size, as nodes."""

import numpy as np

from eyespot.data.preprocess.preprocessing import OWN, Preprocessing
from eyespot.onnx_file.nodes import Nodes, transposed
from eyespot.onnx_file.placement_nodes import margin, place_nodes
from eyespot.onnx_file.resize_nodes import resized_bytes, resized_floats

PIXELS = "pixels"


def takes_grey(preprocessing: Preprocessing) -> bool:
    """Whether an image of one channel is taken for one of colours: its channel is repeated."""
    return preprocessing.dim == 2 and preprocessing.accepts == (3,)


def has_any_size(preprocessing: Preprocessing) -> bool:
    """Whether the file itself brings images to size; frames of a spectrum come at their size."""
    return preprocessing.view == "samples"


def values_of_pixels(nodes: Nodes, preprocessing: Preprocessing) -> str:
    """(B, C, *S) float32: in the files' own values, at the network's size or, of masks, at their own"""
    dim = preprocessing.dim
    x = nodes.cast(PIXELS, "float32")
    x = transposed(nodes, x, [0, dim + 1, *range(1, dim + 1)])
    if preprocessing.fit != OWN and has_any_size(preprocessing):
        x = _at_size(nodes, x, preprocessing)
    if takes_grey(preprocessing):
        x = nodes("Expand", x, np.array([1, preprocessing.channels, *[1] * dim]))
    return x


def resizes_exactly(preprocessing: Preprocessing) -> bool:
    """Whether all values are those of Python; else a few of signals and volumes in whole numbers are rounded otherwise.

    Python sums those in float32, one after another, and a product of matrices in another order.
    """
    resizes = preprocessing.fit != OWN and has_any_size(preprocessing)
    return preprocessing.dim == 2 or preprocessing.depth == "float32" or not resizes


def _at_size(nodes: Nodes, x: str, preprocessing: Preprocessing) -> str:
    axes = place_nodes(nodes, x, preprocessing)
    by_pillow = preprocessing.dim == 2 and preprocessing.depth == "uint8" and preprocessing.channels in (1, 3)
    if by_pillow:
        content = resized_bytes(nodes, x, axes)
    else:
        content = resized_floats(nodes, x, axes, preprocessing.depth != "float32")
    return margin(nodes, content, axes, preprocessing.size)


def normalised_nodes(nodes: Nodes, x: str, preprocessing: Preprocessing) -> str:
    """Mean 0 and standard deviation 1 per channel, of the training images."""
    ones = [1] * preprocessing.dim
    mean, std = (
        np.array(values, np.float32).reshape(1, -1, *ones)
        for values in (preprocessing.mean, preprocessing.std)
    )
    return nodes("Div", nodes("Sub", x, mean), std)
