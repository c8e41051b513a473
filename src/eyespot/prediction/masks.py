"""A model file that tells what each pixel is, made ready to answer."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eyespot.console import say
from eyespot.data.formats.read import load_bytes
from eyespot.data.header import Array, Decoded, Unreadable
from eyespot.data.masks import mapping_of
from eyespot.data.multilabel import unpack
from eyespot.environment import positive_number
from eyespot.errors import UserError
from eyespot.kit import MEMORY
from eyespot.labels import components
from eyespot.models.network import run_whole
from eyespot.parallel import in_order
from eyespot.prediction.predictor import as_array, preprocessing_of
from eyespot.prediction.tiled_inference import Seams, maps, predict_map
from eyespot.prediction.tiles import LABELS, Plan, Slices, plan
from eyespot.tasks.batches import Normal
from eyespot.watershed import split_touching
from eyespot.weights.card import Card, versions

MEMORY_MB = max(1, int(positive_number("EYESPOT_MEMORY_MB", 1200)))
"""Megabytes that predicting one image may take; larger images are cut into tiles."""


@dataclass(frozen=True)
class MaskPrediction:
    """The answer for one image: `labels` (*S), class positions; or the reason why there is none.

    Of multi-label masks: `labels` (classes, *S), whether each pixel belongs to the class.
    """

    path: str
    labels: NDArray[np.uint8] | NDArray[np.bool_] | None = None
    error: str | None = None


class MaskPredictor:
    """Label maps for images of any size. Made by `load`."""

    def __init__(self, card: Card, network: torch.nn.Module, device: str = "cpu"):
        p = card.preprocessing
        self.card, self.classes, self.device = card, card.classes, device
        self.preprocessing, self.mapping = preprocessing_of(p), mapping_of(p["mapping"])
        self.multilabel = self.mapping.multilabel
        self.split_touching: bool = p.get(
            "parted", False
        )  # told since 0.1: older runs were tested with whole parts
        self._plans: dict[tuple[tuple[int, ...], bool], Plan] = {}
        self.normal = Normal(tuple(p["mean"]), tuple(p["std"]))
        self.network = network.eval().to(device, memory_format=MEMORY[self.preprocessing.dim])  # type: ignore[call-overload]

    @torch.inference_mode()
    def logits(self, image: Array) -> torch.Tensor:
        """(*S, C) as read -> (classes, *S), in float32"""
        x = self.normal(image[None], self.device).contiguous(memory_format=MEMORY[self.preprocessing.dim])
        return run_whole(self.network, x)[0].float()

    @cached_property
    def digest(self) -> str:
        """Of the card, the weights and the software: what an answer depends on, beside the image"""
        content = blake2b(repr((self.card, versions(), self.device)).encode(), digest_size=16)
        for name, tensor in self.network.state_dict().items():
            content.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return content.hexdigest()

    def plan(self, shape: tuple[int, ...], soft: bool = False) -> Plan:
        """How an image of this shape (*S) is cut so that the memory is enough: in one piece, or in tiles.

        soft   whether probabilities are kept as well
        """
        if (shape, soft) not in self._plans:
            network: Any = self.network
            answer = LABELS + (LABELS * len(self.classes) if soft else 0)
            made = plan(network, self.preprocessing.channels, shape, MEMORY_MB << 20, answer)
            self._plans[shape, soft] = made
        return self._plans[shape, soft]

    def bands(
        self, read: Callable[[Slices], Array], shape: tuple[int, ...], first: int = 0, soft: bool = False
    ) -> Iterator[tuple[int, Array, Array | None]]:
        """`whole.maps` of an image that is read in windows, from the band that holds row `first` on"""

        def logits(window: Array) -> torch.Tensor:
            return self.logits(self.preprocessing.of_decoded(Decoded(window)))

        if min(shape) < int(self.network.smallest):  # type: ignore[arg-type]
            whole = tuple(slice(0, n) for n in shape)  # filled up, which tiles are not
            yield from maps([(whole, logits(read(whole)))], shape, soft, self.multilabel)
            return
        planned = self.plan(shape, soft)
        parts = predict_map(read, logits, planned, first)
        if not planned.why:
            yield from maps(parts, shape, soft, self.multilabel)
            return
        seams = Seams(planned, self.multilabel)
        yield from maps(seams.watch(parts), shape, soft, self.multilabel)
        say(f"tiles are blended, since {planned.why}; seam score {seams.score:.2f} (1: no seam can be seen)")

    def labels(self, image: Array) -> NDArray[np.uint8]:
        """(*S, C) as read -> (*S) class positions, or bit fields of multi-label masks"""
        return np.concatenate([band for _, band, _ in self.bands(image.__getitem__, image.shape[:-1])])

    def ids(self, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
        """(*S) class positions -> ids 1, 2, ... of objects: connected parts, cut at necks if the training masks allow"""
        self.check_objects()
        return split_touching(labels == 1) if self.split_touching else components(labels == 1)

    def check_objects(self) -> None:
        """Raises UserError for other classes than background and one more."""
        if self.multilabel:
            raise UserError(
                "objects have ids where each pixel is of one class, and this run has multi-label masks: predict without --instances"
            )
        if not self.mapping.things:
            raise UserError(
                f"only objects on a background have ids, and the classes of this run are {', '.join(self.classes[:6])}: predict without --instances"
            )

    def __call__(self, images: Any) -> list[MaskPrediction]:
        """Label maps for one or several images: paths, Pillow images, or arrays (*S), (*S, C) or (C, *S)."""
        return list(self.stream(images if isinstance(images, list | tuple) else [images]))

    def stream(self, images: Iterable[Any]) -> Iterator[MaskPrediction]:
        """Answers one by one, in order; an image that cannot be read is answered with its reason."""
        for name, image in in_order(self._read, images):
            if isinstance(image, str):
                yield MaskPrediction(name, error=image)
            else:
                labels = self.labels(image)
                told = unpack(labels, len(self.classes)) if self.multilabel else labels
                yield MaskPrediction(name, told)

    def _read(self, image: Any) -> tuple[str, Array | str]:
        name = str(image) if isinstance(image, str | Path) else "(image)"
        try:
            if isinstance(image, str | Path):
                return name, self.preprocessing(load_bytes(Path(image)))
            return name, self.preprocessing.of_decoded(Decoded(as_array(image, self.preprocessing.dim)))
        except Unreadable as reason:
            return name, str(reason)

    def __repr__(self) -> str:
        c, iou = self.card, self.card.scores.get("mean_iou")
        score = f", mean IoU {100 * iou['value']:.1f}% (n = {iou['n']:,})" if iou else ""
        return f"MaskPredictor({c.preset}, {len(c.classes)} classes{score})"
