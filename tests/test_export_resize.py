"""The resizing rule in the graph equals the one in Python: bit for bit for images of 8 bits, and without a Resize node."""

import numpy as np
import onnxruntime
import pytest
from onnx import helper
from PIL import Image

from eyespot.data.header import Decoded
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.onnx_file import resize_nodes
from eyespot.onnx_file.input_nodes import values_of_pixels
from eyespot.onnx_file.nodes import OPSET, Nodes

LONGEST = {1: 500, 2: 300, 3: 40}


def graph(preprocessing):
    """The nodes from pixels to values at the network's size, as a function (*S, C) -> (size, ..., C)."""
    nodes = Nodes()
    out = values_of_pixels(nodes, preprocessing)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(preprocessing.depth))
    axes = [*"hwd"[: preprocessing.dim]]
    model = helper.make_model(
        helper.make_graph(
            nodes.nodes,
            "resize",
            [helper.make_tensor_value_info("pixels", kind, ["b", *axes, "c"])],
            [helper.make_tensor_value_info(out, 1, None)],
            [*nodes.constants.values()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=10,
    )
    assert not {"Resize", "Upsample", "If", "Loop"} & {node.op_type for node in model.graph.node}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda image: np.moveaxis(session.run(None, {"pixels": image[None]})[0][0], 0, -1)


def largest(preprocessing, count, seed=0):
    """The largest difference from Python's, and the share of values that differ, over images of random sizes."""
    generator = np.random.default_rng(seed)
    run = graph(preprocessing)
    most = {"uint8": 256, "uint16": 65536, "float32": 1}[preprocessing.depth]
    worst = differing = total = 0
    for _ in range(count):
        shape = generator.integers(1, LONGEST[preprocessing.dim], preprocessing.dim)
        image = (generator.random((*shape, preprocessing.channels)) * most).astype(preprocessing.depth)
        apart = np.abs(run(image) - preprocessing.of_decoded(Decoded(image)).astype(np.float64))
        worst, differing, total = max(worst, apart.max()), differing + (apart > 0).sum(), total + apart.size
    return worst, differing / total


def as_read(dim, depth, channels, fit, size=19):
    return Preprocessing(
        size, fit, channels, (channels,), depth, dim, mean=(0,) * channels, std=(1,) * channels
    )


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("depth,channels", [("uint8", 1), ("uint8", 3), ("uint8", 2), ("uint16", 1)])
def test_images_of_whole_numbers_are_equal_in_every_bit(depth, channels, fit):
    assert largest(as_read(2, depth, channels, fit), 60) == (0, 0)


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_floats_are_equal_but_for_the_last_bit(dim, fit):
    assert largest(as_read(dim, "float32", 2, fit), 15)[0] < 1e-6


@pytest.mark.parametrize("dim", [1, 3])
def test_whole_numbers_of_other_ranks_are_at_most_rounded_otherwise(dim):
    worst, share = largest(as_read(dim, "uint8", 1, "pad"), 20)
    assert worst <= 1
    assert share < 1e-3


def test_a_grey_image_among_colours_is_repeated():
    preprocessing = as_read(2, "uint8", 3, "pad")
    image = np.arange(30 * 40, dtype=np.uint8).reshape(30, 40, 1)
    assert (graph(preprocessing)(image) == preprocessing.of_decoded(Decoded(image))).all()


def test_the_order_of_axes_is_that_of_the_installed_pillow():
    resize_nodes.vertical_may_be_first.cache_clear()
    image = np.random.default_rng(0).integers(0, 256, (300, 20, 1)).astype(np.uint8)
    preprocessing = as_read(2, "uint8", 1, "stretch", 18)
    assert (graph(preprocessing)(image) == preprocessing.of_decoded(Decoded(image))).all()
    if int(Image.__version__.split(".")[0]) >= 13:
        assert resize_nodes.vertical_may_be_first()
