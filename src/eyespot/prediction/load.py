"""From a run or an exported file to a predictor. An exported file needs no torch."""

import os

from eyespot.certificate.exported import is_exported
from eyespot.errors import UserError, nearest
from eyespot.missing import require
from eyespot.prediction.engines import ENGINES, TORCH
from eyespot.prediction.load_exported import load_exported
from eyespot.prediction.predictor import Predictor
from eyespot.weights.hub import local
from eyespot.wrapping import quoted


def load(
    run: str | os.PathLike,
    *,
    device: str | None = None,
    engine: str | None = None,
    precision: str | None = None,
) -> Predictor:
    """A predictor from a run folder, a model file or an exported file; of a cross-validation, with all its networks.

    It may be in a repository of the Hugging Face hub: hub:owner/name, or hub:owner/name@revision.

    device   where torch computes: cpu, cuda, cuda:1 or mps; a GPU if there is one, if not given; an exported file is computed on the processor
    engine   torch for a run, onnxruntime or openvino for an exported file; what fits, if not given
    precision   of openvino: f32, or bf16, which is faster and rounds; f32 if not given

    Raises UserError for an unknown device or engine, an engine that is not installed, and a damaged or changed file.
    """
    if engine is not None and engine not in (TORCH, *ENGINES):
        raise UserError(f"engine is {engine!r}; {nearest(engine, [TORCH, *ENGINES])}")
    run = local(run)
    if is_exported(run):
        if engine == TORCH:
            raise UserError(
                f"{run} is an exported file, which torch does not read: give the run folder, or another --engine"
            )
        if device not in (None, "cpu"):
            raise UserError(
                f"{run} is an exported file, which is computed on the processor: leave out --device {device}"
            )
        return load_exported(run, engine, precision)
    if engine not in (None, TORCH):
        raise UserError(
            f"{run} is no exported file, which --engine {engine} reads: write one with eyespot export {quoted(run)}"
        )
    if precision is not None:
        raise UserError(f"--precision is for exported files, and {run} is none: leave it out")
    require("torch", f"predicting with {run}", "; or give the .onnx file that eyespot export writes")
    from eyespot.prediction.load_torch import load_run

    return load_run(run, device)
