"""The same network with random weights: how invariant one is that has learned nothing."""

from copy import copy
from typing import Any

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
