"""The certificate of a new file: what torch gives for the test inputs, in float32 and with the preprocessing of Python."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from eyespot.certificate.certificate import RESIZED_TOLERANCE, TOLERANCE, Certificate, Test, stored
from eyespot.certificate.test_inputs import pixels
from eyespot.data.header import Decoded
from eyespot.data.preprocess.preprocessing import OWN, Preprocessing
from eyespot.onnx_file.input_nodes import has_any_size, resizes_exactly
from eyespot.prediction.torch_engine import TorchEngine
from eyespot.weights.card import Card, versions

TESTS = 16
TIMES = 4.0
"""Two programs may each round as much as torch does, and more than once."""
MOST = 1e-3
"""The largest tolerance, of a network whose norms make much of little, such as group norm of an image of one value."""
HIGHEST = {"uint8": 255, "uint16": 65535}
SIZES = {
    1: ((1.0,), (2.3,), (0.6,), (5.7,), (1.05,)),
    2: ((1.0, 1.0), (1.3, 1.0), (1.0, 1.9), (2.5, 2.5), (0.6, 0.8), (5.3, 4.6), (1.0, 1.02), (9.2, 3.1)),
    3: ((1.0, 1.0, 1.0), (1.4, 1.0, 0.8), (0.7, 1.1, 1.9), (2.1, 1.0, 1.0)),
}
"""Of images that are brought to one size, in units of that size."""
MULTIPLES = {
    1: ((4,), (5,), (7,), (4.3,), (3.1,), (0.4,)),
    2: ((4, 4), (5, 4), (4, 7), (3.3, 4.1), (2.05, 6.9), (0.4, 2.2)),
    3: ((3, 2, 2), (2, 2.2, 3), (2.6, 2, 1.7), (0.6, 2, 2)),
}
"""Of images that keep their sizes, in units of the network's total stride."""


def test_shapes(engine: TorchEngine, preprocessing: Preprocessing) -> list[tuple[int, ...]]:
    """Sizes of the test inputs."""
    if preprocessing.fit == OWN:
        unit = max(engine.network.total_stride, -(-engine.network.smallest // 4))
        factors: Sequence[Sequence[float]] = MULTIPLES[engine.dim]
    else:
        unit = preprocessing.size
        factors = SIZES[engine.dim] if has_any_size(preprocessing) else [(1.0,) * engine.dim]
    shapes = [tuple(max(_least(engine), round(f * unit)) for f in shape) for shape in factors]
    return [shapes[i % len(shapes)] for i in range(TESTS)]


def _least(engine: TorchEngine) -> int:
    """The shortest axis of a test: an instance norm takes no image that ends as a single sample."""
    network = engine.network
    return network.max_collapsing_size + 1 if engine.of_positions and network.kit.norm == "instance" else 1


def value_range(preprocessing: Preprocessing) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """The lowest and the highest value of each channel of the test inputs, and their type."""
    depth = preprocessing.depth if has_any_size(preprocessing) else "float32"
    mean = np.array(preprocessing.mean)
    std = np.array(preprocessing.std)
    low = mean - 2 * std
    high = mean + 2 * std
    if depth in HIGHEST:
        low, high = (np.rint(v.clip(0, HIGHEST[depth])) for v in (low, high))
    return tuple(low.tolist()), tuple(high.tolist()), depth


def certify(engine: TorchEngine, card: Card, hashes: dict[str, str]) -> Certificate:
    """Computed by an engine whose precision is float32."""
    preprocessing = Preprocessing.from_dict(card.preprocessing)
    low, high, depth = value_range(preprocessing)
    tests = []
    scale = rounding = 0.0
    exact = engine.with_network(InDouble(engine.network))
    for seed, shape in enumerate(test_shapes(engine, preprocessing)):
        image = pixels(seed, shape, low, high, depth)
        logits = expected(engine, preprocessing, image)
        step, values = stored(logits)
        scale = max(scale, float(np.abs(logits).max()))
        rounding = max(rounding, float(np.abs(logits - expected(exact, preprocessing, image)).max()))
        tests.append(Test(seed, shape, step, values))
    tolerance = min(MOST, max(TOLERANCE, TIMES * rounding / scale)) if scale else TOLERANCE
    return Certificate(
        tests=tuple(tests),
        low=low,
        high=high,
        depth=depth,
        scale=scale,
        tolerance=tolerance,
        resized_tolerance=tolerance if resizes_exactly(preprocessing) else max(tolerance, RESIZED_TOLERANCE),
        hashes=hashes,
        metrics=card.scores,
        measured_on=str(card.data.get("metrics", "")),
        outside=outside(preprocessing),
        versions=_versions(),
    )


class InDouble(torch.nn.Module):
    """A network in float64, with inputs and logits in float32: what rounding costs the network itself."""

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = copy.deepcopy(network).double()
        self.smallest = network.smallest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.double()).float()


def _versions() -> dict[str, str]:
    import onnx
    import onnxruntime

    return versions() | {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}


def expected(engine: TorchEngine, preprocessing: Preprocessing, image: Any) -> Any:
    """(*shape, C) pixels -> logits without a batch axis"""
    array = preprocessing.of_decoded(Decoded(image)) if has_any_size(preprocessing) else image
    return engine.logits(array[None])[0]


def outside(preprocessing: Preprocessing) -> tuple[str, ...]:
    """What is done before the file's own input, as sentences."""
    steps = [f"decoding of the file to {preprocessing.depth} values (batch, *size, channels)"]
    if preprocessing.scaling == "full":
        steps.append("scaling of values of another type, so that white stays white")
    if preprocessing.dim == 2:
        steps.append(f"turning by EXIF orientation; transparency is laid on {preprocessing.background}")
    if preprocessing.channel_files:
        steps.append(
            f"joining of the files {', '.join(preprocessing.channel_files)}, in this order, as channels"
        )
    if preprocessing.columns:
        steps.append(f"reading of the columns {preprocessing.columns} of tables as channels")
    if preprocessing.axes:
        steps.append(f"reading of TIFF stacks with the axes {preprocessing.axes}")
    if preprocessing.oriented:
        steps.append("turning of NIfTI volumes, so that the axes point towards superior, anterior and right")
    if preprocessing.spacing is not None:
        unit = preprocessing.unit or "samples"
        steps.append(f"resampling to a spacing of {preprocessing.spacing:g} {unit}")
    if preprocessing.view == "spectrum":
        steps.append("the spectrum of sounds: the input is its frames")
    if preprocessing.nan is not None:
        steps.append(f"{preprocessing.nan:g} in place of values that are not finite")
    return tuple(steps)
