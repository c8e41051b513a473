"""The network as an ONNX graph, by torch's exporter: normalised images (B, C, *S) -> logits."""

import copy
import logging
import warnings
from dataclasses import dataclass
from typing import Any

import onnx
import torch

from eyespot.models.foreign import ForeignNetwork
from eyespot.models.network import Network
from eyespot.onnx_file.adaptive_pooling import replace_adaptive_pools
from eyespot.onnx_file.nodes import OPSET

INPUT = "normalised"
OUTPUT = "network"
LARGEST = 2**20
"""Samples along an axis, for torch's bounds."""


@dataclass(frozen=True)
class NetworkGraph:
    """The graph, and torch's program and the input that it was traced with."""

    model: onnx.ModelProto
    program: Any
    example: torch.Tensor

    def operator(self, name: str) -> str:
        """Of the node whose result has this name."""
        return next((node.op_type for node in self.model.graph.node if name in node.output), "unknown")


def grid(network: Network) -> int:
    """What the sizes of masks are filled up to multiples of: a network of the user's own takes them as they are."""
    return 1 if isinstance(network, ForeignNetwork) else network.total_stride


def network_graph(network: Network, side: int) -> NetworkGraph:
    """Of whole images at the size of training, with a free batch; of masks, of any size that is a multiple of the stride."""
    network = copy.deepcopy(network).cpu().float().eval()
    replace_adaptive_pools(network)
    dim = network.kit.dim
    step = grid(network)
    batch = torch.export.Dim("batch", min=1, max=LARGEST)
    free: dict[int, Any] = {0: batch}
    if network.of_positions:
        least = max(2, -(-max(network.smallest, network.max_collapsing_size + 1) // step))
        side = step * (least + 1)
        low = max(1, -(-network.smallest // step))  # shorter ones are filled up to it
        free |= {2 + k: step * torch.export.Dim(f"s{k}", min=low, max=LARGEST) for k in range(dim)}
    x = torch.randn(2, network.channels, *[side] * dim, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's own, while it traces
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network,
            (x,),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(free,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            verbose=False,
        )
    assert program is not None
    return NetworkGraph(program.model_proto, program, x)
