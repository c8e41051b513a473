"""The same network with random weights: how invariant one is that has learned nothing."""

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.prediction.predictor import Predictor


def with_random_weights(predictor: Predictor) -> Predictor | None:
    """The predictor around a copy of its network with random parameters; None for engines whose parameters cannot be reached."""
    engine: Any = predictor.engine
    if not hasattr(engine, "with_network") or not hasattr(engine, "network"):
        return None
    from eyespot.explanation.trust import randomised

    random = copy(predictor)
    random.engine = engine.with_network(randomised(predictor.network))
    random.output = copy(predictor.output)
    random.output.engine = random.engine
    return random


def centred(logits: Callable[[Array], NDArray[np.float32]]) -> Callable[[Array], NDArray[np.float32]]:
    """Logits less their mean over the first images that they are asked for.

    Random weights mostly give one class for everything, which would be invariant to everything; centred, they tell images apart.
    """
    known: list[NDArray[np.float32]] = []

    def less_the_mean(images: Array) -> NDArray[np.float32]:
        values = logits(images)
        if not known:
            known.append(values.mean(0))
        return values - known[0]

    return less_the_mean
