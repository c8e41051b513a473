"""From an image of any size to its label map: whole, or in tiles where the memory is not enough."""

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from eyespot.console import say
from eyespot.data.header import Array, Decoded, Unreadable
from eyespot.data.masks.mapping import mapping_of
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.errors import UserError
from eyespot.labels import components
from eyespot.missing import require
from eyespot.prediction.engine import Engine
from eyespot.prediction.output import MEMORY_MB, NOT_FINITE
from eyespot.prediction.tiled_inference import Band, SeamMeter, maps, predict_map
from eyespot.prediction.tiles import LABELS, Plan, Slices, plan
from eyespot.watershed import split_touching
from eyespot.weights.card import Card


class Segmenter:
    """Label maps from the logits of each position."""

    def __init__(self, card: Card, engine: Engine):
        p = card.preprocessing
        self.card = card
        self.classes = card.classes
        self.engine = engine
        self.preprocessing = Preprocessing.from_dict(p)
        self.mapping = mapping_of(p["mapping"])
        self.multilabel = self.mapping.multilabel
        # Files of before 0.2 call it "parted"; still older ones were tested with whole components.
        self.split_touching: bool = p.get("split_touching", p.get("parted", False))
        self._plans: dict[tuple[tuple[int, ...], bool], Plan] = {}

    @cached_property
    def digest(self) -> str:
        """Of the card, the weights and the software: what a prediction depends on, beside the image"""
        return self.engine.fingerprint()

    def plan(self, shape: tuple[int, ...], soft: bool = False) -> Plan:
        """How an image of this shape (*S) is cut so that the memory is enough: in one piece, or in tiles.

        soft   whether probabilities are kept as well
        """
        if (shape, soft) not in self._plans:
            sample_bytes = LABELS + (LABELS * len(self.classes) if soft else 0)
            self._plans[shape, soft] = plan(self.engine.facts, shape, MEMORY_MB << 20, sample_bytes)
        return self._plans[shape, soft]

    def bands(
        self,
        read: Callable[[Slices], Array],
        shape: tuple[int, ...],
        first: int = 0,
        soft: bool = False,
    ) -> Iterator[Band]:
        """`tiled_inference.maps` of an image that is read in windows, from the band that holds row `first` on

        Raises Unreadable where a logit is not finite.
        """

        def logits(window: Array) -> NDArray[np.float32]:
            result = self.engine.logits(self.preprocessing.of_decoded(Decoded(window))[None])[0]
            if not np.isfinite(result).all():
                raise Unreadable(NOT_FINITE)
            return result

        if min(shape) < self.engine.facts.smallest:
            whole = tuple(slice(0, n) for n in shape)  # padded, which tiles are not
            yield from maps([(whole, logits(read(whole)))], shape, soft, self.multilabel)
            return
        planned = self.plan(shape, soft)
        self.engine.return_memory()
        pieces = predict_map(read, logits, planned, first)
        if not planned.why:
            yield from maps(pieces, shape, soft, self.multilabel)
            return
        seams = SeamMeter(planned, self.multilabel)
        yield from maps(seams.watch(pieces), shape, soft, self.multilabel)
        say(f"tiles are blended, since {planned.why}; seam score {seams.score:.2f} (1: no seam can be seen)")

    def labels(self, image: Array) -> NDArray[np.uint8]:
        """(*S, C) as read -> (*S) class positions, or bit fields of multi-label masks. Raises Unreadable as `bands` does."""
        bands = self.bands(image.__getitem__, image.shape[:-1])
        return np.concatenate([band for _, band, _ in bands])

    def ids(self, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
        """(*S) class positions -> ids 1, 2, ... of objects: connected parts, cut at necks if the training masks allow"""
        self.check_objects()
        return split_touching(labels == 1) if self.split_touching else components(labels == 1)

    def check_objects(self) -> None:
        """Raises UserError for other classes than background and one more, and where SciPy is missing."""
        if self.multilabel:
            raise UserError(
                "objects have ids where each pixel is of one class, and this run has multi-label masks: predict without --instances"
            )
        if not self.mapping.has_objects:
            raise UserError(
                f"only objects on a background have ids, and the classes of this run are {', '.join(self.classes[:6])}: predict without --instances"
            )
        require("scipy", "numbering objects", "; or predict with --no-instances")
