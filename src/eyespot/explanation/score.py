"""The explained number as a function of the network's input: with gradients from torch, without them from any engine."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyespot.data.header import Array, stored_as
from eyespot.errors import UserError
from eyespot.explanation.incremental import Incremental
from eyespot.prediction.ensemble import EnsembleEngine

Score = Callable[[Tensor], Tensor]
"""(B, C, *S) normalised images -> (B,)"""


class Number(Protocol):
    """A number of the logits, such as a `Target`."""

    def of(self, logits: Tensor) -> Tensor:
        """(B, classes) or (B, classes, *S) -> (B,)"""
        ...


def has_gradients(engine: Any) -> bool:
    """Whether an engine computes with a torch network."""
    return hasattr(engine, "differentiable")


def logits_of(engine: Any, preprocessing: Any) -> Callable[[Tensor], Tensor]:
    """(B, C, *S) normalised images -> logits: with gradients where the engine has some, else from any engine's logits of
    arrays in the files' own values"""
    if has_gradients(engine):
        return engine.differentiable

    def logits(x: Tensor) -> Tensor:
        arrays = denormalise(x, preprocessing.mean, preprocessing.std)
        if hasattr(engine, "depth"):  # an exported file takes the values of files, which are whole numbers
            arrays = stored_as(arrays, np.dtype(engine.depth))
        return torch.from_numpy(np.asarray(engine.logits(arrays)))

    return logits


def incremental_score(engine: Any, target: Number) -> Score | None:
    """The score of batches that begin with the image they change, without gradients; None without a torch network."""
    if not has_gradients(engine):
        return None
    logits = engine.with_network(Incremental(engine.network)).differentiable
    return lambda x: target.of(logits(x))


def score_of(engine: Any, preprocessing: Any, target: Number) -> Score:
    """What the maps of this engine explain."""
    logits = logits_of(engine, preprocessing)

    def score(x: Tensor) -> Tensor:
        return target.of(logits(x))

    return score


def normalised(engine: Any, preprocessing: Any, array: Array) -> Tensor:
    """(*S, C) as preprocessing gives it -> (1, C, *S) of mean 0 and standard deviation 1"""
    if has_gradients(engine):
        return engine.normalised(array[None])
    return torch.from_numpy(preprocessing.normalise(array[None]))


def denormalise(x: Tensor, mean: Any, std: Any) -> NDArray[np.float32]:
    """(B, C, *S) normalised -> (B, *S, C) in the files' own values"""
    values = np.moveaxis(x.detach().cpu().numpy(), 1, -1).astype(np.float32)
    return values * np.array(std, np.float32) + np.array(mean, np.float32)


def refuse_ensemble(engine: Any, why: str, run: str, otherwise: str = "") -> None:
    """Raises UserError for the networks of a cross-validation, which names a fold to give instead."""
    if isinstance(engine, EnsembleEngine):
        raise UserError(
            f"{run} is a cross-validation of {len(engine.members)} networks, and {why}: name one fold, such as {run}/fold-1{otherwise}"
        )


def refuse_without_gradients(engine: Any, method: str, works: list[str], run: str = "RUN") -> None:
    """Raises UserError where a method needs gradients and the predictor has none, or is several networks."""
    refuse_ensemble(engine, f"{method} looks into one", run, f", or use {' or '.join(works)}")
    if not has_gradients(engine):
        raise UserError(
            f"{method} needs gradients, and this predictor computes logits only: use {' or '.join(works)}, which work without them"
        )
