"""The certificate: test inputs with expected outputs, hashes of what is in the file, and the metrics it was exported with."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from numpy.typing import NDArray

from eyespot.certificate.contents import graph_hashes, text_hash
from eyespot.certificate.test_inputs import FORMULA, pixels
from eyespot.weights.card import Card

FORMAT = 1
TOLERANCE = 1e-5
"""Of the logits' scale, in float32."""
RESIZED_TOLERANCE = 1e-2
"""The same for images that the file itself brings to size, where a value may be rounded to the next whole number."""
INT8 = "int8"
INT8_TOLERANCE = 0.05
"""The same in int8, where engines round differently; a processor that saturates is far beyond it."""
MOST = 256
"""Logits of one test that are stored; evenly spaced ones of a mask's."""


@dataclass(frozen=True)
class Test:
    """An input and what the network gives for it.

    seed, shape   of the input: see `test_inputs`
    step          every how manieth of the logits, in the order of the array without its batch axis
    logits        these
    """

    __test__ = False  # for pytest

    seed: int
    shape: tuple[int, ...]
    step: int
    logits: tuple[float, ...]


@dataclass(frozen=True)
class Certificate:
    """What was true when the file was exported.

    precision      of the arithmetic in the file
    tolerance      how far logits may be from the expected ones, as a share of `scale`, in that precision
    resized_tolerance   the same of images that the file itself brings to size
    scale          the largest of the expected logits, without its sign
    low, high, depth   the range of each channel of the test inputs, and their type
    tests          computed by torch in float32, with the preprocessing of Python
    hashes         SHA-256 of the weights, nodes, classes, preprocessing and split
    metrics        of the network, with n and intervals; `measured_on` says on which images
    outside        what is done before the file's own input
    quantised      of a file in int8, whose tests are its own: what it loses against float32, and on which images
    """

    tests: tuple[Test, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    depth: str
    scale: float
    hashes: dict[str, str]
    metrics: dict[str, Any]
    measured_on: str = ""
    precision: str = "float32"
    tolerance: float = TOLERANCE
    resized_tolerance: float = TOLERANCE
    outside: tuple[str, ...] = ()
    quantised: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    formula: str = FORMULA
    format: int = FORMAT

    def as_json(self) -> str:
        """For the metadata of the file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Certificate":
        """Raises ValueError for one that is damaged or newer."""
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError("its certificate has a format that this eyespot does not read")
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in content.items() if k in known
        }
        try:
            values["tests"] = tuple(
                Test(t["seed"], tuple(t["shape"]), t["step"], tuple(t["logits"])) for t in content["tests"]
            )
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"its certificate is not complete ({error})") from error

    def input(self, test: Test) -> NDArray[Any]:
        """(*shape, C)"""
        return pixels(test.seed, test.shape, self.low, self.high, self.depth)


def stored(logits: NDArray[Any]) -> tuple[int, tuple[float, ...]]:
    """Every how manieth of the logits is kept, and these."""
    step = max(1, logits.size // MOST)
    step += step % 2 == 0 and step > 1  # odd, so that it meets all columns
    return step, tuple(float(f"{v:.9g}") for v in logits.reshape(-1)[::step].tolist())


def hashes_of(content: bytes | memoryview, card: Card) -> dict[str, str]:
    """Of all that a prediction depends on. Raises ValueError where the file is no protobuf."""
    return graph_hashes(content) | {
        "classes": text_hash(card.classes),
        "preprocessing": text_hash([json.dumps(card.preprocessing, sort_keys=True), repr(card.temperature)]),
        "split": text_hash([json.dumps(card.data.get("split", {}), sort_keys=True)]),
    }


def differing(certified: dict[str, str], actual: dict[str, str]) -> Sequence[str]:
    """The names of what is not as certified."""
    return [name for name, value in certified.items() if actual.get(name) != value]
