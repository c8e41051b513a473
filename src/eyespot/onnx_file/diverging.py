"""Where an exported network begins to depart from torch: for the sentence that no file was written."""

import logging
import warnings
from typing import Any

import torch
import torch.onnx.verification

from eyespot.onnx_file.network_graph import NetworkGraph

APART = 1e-3
"""A difference of a node's values that is no rounding."""


def first_diverging(graph: NetworkGraph) -> str:
    """A sentence that names the first node whose values differ from torch's, for the input that it was traced with."""
    for name, apart in _differences(graph):
        if not apart <= APART:
            return f"the first node that differs is {name} ({graph.operator(name)}), by {apart:.2g}"
    return "all nodes of the network that can be compared agree, so the difference is in what is done before it or after it"


def _differences(graph: NetworkGraph) -> list[tuple[str, float]]:
    """(name, largest difference) of the nodes that torch knows by name, in the order of computation."""
    import onnx_ir

    program: Any = graph.program
    kept = program.model
    program.model = onnx_ir.from_proto(graph.model)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.CRITICAL)
            infos = torch.onnx.verification.verify_onnx_program(
                program, (graph.example,), compare_intermediates=True
            )
    finally:
        program.model = kept
    return [(info.name, float(info.max_abs_diff)) for info in infos]
