"""Predictions of masks, and files of them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from eyespot.data.header import Array, Unreadable
from eyespot.data.masks.multilabel import unpack
from eyespot.errors import UserError
from eyespot.prediction.mask_files import distinct, write_maps
from eyespot.prediction.output import Source, WriteRequest, Written, existing_sentence
from eyespot.prediction.predictions import MaskPrediction, MaskPredictions
from eyespot.prediction.segmenter import Segmenter


class MaskOutput(Segmenter):
    """Predictions of the class of each pixel."""

    metric = ("mean_iou", "mean IoU")
    of_positions = True
    ahead = 0

    def stream(self, images: Iterable[tuple[str, Array | str]]) -> Iterator[MaskPrediction]:
        """Predictions one by one, in order; the reason in place of one for an image that cannot be read."""
        for name, image in images:
            if isinstance(image, str):
                yield MaskPrediction(name, error=image)
            else:
                yield self._prediction(name, image)

    def _prediction(self, name: str, image: Array) -> MaskPrediction:
        try:
            labels = self.labels(image)
        except Unreadable as reason:
            return MaskPrediction(name, error=str(reason))
        shown = unpack(labels, len(self.classes)) if self.multilabel else labels
        return MaskPrediction(name, shown, classes=tuple(self.classes))

    def collect(self, predictions: Iterable[MaskPrediction]) -> MaskPredictions:
        """All of them."""
        return MaskPredictions(predictions)

    def write(self, source: Source, files: Iterable[Path], request: WriteRequest) -> Written:
        """A file for each image, with its mask."""
        out = request.out
        if out is None:
            raise UserError(f"{request.run} predicts masks: name a folder for them with --out")
        distinct_files = distinct(files, out, request.common, self.preprocessing.dim)
        total = Written({}, 0)
        for written in source.write_masks(distinct_files, request):
            total = total.and_also(written)
        if total.existing and not total.count:
            raise UserError(existing_sentence(total.existing))
        return total

    def write_files(self, files: Iterable[Path], request: WriteRequest) -> Written:
        """The same for some of the files; nothing is printed, nor refused because of files that exist."""
        assert request.out is not None
        unread, written, existing = write_maps(
            self,
            files,
            request.out,
            request.common,
            request.instances,
            request.probabilities,
            force=request.force,
        )
        return Written(unread, len(written), tuple(existing))
