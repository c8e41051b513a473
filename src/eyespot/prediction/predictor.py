"""Preprocessing, engine and the output of a task behind one class."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.parallel import in_order
from eyespot.plurals import count
from eyespot.prediction.engine import Engine
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
        """Predictions for one or several images: paths, Pillow or nibabel images, or arrays.

        Arrays are (*S), (*S, C) or (C, *S).

        Classes come as `Predictions`, a list that shows itself as a table; masks as a list of `MaskPrediction`.
        Volumes are (D, H, W): of a NIfTI file, towards superior, anterior and right, whatever the order in the file.
        """
        return self.output.collect(self.stream(images if isinstance(images, list | tuple) else [images]))

    def stream(self, images: Iterable[Any]) -> Iterator[Any]:
        """Predictions one by one, in order, in constant memory; for an image that cannot be read, the reason."""
        read = partial(read_input, preprocessing=self.preprocessing, remarks=Remarks())
        return self.output.stream(in_order(read, images, ahead=self.output.ahead))

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
