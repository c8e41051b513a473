"""Whether an exported file still gives on this machine what it gave when it was exported."""

import os
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from numpy.typing import NDArray

from eyespot.certificate.certificate import INT8
from eyespot.certificate.exported import Exported, is_exported, read_exported, refuse_uncertified
from eyespot.certificate.measure import Difference, difference
from eyespot.certificate.remembered import is_remembered, processor_name, remember
from eyespot.console import say
from eyespot.data.header import Decoded
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.errors import UserError
from eyespot.prediction.engines import DEFAULT, open_engine
from eyespot.weights.hub import local


@dataclass(frozen=True)
class Verification:
    """What `eyespot verify` measured. Shows itself as a table.

    difference      the largest of the logits from the expected ones, as a share of their scale; of images that Python
                    brought to the network's size, as `predict` does
    resized         the same of images that the file itself brought to size; None where the engine gets none
    tolerance, resized_tolerance   how large these may be
    agree           tests of which the largest logit is the expected one
    seal            SHA-256 of the file's bytes
    """

    path: str
    holds: bool
    seal: str
    engine: str
    precision: str
    processor: str
    tests: int
    agree: int
    difference: float
    tolerance: float
    resized: float | None
    resized_tolerance: float
    metrics: dict[str, Any]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def rows(self) -> dict[str, str]:
        """What was measured, in words, by what it is of."""
        rows = {
            "bytes": f"as exported (SHA-256 {self.seal[:16]}...)",
            "logits": f"{self.agree} of {self.tests} test images agree; at most {self.difference:.1e} of the logits' scale off "
            f"({self.tolerance:g} is allowed)",
            "engine": f"{self.engine}, {self.precision}, on {self.processor}",
        }
        if self.resized is not None:
            rows["resizing"] = (
                f"in the file itself: at most {self.resized:.1e} off ({self.resized_tolerance:g} is allowed)"
            )
        for name, score in self.metrics.items():
            if "n" in score and name in ("accuracy", "mean_iou"):
                low, high = (f"{100 * score[k]:.1f}" for k in ("low", "high"))
                rows["exported"] = (
                    f"{name.replace('_', ' ')} {100 * score['value']:.1f}% ({low} to {high}, n = {score['n']:,}) when it was exported"
                )
        return rows

    def verdict(self) -> str:
        """Whether it holds, in a sentence."""
        holds = "the certificate holds" if self.holds else "THE CERTIFICATE DOES NOT HOLD on this machine"
        return f"{self.path}: {holds}"

    def __str__(self) -> str:
        return "\n".join([self.verdict(), *(f"  {k:<9} {v}" for k, v in self.rows().items())])

    def _repr_html_(self) -> str:
        from eyespot.notebook import html

        return html.result(
            html.line(self.verdict(), strong=True), html.table(["what", "measured"], [*self.rows().items()])
        )


def verify(file: str | os.PathLike, *, engine: str | None = None) -> Verification:
    """Compute the test inputs of an exported file again, on this machine.

    engine   onnxruntime or openvino; onnxruntime if not given

    Raises UserError for a file that was changed after it was exported, or is not ours.
    """
    start = time.monotonic()
    path = local(file)
    if not is_exported(path):
        raise UserError(f"{file} is no .onnx file: export a run with eyespot export RUN, and verify that")
    exported = read_exported(path)
    refuse_uncertified(exported)
    chosen = open_engine(exported, engine or DEFAULT)
    prepared_images, resized = measured(exported, chosen)
    holds = prepared_images.holds and (resized is None or resized.holds)
    if holds:
        remember(exported.digest, chosen.engine, prepared_images.share)
    certificate = exported.certificate
    return Verification(
        path=str(path),
        holds=holds,
        seal=exported.digest,
        engine=chosen.engine,
        precision=chosen.precision,
        processor=processor_name(),
        tests=len(certificate.tests),
        agree=prepared_images.agree,
        difference=prepared_images.share,
        tolerance=certificate.tolerance,
        resized=None if resized is None else resized.share,
        resized_tolerance=certificate.resized_tolerance,
        metrics=certificate.metrics,
        seconds=time.monotonic() - start,
    )


def check_once(exported: Exported, engine: Any) -> None:
    """The check of a first load: what held on this machine is not computed again. Raises UserError where it does not hold."""
    if is_remembered(exported.digest, engine.engine):
        return
    say(f"checking {exported.path} on this machine, which is done once")
    refuse_uncertified(exported)
    worst, _ = measured(exported, engine, with_resizing=False)
    if not worst.holds:
        if exported.certificate.precision == INT8:
            raise UserError(_int8_refusal(exported, engine, worst))
        made = exported.certificate.versions
        versions = ", ".join(
            f"{name} {made[name]}" for name in ("pillow", "numpy", "onnxruntime") if name in made
        )
        raise UserError(
            f"{exported.path} does not give on this machine what it gave when it was exported (logits are off by {worst.share:.1e} of "
            f"their scale, {exported.certificate.tolerance:g} is allowed, with {engine.engine}; it was exported with {versions}): export "
            "it again here"
        )
    remember(exported.digest, engine.engine, worst.share)


def _int8_refusal(exported: Exported, engine: Any, worst: Difference) -> str:
    other = "" if engine.engine.startswith(DEFAULT) else f"use --engine {DEFAULT}, or "
    return (
        f"{exported.path}: int8 is computed otherwise here (logits are off by {worst.share:.1e} of their scale, "
        f"{exported.certificate.tolerance:g} is allowed, with {engine.engine} on {processor_name()}): {other}export the run without --int8"
    )


def measured(
    exported: Exported, engine: Any, with_resizing: bool = True
) -> tuple[Difference, Difference | None]:
    """Of images that Python brings to size, and of images that the file does, where the engine gets those."""
    certificate = exported.certificate
    preprocessing = Preprocessing.from_dict(exported.card.preprocessing)
    by_python = difference(engine.logits, certificate, partial(prepared, preprocessing))
    if not (with_resizing and engine.takes_any_size):
        return by_python, None
    return by_python, difference(engine.logits, certificate)


def prepared(preprocessing: Preprocessing, image: NDArray[Any]) -> NDArray[Any]:
    """(*S, C) pixels -> what the engine gets of a file with these"""
    return image if preprocessing.view != "samples" else preprocessing.of_decoded(Decoded(image))
