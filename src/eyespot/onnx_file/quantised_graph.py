"""The network in 8-bit whole numbers: an ONNX graph with quantised values (QDQ), and layers of it in float again."""

import logging
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import onnx
from onnx import TensorProto

from eyespot.data.header import Array
from eyespot.onnx_file.network_graph import INPUT

FLOAT = "float_"
"""Before the names of the constants of layers that are in float again."""


def quantised(network: onnx.ModelProto, inputs: Sequence[Array]) -> onnx.ModelProto:
    """The same graph with convolutions and products in int8, by NNCF.

    inputs   (1, C, *S) values of the network's input, from which the range of each layer is measured

    Weights have seven bits, so that sums of two products fit in 16 bits: processors without VNNI add them in these.
    """
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    nncf.set_log_level(logging.ERROR)
    model = onnx.ModelProto()
    model.CopyFrom(network)
    with redirect_stdout(StringIO()):  # its bars, among what a command prints
        return nncf.quantize(
            model,
            nncf.Dataset(inputs, lambda x: {INPUT: x}),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
            advanced_parameters=AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
        )


def weighted_layers(model: onnx.ModelProto, network: onnx.ModelProto) -> list[str]:
    """Names of the layers with weights that are quantised in a model and are not in the network."""
    return [
        node.name
        for node, before in _pairs(model, network)
        if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul") and [*node.input] != [*before.input]
    ]


def in_float(model: onnx.ModelProto, network: onnx.ModelProto, layers: Sequence[str]) -> onnx.ModelProto:
    """A quantised model whose layers of these names have the inputs and weights of the network again."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in network.graph.initializer}
    for node, before in _pairs(result, network):
        if node.name in layers:
            node.input[:] = [_float_name(result, tensors, name) for name in before.input]
    _prune(result)
    return result


def _pairs(model: onnx.ModelProto, network: onnx.ModelProto) -> list[tuple[onnx.NodeProto, onnx.NodeProto]]:
    by_name = {node.name: node for node in network.graph.node}
    return [(node, by_name[node.name]) for node in model.graph.node if node.name in by_name]


def _float_name(model: onnx.ModelProto, tensors: dict[str, TensorProto], name: str) -> str:
    """Of a value that is computed, its own; of a constant, that of a copy, since quantising corrects biases."""
    if name not in tensors:
        return name
    if all(tensor.name != FLOAT + name for tensor in model.graph.initializer):
        copy = model.graph.initializer.add()
        copy.CopyFrom(tensors[name])
        copy.name = FLOAT + name
    return FLOAT + name


def _prune(model: onnx.ModelProto) -> None:
    """Leave out nodes and constants that nothing reads."""
    used = {value.name for value in model.graph.output}
    nodes = []
    for node in reversed(model.graph.node):
        if used & {*node.output}:
            used |= {*node.input}
            nodes.append(node)
    tensors = [tensor for tensor in model.graph.initializer if tensor.name in used]
    nodes.reverse()
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    constants = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in tensors]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(constants)


def worst_first(
    model: onnx.ModelProto, network: onnx.ModelProto, inputs: Sequence[Array], names: Sequence[str]
) -> list[str]:
    """The layers in the order of how much nearer to the network's the output is with each of them in float."""
    exact = _outputs(network, inputs)
    left = {
        name: float(np.square(_outputs(in_float(model, network, [name]), inputs) - exact).mean())
        for name in names
    }
    return sorted(names, key=lambda name: left[name])


def _outputs(model: onnx.ModelProto, inputs: Sequence[Array]) -> Array:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.concatenate([np.asarray(session.run(None, {INPUT: x})[0]).reshape(-1) for x in inputs])
