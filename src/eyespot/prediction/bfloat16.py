"""Exported files in bfloat16, which is faster and rounds to 8 bits: only where it is asked for, and judged by agreement."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.certificate.certificate import INT8
from eyespot.certificate.exported import Exported
from eyespot.console import say
from eyespot.data.masks.mapping import mapping_of
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.errors import UserError, nearest
from eyespot.metrics.intervals import Score, mean, proportion
from eyespot.prediction.openvino_engine import OpenVinoEngine
from eyespot.prediction.verification import check_once, prepared

Logits = NDArray[np.floating]
OPENVINO = "openvino"
FLOAT32 = "f32"
BFLOAT16 = "bf16"
FARTHEST = 0.1
"""Of the logits' scale: what is farther from float32 was not only rounded."""
SETTINGS = {"INFERENCE_PRECISION_HINT": BFLOAT16}


def is_bfloat16(precision: str | None, engine: str | None, exported: Exported) -> bool:
    """Whether bfloat16 is asked for. Raises UserError for what an engine or a file cannot be computed in."""
    if precision not in (None, FLOAT32, BFLOAT16):
        raise UserError(f"precision is {precision!r}; {nearest(precision, [FLOAT32, BFLOAT16])}")
    if precision is not None and exported.certificate.precision == INT8:
        raise UserError(f"{exported.path} is in int8: leave out --precision {precision}")
    if precision == BFLOAT16 and engine != OPENVINO:
        raise UserError("--precision bf16 is for --engine openvino: add that, or leave it out")
    return precision == BFLOAT16


def open_bfloat16(exported: Exported) -> Any:
    """The engine in bfloat16, after the one in float32 was checked. It says how often both have the same class.

    Raises UserError where the processor has no bfloat16, and where logits are far from those in float32.
    """
    _need()
    exact = OpenVinoEngine(exported.card, exported.content, exported.digest)
    check_once(exported, exact)
    engine = OpenVinoEngine(exported.card, exported.content, exported.digest, SETTINGS)
    engine.engine += f" {BFLOAT16}"
    engine.precision = "bfloat16"
    farthest, agreement = compared(exported, exact, engine)
    if not farthest <= FARTHEST:
        raise UserError(
            f"{exported.path} is not computed rightly in bf16 here (logits are {farthest:.1e} of their scale from float32): leave out --precision bf16"
        )
    of = "pixels" if exported.card.network_facts else "classes"
    low, high = (100 * (agreement[end] or 0) for end in ("low", "high"))
    say(
        f"bf16: {100 * agreement['value']:.1f}% of the {of} of {agreement['n']} test images are those of float32 (95% interval "
        f"{low:.0f} to {min(high, 100):.0f}%); logits are {farthest:.1e} of their scale off"
    )
    return engine


def compared(exported: Exported, exact: Any, engine: Any) -> tuple[float, Score]:
    """The largest difference of logits as a share of their scale, and how often the largest is the same: of images, or pixels."""
    certificate = exported.certificate
    prepare = partial(prepared, Preprocessing.from_dict(exported.card.preprocessing))
    mapping = exported.card.preprocessing.get("mapping")
    overlapping = bool(mapping) and mapping_of(mapping).multilabel
    farthest = 0.0
    equal = []
    for test in certificate.tests:
        image = prepare(certificate.input(test))[None]
        a = exact.logits(image)[0]
        b = engine.logits(image)[0]
        farthest = max(farthest, float(np.nan_to_num(np.abs(a - b), nan=np.inf).max()) / certificate.scale)
        equal.append(float(_equal(a, b, overlapping).mean()))
    if a.ndim == 1:
        return farthest, proportion(int(sum(equal)), len(equal))
    return farthest, mean(np.array(equal))


def _equal(a: Logits, b: Logits, overlapping: bool) -> NDArray[np.bool_]:
    """(classes, ...) logits twice -> (...) whether the class is the same; of classes that may overlap, whether all are"""
    if overlapping:
        return ((a > 0) == (b > 0)).all(0)
    return a.argmax(0) == b.argmax(0)


def _need() -> None:
    try:
        import openvino
    except ImportError:
        return  # the engine says so
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UserError("this processor has no bfloat16: leave out --precision bf16")
