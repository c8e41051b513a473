"""Several networks behind one predictor: the mean of their probabilities."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.data.masks.mapping import mapping_of
from eyespot.errors import UserError
from eyespot.prediction.engine import Engine
from eyespot.prediction.tiles import NetworkFacts
from eyespot.softmax import sigmoid, softmax
from eyespot.weights.card import Card

BYTES_PER_CLASS = 16
"""Of each sample, for the sums of probabilities in addition to one network's memory."""
LEAST = 1e-12
"""The smallest probability whose logarithm is taken."""


class EnsembleEngine:
    """The networks of a cross-validation, each with its own temperature.

    Logits are the logarithm of the mean probability: their softmax is the mean over the networks. Of multi-label masks
    their sigmoid is.
    """

    def __init__(self, members: Sequence[Engine], cards: Sequence[Card]):
        self.members = list(members)
        self.cards = list(cards)
        self.device = members[0].device
        mapping = cards[0].preprocessing.get("mapping")
        self.multilabel = bool(mapping) and mapping_of(mapping).multilabel

    @property
    def facts(self) -> NetworkFacts:
        """Those of the network that needs most memory, with the sums."""
        return self._facts

    @cached_property
    def _facts(self) -> NetworkFacts:
        facts = max((member.facts for member in self.members), key=lambda facts: facts.bytes_per_sample)
        sums = BYTES_PER_CLASS * facts.classes
        return replace(facts, bytes_per_sample=facts.bytes_per_sample + sums)

    @property
    def network(self) -> Any:
        """Raises UserError: there is not one network."""
        raise UserError(
            f"this is an ensemble of {len(self.members)} networks: give the run folder of one of them, such as RUN/fold-1"
        )

    def fingerprint(self) -> str:
        """A digest of the members'."""
        content = blake2b(digest_size=16)
        for member in self.members:
            content.update(member.fingerprint().encode())
        return content.hexdigest()

    def return_memory(self) -> None:
        """See `Engine`."""
        for member in self.members:
            member.return_memory()

    def logits(self, batch: Array) -> NDArray[np.float32]:
        """See `Engine`."""
        total: NDArray[np.float64] | None = None
        for member, card in zip(self.members, self.cards, strict=True):
            probabilities = self._probabilities(member.logits(batch), card.temperature)
            total = probabilities if total is None else np.add(total, probabilities, out=total)
        assert total is not None
        mean = np.clip(total / len(self.members), LEAST, None)
        logits = np.log(mean)
        if self.multilabel:
            logits -= np.log(np.clip(1 - mean, LEAST, None))
        return logits.astype(np.float32)

    def _probabilities(self, logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
        # Few numbers of whole images are computed exactly; the many of masks in the precision of their logits.
        scaled = (logits.astype(np.float64) if logits.ndim == 2 else logits) / temperature
        return sigmoid(scaled) if self.multilabel else softmax(scaled, axis=1)
