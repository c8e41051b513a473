"""Predictions of masks, and files of them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from eyespot.console import count
from eyespot.data.header import Array
from eyespot.data.masks.multilabel import unpack
from eyespot.errors import UserError
from eyespot.prediction.mask_files import write_maps
from eyespot.prediction.output import WriteRequest, Written
from eyespot.prediction.predictions import MaskPrediction
from eyespot.prediction.segmenter import Segmenter


class MaskOutput(Segmenter):
    """Predictions of the class of each pixel."""

    metric = ("mean_iou", "mean IoU")
    of_positions = True

    def stream(self, images: Iterable[tuple[str, Array | str]]) -> Iterator[MaskPrediction]:
        """Predictions one by one, in order; the reason in place of one for an image that cannot be read."""
        for name, image in images:
            if isinstance(image, str):
                yield MaskPrediction(name, error=image)
            else:
                labels = self.labels(image)
                yield MaskPrediction(name, unpack(labels, len(self.classes)) if self.multilabel else labels)

    def collect(self, predictions: Iterable[MaskPrediction]) -> list[MaskPrediction]:
        """All of them."""
        return list(predictions)

    def write(self, predictor: Any, files: Iterable[Path], request: WriteRequest) -> Written:
        """A file for each image, with its mask."""
        if request.out is None:
            raise UserError(f"{request.run} predicts masks: name a folder for them with --out")
        unread, written, existing = write_maps(
            self,
            files,
            request.out,
            request.common,
            request.instances,
            request.probabilities,
            force=request.force,
        )
        print(f"{count(len(written), 'mask')} in {request.out}")
        return Written(unread, len(written), tuple(existing))
