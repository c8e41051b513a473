"""A model file that tells what each pixel is, made ready to answer."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eyespot.console import say
from eyespot.data.facts import Array, Decoded, Unreadable
from eyespot.data.masks import mapping_of
from eyespot.data.read import load_bytes
from eyespot.files import in_order
from eyespot.kit import MEMORY
from eyespot.models.network import run_whole
from eyespot.prediction.predictor import as_array, reading_of
from eyespot.prediction.tiles import Plan, Slices, plan
from eyespot.prediction.whole import Seams, labels, predict_map
from eyespot.training.batches import Normal
from eyespot.weights import Card

MEMORY_MB = int(os.environ.get("EYESPOT_MEMORY_MB", 1200))
"""Megabytes that predicting one image may take; larger images are cut into tiles."""


@dataclass(frozen=True)
class MaskPrediction:
    """The answer for one image: `labels` (*S), class positions; or the reason why there is none."""

    path: str
    labels: NDArray[np.uint8] | None = None
    error: str | None = None


class MaskPredictor:
    """Label maps for images of any size. Made by `load`."""

    def __init__(self, card: Card, network: torch.nn.Module, device: str = "cpu"):
        p = card.preprocessing
        self.card, self.classes, self.device = card, card.classes, device
        self.reading, self.mapping = reading_of(p), mapping_of(p["mapping"])
        self._plans: dict[tuple[int, ...], Plan] = {}
        self.normal = Normal(tuple(p["mean"]), tuple(p["std"]))
        self.network = network.eval().to(device, memory_format=MEMORY[self.reading.dim])  # type: ignore[call-overload]

    @torch.inference_mode()
    def logits(self, image: Array) -> torch.Tensor:
        """(*S, C) as read -> (classes, *S), in float32"""
        x = self.normal(image[None], self.device).contiguous(memory_format=MEMORY[self.reading.dim])
        return run_whole(self.network, x)[0].float()

    def plan(self, shape: tuple[int, ...]) -> Plan:
        """How an image of this shape (*S) is cut so that the memory is enough: in one piece, or in tiles."""
        if shape not in self._plans:
            network: Any = self.network
            self._plans[shape] = plan(network, self.reading.channels, shape, MEMORY_MB << 20)
        return self._plans[shape]

    def bands(self, read: Callable[[Slices], Array], shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
        """Class positions of an image that is read in windows, (rows, *shape[1:]) of all of its width at a time"""
        planned = self.plan(shape)

        def logits(window: Array) -> torch.Tensor:
            return self.logits(self.reading.of_decoded(Decoded(window)))

        parts = predict_map(read, logits, planned)
        if not planned.why:
            yield from labels(parts, shape)  # type: ignore[misc]
            return
        seams = Seams(planned)
        yield from labels(seams.watch(parts), shape)  # type: ignore[misc]
        say(f"tiles are blended, since {planned.why}; seam score {seams.score:.2f} (1: no seam can be seen)")

    def labels(self, image: Array) -> NDArray[np.uint8]:
        """(*S, C) as read -> (*S) class positions"""
        if min(image.shape[:-1]) < int(self.network.smallest):  # type: ignore[arg-type]
            return (
                self.logits(image).argmax(0).to(torch.uint8).cpu().numpy()
            )  # filled up, which tiles are not
        return np.concatenate(list(self.bands(lambda window: image[window], image.shape[:-1])))

    def __call__(self, images: Any) -> list[MaskPrediction]:
        """Label maps for one or several images: paths, Pillow images, or arrays (*S), (*S, C) or (C, *S)."""
        return list(self.stream(images if isinstance(images, list | tuple) else [images]))

    def stream(self, images: Iterable[Any]) -> Iterator[MaskPrediction]:
        """Answers one by one, in order; an image that cannot be read is answered with its reason."""
        for name, image in in_order(self._read, images):
            if isinstance(image, str):
                yield MaskPrediction(name, error=image)
            else:
                yield MaskPrediction(name, self.labels(image))

    def _read(self, image: Any) -> tuple[str, Array | str]:
        name = str(image) if isinstance(image, str | Path) else "(image)"
        try:
            if isinstance(image, str | Path):
                return name, self.reading(load_bytes(Path(image)))
            return name, self.reading.of_decoded(Decoded(as_array(image, self.reading.dim)))
        except Unreadable as reason:
            return name, str(reason)

    def __repr__(self) -> str:
        c, iou = self.card, self.card.scores.get("mean_iou")
        score = f", mean IoU {100 * iou['value']:.1f}% (n = {iou['n']:,})" if iou else ""
        return f"MaskPredictor({c.preset}, {len(c.classes)} classes{score})"
