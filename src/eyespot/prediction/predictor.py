"""Preprocessing, engine and the output of a task behind one class."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.notebook.predictions import LARGE, MOST, SMALL, small_picture
from eyespot.parallel import in_order
from eyespot.plurals import count
from eyespot.prediction.engine import Engine
from eyespot.prediction.given import check_read, each_image
from eyespot.prediction.inputs import Remarks, read_input
from eyespot.prediction.output import Output, Source, WriteRequest, Written
from eyespot.weights.card import Card


class Predictor:
    """Predictions for images. Made by `load`; needs no torch, unless its engine does.

    card            what the model file says of itself
    engine          computes logits: an `Engine`
    output          turns logits into predictions, classes or label maps: an `Output`
    preprocessing   from a file to the network's input
    """

    def __init__(self, card: Card, engine: Engine, output: Output):
        self.card = card
        self.classes = card.classes
        self.engine: Any = engine
        self.output: Any = output
        self.preprocessing = Preprocessing.from_dict(card.preprocessing)

    @property
    def device(self) -> str:
        """Where the engine computes."""
        return self.engine.device

    @property
    def network(self) -> Any:
        """The network of the torch engine, in evaluation mode."""
        return self.engine.network

    def logits(self, images: Array) -> NDArray[np.float32]:
        """(N, *S, C) preprocessed images -> (N, classes), or (N, classes, *S) of masks, in float32"""
        return self.engine.logits(images)

    def __call__(self, images: Any) -> Any:
        """Predictions for what the command line takes, and for images in memory.

        images   a path, folder, pattern such as "new/*.png" or built-in set; a Pillow or nibabel image; an array or torch
                 tensor (*S), (*S, C) or (C, *S), or a batch of them with N in front; or any collection of these. Channels
                 are the shorter of an array's first and last axis. Volumes are (D, H, W): of a NIfTI file, towards
                 superior, anterior and right, whatever the order in the file

        Classes come as `Predictions`, masks as `MaskPredictions`: lists that show themselves, in the order of the images.
        An image that cannot be read has the reason as `error` in its place, and a warning says so. An iterator, such as a
        generator, gives an iterator of predictions: it is consumed only as far as these are asked for, but for the next
        images, which are read ahead.

        Raises UserError where no image can be read, for a folder or pattern without images, and for an array that could be
        one image or several.
        """
        given = each_image(images, self.preprocessing, leave_out_masks=self.output.of_positions)
        if isinstance(images, Iterator):
            return self.stream(given)
        pictures: dict[int, Array] = {}
        read = self._read(given)
        predictions = self.output.collect(
            self.output.stream(_watched(read, pictures, self.output.of_positions))
        )
        check_read(predictions, images)
        for i, picture in pictures.items():
            if predictions[i].error is None:
                predictions[i] = replace(predictions[i], picture=picture)
        return predictions

    def stream(self, images: Iterable[Any]) -> Iterator[Any]:
        """Predictions one by one, in order, in constant memory; for an image that cannot be read, the reason."""
        return self.output.stream(self._read(images))

    def _read(self, images: Iterable[Any]) -> Iterator[tuple[str, Array | str]]:
        """The name of each image, and what the network gets of it; or the reason why it cannot be read."""
        remarks = Remarks(later=True)
        read = partial(read_input, preprocessing=self.preprocessing, remarks=remarks)
        for result in in_order(read, images, ahead=self.output.ahead):
            remarks.give()
            yield result

    def write(self, files: Iterable[Path], request: WriteRequest, source: Source | None = None) -> Written:
        """Predict files and write what is predicted. source   what predicts, if not this process"""
        return self.output.write(source or self, files, request)

    def write_masks(self, files: Iterable[Path], request: WriteRequest) -> Iterator[Written]:
        """See `Source`."""
        yield self.output.write_files(files, request)

    def __repr__(self) -> str:
        card = self.card
        key, name = self.output.metric
        value = card.scores.get(key)
        of = f"{card.data['metrics']} " if "metrics" in card.data else ""
        metric = f", {of}{name} {100 * value['value']:.1f}% (n = {value['n']:,})" if value else ""
        return f"Predictor({card.preset}, {count(len(card.classes), 'class')}{metric})"


def _watched(
    read: Iterable[tuple[str, Array | str]], pictures: dict[int, Array], are_masks: bool
) -> Iterator[tuple[str, Array | str]]:
    """What was read, of which small pictures of the first images are kept."""
    for i, (name, image) in enumerate(read):
        if i < MOST and not isinstance(image, str):
            pictures[i] = small_picture(image, LARGE if are_masks else SMALL)
        yield name, image
