"""Around the network: views and their mean for classes, filling up and cutting back for masks, and probabilities."""

from collections.abc import Callable
from math import log
from typing import Any

import numpy as np
import torch

from eyespot.data.masks.mapping import mapping_of
from eyespot.models.network import Network
from eyespot.onnx_file.network_graph import grid
from eyespot.onnx_file.nodes import Nodes, along
from eyespot.prediction.torch_engine import TorchEngine
from eyespot.weights.card import Card

Run = Callable[[str], str]
"""The network, on the name of its input: the name of its output."""
LOGITS = "logits"
PROBABILITIES = "probabilities"
LABELS = "labels"


def class_nodes(nodes: Nodes, x: str, engine: TorchEngine, size: int, run: Run) -> str:
    """The logits (B, classes) of whole images (B, C, *S): of the mean probability over the views."""
    views = [_view(nodes, x, engine, size, flipped, pixels) for flipped, pixels in engine.views]
    if len(views) == 1:
        return nodes("Identity", run(views[0]), name=LOGITS)
    # Not side by side along the batch: OpenVINO 2026.4 is silently wrong for int8 behind such a Concat.
    stacked = nodes("Concat", *(nodes("Unsqueeze", view, np.array([0])) for view in views), axis=0)
    one = [engine.network.channels, *[engine.side] * engine.dim]
    logits = run(nodes("Reshape", stacked, np.array([-1, *one])))
    shape = nodes.shape(len(views), nodes.length(x, 0), len(engine.card.classes))
    by_view = nodes("LogSoftmax", nodes("Reshape", logits, shape), axis=-1)
    total = nodes("ReduceLogSumExp", by_view, np.array([0]), keepdims=0)
    return nodes("Sub", total, np.float32(log(len(views))), name=LOGITS)


def _view(nodes: Nodes, x: str, engine: TorchEngine, size: int, flipped: bool, pixels: int) -> str:
    """What `TorchEngine.view` does is the same for every axis but for the flip, and a product with a matrix."""
    rank = engine.dim + 2
    for axis in range(2, rank):
        matrix = view_matrix(engine, size, pixels)
        if flipped and axis == rank - 1:
            matrix = matrix[::-1]
        if matrix.shape[0] != matrix.shape[1] or (matrix != np.eye(len(matrix))).any():
            x = along(nodes, x, np.ascontiguousarray(matrix), axis, rank)
    return x


def view_matrix(engine: TorchEngine, size: int, pixels: int) -> Any:
    """(side, size) along one axis: what becomes of a signal with one sample that is 1, for each sample"""
    signals = torch.eye(size).view(size, 1, size)
    one_axis = object.__new__(TorchEngine)
    one_axis.dim = 1
    one_axis.side = engine.side
    return one_axis.view(signals, False, pixels)[:, 0].T.numpy()


def mask_nodes(nodes: Nodes, x: str, network: Network, run: Run) -> str:
    """The logits (B, classes, *S) of images of any size: filled up for the network, and cut back."""
    axes = range(2, network.kit.dim + 2)
    lengths = [nodes.length(x, axis) for axis in axes]
    enough = [nodes("Max", n, np.int64(network.smallest)) for n in lengths]
    multiple = np.int64(grid(network))
    full = [
        nodes("Mul", nodes("Div", nodes("Sub", nodes("Add", n, multiple), np.int64(1)), multiple), multiple)
        for n in enough
    ]
    if network.kit.padding == "zeros":
        x = _filled(nodes, x, lengths, full, "constant")
    else:
        x = _filled(
            nodes, _filled(nodes, x, lengths, enough, "constant"), enough, full, MODES[network.kit.padding]
        )
    starts = np.zeros(len(lengths), np.int64)
    return nodes("Slice", run(x), starts, nodes.shape(*lengths), np.array([*axes]), name=LOGITS)


MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""What ONNX calls them."""


def _filled(nodes: Nodes, x: str, lengths: list[str], wanted: list[str], mode: str) -> str:
    missing = [nodes("Sub", b, a) for a, b in zip(lengths, wanted, strict=True)]
    zeros = [0] * (len(lengths) + 4)
    return nodes("Pad", x, nodes.shape(*zeros, *missing), mode=mode)


def final_nodes(nodes: Nodes, logits: str, card: Card, of_positions: bool) -> list[str]:
    """Probabilities, and labels of masks: the names of all outputs."""
    mapping = card.preprocessing.get("mapping")
    multilabel = bool(mapping) and mapping_of(mapping).multilabel
    scaled = (
        logits
        if of_positions or card.temperature == 1
        else nodes("Div", logits, np.float32(card.temperature))
    )
    if multilabel:
        nodes("Sigmoid", scaled, name=PROBABILITIES)
        nodes("Greater", logits, np.float32(0), name=LABELS)  # whether each pixel belongs to each class
    else:
        nodes("Softmax", scaled, axis=1, name=PROBABILITIES)
        nodes("ArgMax", logits, axis=1, keepdims=0, name=LABELS)
    return [LOGITS, PROBABILITIES, LABELS]
