"""All nodes together: one model from decoded pixels to logits, probabilities and labels."""

from dataclasses import asdict
from json import dumps

import numpy as np
import onnx
from onnx import helper

from eyespot.certificate.contents import CARD
from eyespot.certificate.seal import entry
from eyespot.data.preprocess.preprocessing import OWN, Preprocessing
from eyespot.onnx_file.input_nodes import PIXELS, has_any_size, normalised_nodes, takes_grey, values_of_pixels
from eyespot.onnx_file.network_graph import INPUT, OUTPUT
from eyespot.onnx_file.nodes import Nodes
from eyespot.onnx_file.output_nodes import LABELS, LOGITS, PROBABILITIES, class_nodes, final_nodes, mask_nodes
from eyespot.prediction.torch_engine import TorchEngine
from eyespot.weights.card import Card

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def file_body(engine: TorchEngine, card: Card, network: onnx.ModelProto) -> bytes:
    """The model with its card, without a certificate."""
    body = build(engine, network).SerializeToString() + entry(CARD, dumps(asdict(card)))
    return body + entry("eyespot.classes", dumps(card.classes))


def build(engine: TorchEngine, network: onnx.ModelProto) -> onnx.ModelProto:
    """The model around the graph of its network, without metadata."""
    card = engine.card
    preprocessing = Preprocessing.from_dict(card.preprocessing)
    nodes = Nodes()

    def run(x: str) -> str:
        for node in network.graph.node:
            copied = onnx.NodeProto()
            copied.CopyFrom(node)
            copied.input[:] = [x if name == INPUT else name for name in node.input]
            nodes.nodes.append(copied)
        nodes.constants.update({tensor.name: tensor for tensor in network.graph.initializer})
        return OUTPUT

    x = normalised_nodes(nodes, values_of_pixels(nodes, preprocessing), preprocessing)
    if engine.of_positions:
        logits = mask_nodes(nodes, x, engine.network, run)
    else:
        logits = class_nodes(nodes, x, engine, preprocessing.size, run)
    final_nodes(nodes, logits, card, engine.of_positions)
    graph = helper.make_graph(
        nodes.nodes,
        "eyespot",
        [_input(preprocessing)],
        _outputs(engine, nodes),
        [*nodes.constants.values()],
    )
    model = helper.make_model(graph, opset_imports=[*network.opset_import], producer_name="eyespot")
    model.ir_version = network.ir_version
    model.functions.extend(network.functions)
    onnx.checker.check_model(model, full_check=False)
    return model


def _input(preprocessing: Preprocessing) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(
        np.dtype(preprocessing.depth if has_any_size(preprocessing) else "float32")
    )
    free = preprocessing.fit == OWN or has_any_size(preprocessing)
    sizes = AXES[preprocessing.dim] if free else [preprocessing.size] * preprocessing.dim
    channels = "channels" if takes_grey(preprocessing) else preprocessing.channels
    return helper.make_tensor_value_info(PIXELS, kind, ["batch", *sizes, channels])


def _outputs(engine: TorchEngine, nodes: Nodes) -> list[onnx.ValueInfoProto]:
    """Each with its type; the last axes of masks are those of the image."""
    classes = len(engine.card.classes)
    sizes = AXES[engine.dim] if engine.of_positions else ()
    floats = onnx.TensorProto.FLOAT
    outputs = [
        helper.make_tensor_value_info(name, floats, ["batch", classes, *sizes])
        for name in (LOGITS, PROBABILITIES)
    ]
    if not engine.of_positions:
        return [*outputs, helper.make_tensor_value_info(LABELS, onnx.TensorProto.INT64, ["batch"])]
    multilabel = nodes.nodes[-1].op_type == "Greater"
    kind, shape = (
        (onnx.TensorProto.BOOL, ["batch", classes, *sizes])
        if multilabel
        else (onnx.TensorProto.INT64, ["batch", *sizes])
    )
    return [*outputs, helper.make_tensor_value_info(LABELS, kind, shape)]
