"""A model file made ready to answer: its preprocessing, its network, its class names."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eyespot.augment.geometry import Shift
from eyespot.data.formats.image import upright
from eyespot.data.formats.read import load_bytes
from eyespot.data.header import Array, Decoded, Unreadable, as_depth, channels_last
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.devices import answering, arithmetic
from eyespot.errors import UserError
from eyespot.kit import MEMORY
from eyespot.models import PRESETS, create
from eyespot.parallel import batched, in_order
from eyespot.tasks.batches import Normal, resized, views
from eyespot.weights.card import NAME, Card, load_strict, read_card, read_tensors

BATCH = 64


@dataclass(frozen=True)
class Prediction:
    """The answer for one image: the likeliest class and all probabilities; or the reason why there is none."""

    path: str
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    error: str | None = None


class Predictions(list[Prediction]):
    """Answers in the order of the questions; shows itself as a table."""

    def __str__(self) -> str:
        width = max([len("path"), *(len(p.path) for p in self)])
        rows = [
            f"{p.path:<{width}}  "
            + (
                f"{p.label}  {100 * (p.probability or 0):.1f}%"
                if p.label is not None
                else f"cannot be read: {p.error}"
            )
            for p in self
        ]
        return "\n".join([f"{'path':<{width}}  label", *rows])

    def __repr__(self) -> str:
        return str(self)


class Predictor:
    """Answers for images. Made by `load`."""

    def __init__(self, card: Card, network: torch.nn.Module, device: str = "cpu"):
        p = card.preprocessing
        self.card, self.classes, self.device = card, card.classes, device
        self.preprocessing = preprocessing_of(p)
        self.normal = Normal(tuple(p["mean"]), tuple(p["std"]))
        self.views = views(p.get("mirror", False), p.get("moved", False))
        self.precision = answering(p.get("precision"), device)
        self.network = network.eval().to(device, memory_format=MEMORY[self.preprocessing.dim])  # type: ignore[call-overload]

    @torch.inference_mode()
    def logits(self, images: Array) -> NDArray[np.float32]:
        """(N, *S, C) images, read by `reading` -> (N, classes), in float32

        Of several views, the logarithm of the mean of their probabilities.
        """
        whole, of_views = self.normal(images, self.device), []
        for mirrored, by in self.views:
            x = Shift().apply(whole, torch.full((len(whole), self.preprocessing.dim), by)) if by else whole
            x = resized(x, self.card.preprocessing["side"])
            with arithmetic(self.device, self.precision):
                of_views.append(self.network(x.flip(-1) if mirrored else x).float())
        if len(of_views) == 1:
            return of_views[0].cpu().numpy()
        return torch.stack(of_views).log_softmax(-1).logsumexp(0).sub(log(len(of_views))).cpu().numpy()

    def probabilities(self, images: Array) -> NDArray[np.float64]:
        """(N, H, W, C) -> (N, classes), each row of sum 1"""
        from scipy.special import softmax

        return softmax(self.logits(images).astype(np.float64) / self.card.temperature, axis=1)

    def __call__(self, images: Any) -> Predictions:
        """Answers for one or several images: paths, Pillow images, or arrays (*S), (*S, C) or (C, *S)."""
        several = images if isinstance(images, list | tuple) else [images]
        answers = Predictions(self.stream(several))
        unread = [a for a in answers if a.error]
        if unread:
            raise UserError(f"{unread[0].path} cannot be read: {unread[0].error}")
        return answers

    def stream(self, images: Iterable[Any], batch: int = BATCH) -> Iterator[Prediction]:
        """Answers one by one, in order, in constant memory; an image that cannot be read is answered with its reason."""
        for part in batched(in_order(self._read, images), batch):
            good = [image for _, image in part if not isinstance(image, str)]
            rows = iter(self.probabilities(np.stack(good))) if good else iter(())
            for name, image in part:
                yield (
                    Prediction(name, error=image)
                    if isinstance(image, str)
                    else self._answer(name, next(rows))
                )

    def _answer(self, name: str, p: NDArray[np.float64]) -> Prediction:
        best = int(p.argmax())
        return Prediction(
            name, self.classes[best], float(p[best]), dict(zip(self.classes, p.tolist(), strict=True))
        )

    def _read(self, image: Any) -> tuple[str, Array | str]:
        try:
            if isinstance(image, str | os.PathLike):
                return str(image), self.preprocessing(load_bytes(Path(image)))
            return "(image)", self.preprocessing.of_decoded(Decoded(as_array(image, self.preprocessing.dim)))
        except Unreadable as reason:
            return str(image) if isinstance(image, str | os.PathLike) else "(image)", str(reason)

    def __repr__(self) -> str:
        c, accuracy = self.card, self.card.scores.get("accuracy")
        score = f", accuracy {100 * accuracy['value']:.1f}% (n = {accuracy['n']:,})" if accuracy else ""
        return f"Predictor({c.preset}, {len(c.classes)} classes, {' x '.join([str(self.preprocessing.size)] * self.preprocessing.dim)}{score})"


def preprocessing_of(preprocessing: dict[str, Any]) -> Preprocessing:
    """The part of a card's preprocessing that says how files are read."""
    return Preprocessing.from_dict(preprocessing)


def as_array(image: Any, dim: int) -> Array:
    """(*S, C); channels of an array are the shorter of its first and last axis"""
    from PIL import Image

    return (
        upright(image) if isinstance(image, Image.Image) else as_depth(channels_last(np.asarray(image), dim))
    )


def model_file(run: str | os.PathLike) -> Path:
    """The model file of a run folder, or the file itself."""
    path = Path(run)
    if path.is_dir() and not (path / NAME).exists():
        raise UserError(f"{path} holds no {NAME}: give the folder of a run that was trained")
    return path / NAME if path.is_dir() else path


def load_network(run: str | os.PathLike) -> tuple[Card, torch.nn.Module]:
    """The card and the network of a run folder or a model file. Raises UserError where it is damaged, newer or not ours."""
    path = model_file(run)
    card = read_card(path)
    if card.preset not in PRESETS:
        raise UserError(
            f"{path} was trained with the network {card.preset!r}, which is not registered: call "
            f"eyespot.register({card.preset!r}, ...) first"
        )
    changes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in card.changes.items()}
    dim = card.preprocessing.get("dim", 2)
    network = create(
        card.preset, classes=len(card.classes), channels=card.preprocessing["channels"], dim=dim, **changes
    )
    load_strict(network, read_tensors(path), path)
    return card, network


def expand(paths: Sequence[str], lines: Iterable[str], dim: int) -> Iterator[Path]:
    """The files that arguments mean: files, folders (all below that may have `dim` axes), globs, built-in sets, - for one per line."""
    from glob import glob, has_magic

    from eyespot.data.sources.builtin import BUILTIN, unpack
    from eyespot.data.sources.samples import list_files

    for name in paths:
        path = Path(name)
        if name == "-":
            yield from (Path(line.strip()) for line in lines if line.strip())
        elif path.is_dir():
            yield from list_files(path, dim)
        elif path.exists() or not has_magic(name):
            yield from list_files(unpack(name), dim) if name in BUILTIN and not path.exists() else [path]
        else:
            yield from map(Path, sorted(glob(name, recursive=True)))
