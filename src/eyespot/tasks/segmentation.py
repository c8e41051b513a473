"""The task of telling what each pixel is: crops of images and their label maps."""

from collections.abc import Sequence
from copy import copy
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor, nn

from eyespot import pictures
from eyespot.augment.exchange import exchanged_channels, exchanged_labels
from eyespot.augment.pipeline import Spacing, sampled_steps
from eyespot.config import Config
from eyespot.data.header import Array
from eyespot.data.masks.mapping import VOID
from eyespot.data.masks.multilabel import unpack as unpack_bits
from eyespot.data.surveys.survey import PairSurvey
from eyespot.devices import arithmetic
from eyespot.kit import MEMORY, sent
from eyespot.labels import VOID as IGNORED
from eyespot.labels import border_weights, components
from eyespot.metrics import instances as partition
from eyespot.metrics import masks as overlap
from eyespot.models.network import Network, run_whole
from eyespot.tasks.augmentation import apply_to_normalised, transforms_for
from eyespot.tasks.batches import Normal
from eyespot.tasks.losses import binary_cross_entropy, cross_entropy, parse_loss, pixel_weights, unpack
from eyespot.tasks.network import new_network
from eyespot.tasks.order import Draw, first_draw
from eyespot.tasks.segmentation_settings import choose, usual_augment, usual_loss, usual_recipe
from eyespot.watershed import keeps_whole, split_touching

RARE = 1 / 3
KEPT = 64
"""The share of crops that are centred on a class drawn at random; the places per image and class kept for them."""
GLANCE = {1: 2**17, 2: 1024, 3: 96}
"""Samples along an axis of a validation image that are predicted while training, by the number of axes: about a million."""
GLANCES = 16
"""Held-out images that are looked at while training."""


class Targets(NamedTuple):
    """labels (B, *S), or (B, K, *S) of multi-label masks; how much more than others each pixel counts, where borders do"""

    labels: Tensor
    borders: Tensor | None


class Segmentation:
    """A label for each position. `muon` is Muon's peak rate."""

    score = "mean IoU"
    counts_images = False
    unit = "crops"
    muon = 0.15
    most_epochs = 400
    least_batch = 4
    class_weights_reason = "none"
    choose = staticmethod(choose)
    usual_recipe = staticmethod(usual_recipe)
    usual_augment = staticmethod(usual_augment)

    def __init__(self, survey: PairSurvey, config: Config, normal: Normal, train: NDArray[np.int64]):
        self.survey = survey
        self.config = config
        self.normal = normal
        self.train = train
        self.pixels = survey.images.pixels
        self.maps = survey.images.labels
        transforms = transforms_for(config.augment or "", survey)
        self.geometric = [transform for transform in transforms if transform.geometric]
        self.of_values = [transform for transform in transforms if not transform.geometric]
        self.multilabel = survey.mapping.multilabel
        self.k = len(survey.classes)
        self.loss_of, bordered = parse_loss(config.loss or usual_loss(survey)[0], self.multilabel)
        self.glanced = binary_cross_entropy if self.multilabel else cross_entropy
        self.borders = {int(i): _borders(self.maps[i]) for i in train} if bordered else None
        seen = [_middle(self.maps[i]) == 1 for i in some(train)]
        self.split_touching = survey.mapping.has_objects and keeps_whole(seen)
        rng = np.random.default_rng(config.seed)
        self.places = {int(i): _places(self.maps[i], self.k, self.multilabel, rng) for i in train}

    def planned(self, config: Config) -> "Segmentation":
        """The same task with other settings of the training; what was read from the masks is kept."""
        task = copy(self)
        task.config = config
        return task

    def network(self) -> Network:
        return new_network(self.survey, self.config)

    def prepare(self, network: nn.Module) -> None:
        """Nothing is set from the data."""

    def sample_indices(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Every row as often as crops fit into it."""
        assert self.config.size
        area = self.config.size**self.survey.preprocessing.dim
        times = [max(1, round(self.maps[i].size / area)) for i in rows]
        return np.repeat(rows, times)

    def side(self, fraction: float) -> int:
        """Of a crop; always the same."""
        assert self.config.size
        return self.config.size

    def cost(self) -> float:
        return 1.0

    def views(self) -> int:
        return 1

    def prediction_precision(self) -> str:
        return "float32"  # whole images are predicted in it, so that tiles give the same result

    def scoring(self, rows: NDArray[np.int64]) -> float:
        """Seconds to compare the predictions of these images with their masks, as timed on one of them."""
        labels = self.maps[rows[len(rows) // 2]]
        start = perf_counter()
        truth = as_targets(labels)
        if self.multilabel:
            each = unpack_bits(labels, self.k)
            overlap.count_each(each, each, labels != VOID)
        else:
            overlap.count(truth, truth, self.k)
        if self.survey.mapping.has_objects:
            partition.compare(
                components(truth), split_touching(truth == 1) if self.split_touching else components(truth)
            )
        return len(rows) * (perf_counter() - start)

    def card_facts(self) -> dict[str, Any]:
        """What predictions have to know, for the model file."""
        return {"mapping": self.survey.mapping.as_dict(), "split_touching": self.split_touching}

    def picture(self, rows: NDArray[np.int64], most: int = 16) -> Image:
        """Crops as the network sees them, without their masks and with."""
        chosen = np.random.default_rng(self.config.seed).permutation(self.sample_indices(rows))[:most]
        x, y = self.batch(first_draw(chosen, self.config.seed), self.side(0))
        std = np.array(self.normal.std)
        mean = np.array(self.normal.mean)
        crops = [(crop.movedim(0, -1).numpy() * std + mean).astype(np.float32) for crop in x.cpu()]
        labelled = [
            pictures.overlay(crop, labels.numpy()) for crop, labels in zip(crops, y.labels.cpu(), strict=True)
        ]
        return pictures.sheet([("crops", crops), ("with their masks", labelled)], tile=144, columns=8)

    def batch(self, draw: Draw, side: int) -> tuple[Tensor, Any]:
        """Crops (B, C, side, ...) and their targets, augmented alike"""
        rng = draw.numpy_generator()
        generator = draw.torch_generator()
        crops = [self._crop(int(i), side, rng) for i in draw.rows]
        x = self.normal(np.stack([image for image, _, _ in crops]), self.config.device or "cpu")
        y = sent(torch.from_numpy(np.stack([labels for _, labels, _ in crops])), x.device)
        borders = sent(torch.from_numpy(np.stack([border for _, _, border in crops])), x.device)
        both = torch.cat([x, borders[:, None]], 1) if self.borders else x  # moved alike
        steps = sampled_steps(self.geometric, x.shape, generator)
        both, moved = apply_to_normalised(both, y, steps, self.normal, self._spacing(draw.rows))
        x, borders = (both[:, :-1], both[:, -1]) if self.borders else (both, None)
        x, _ = apply_to_normalised(x, None, sampled_steps(self.of_values, x.shape, generator), self.normal)
        assert moved is not None
        targets = unpack(moved, self.k) if self.multilabel else moved
        exchanged = exchanged_channels if self.multilabel else exchanged_labels
        targets = exchanged(targets, steps, self.survey.classes)
        return x.contiguous(memory_format=MEMORY[x.dim() - 2]), Targets(targets, borders)

    def _spacing(self, rows: NDArray[np.int64]) -> Spacing:
        """(B, 3) of volumes, from voxel to voxel in mm, 1 where a file does not have it; else None"""
        spacings = [self.survey.headers[int(row)].spacing for row in rows]
        if self.survey.preprocessing.dim < 3 or not any(spacings):
            return None
        return torch.tensor([spacing or (1.0, 1.0, 1.0) for spacing in spacings])

    def _crop(
        self, i: int, side: int, rng: np.random.Generator
    ) -> tuple[Array, NDArray[np.int64], NDArray[np.float32]]:
        shape = np.array(self.maps[i].shape)
        centre = rng.integers(0, shape)
        if self.places[i] and rng.random() < RARE:
            places = self.places[i][rng.integers(len(self.places[i]))]
            centre = np.array(np.unravel_index(rng.choice(places), shape))
        starts = np.clip(centre - side // 2, 0, np.maximum(shape - side, 0))
        window = tuple(slice(a, a + side) for a in starts)
        image, labels = filled(self.pixels[i][window], self.maps[i][window], side, self.normal.mean)
        border = np.zeros(labels.shape, np.float32)
        if self.borders:
            distances = self.borders[i][window]
            border[tuple(slice(0, n) for n in distances.shape)] = distances
        return image, labels, border

    def loss(self, logits: Tensor, y: Targets) -> Tensor:
        weights = None if y.borders is None else pixel_weights(y.labels, border=y.borders)
        return self.loss_of(logits, y.labels, weights)

    @torch.inference_mode()
    def validate(self, network: nn.Module, rows: NDArray[np.int64], side: int) -> tuple[float, float]:
        """Loss and mean IoU over the classes that occur, on the middle of some validation images."""
        device = self.config.device or "cpu"
        table = np.zeros((self.k, 3))
        losses = []
        for i in some(rows):
            y = as_targets(_middle(self.maps[i]))
            image = _middle(self.pixels[i], axes=y.ndim)
            with arithmetic(device, self.config.precision):
                z = run_whole(network, self.normal(image[None], device)).float().cpu()
            labels = torch.from_numpy(y)[None]
            labels = unpack(labels, self.k) if self.multilabel else labels
            losses.append(self.glanced(z, labels).item())
            table += self._regions(z[0], labels[0])
        both, true, predicted = table.T
        iou = both / np.maximum(true + predicted - both, 1)
        return float(np.mean(losses)), float(iou[true > 0].mean())

    def _regions(self, logits: Tensor, labels: Tensor) -> NDArray[np.int64]:
        """(K, 3) pixels of each class: in both, true, predicted"""
        every = torch.arange(self.k).view(-1, *[1] * (logits.dim() - 1))
        true = labels == (1 if self.multilabel else every)
        said = (logits > 0 if self.multilabel else logits.argmax(0) == every) & (labels != IGNORED)
        return torch.stack([t.flatten(1).sum(1) for t in (true & said, true, said)], 1).numpy()


def some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most GLANCES of the rows, spread over them"""
    return rows[:: max(1, -(-len(rows) // GLANCES))]


def _middle(whole: Array, axes: int | None = None) -> Array:
    """At most GLANCE samples of each of the first axes, or of all"""
    sizes = whole.shape[:axes]
    most = GLANCE[len(sizes)]
    starts = [max(0, (n - most) // 2) for n in sizes]
    return whole[tuple(slice(a, a + most) for a in starts)]


def as_targets(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Label maps with what does not count as training wants it."""
    return np.where(labels == VOID, IGNORED, labels.astype(np.int64))


def filled(
    image: Array, labels: NDArray[np.uint8], side: int, value: Sequence[float]
) -> tuple[Array, NDArray[np.int64]]:
    """A crop from an image smaller than it, filled up at the far edges with a value per channel; that does not count.

    With the channels' means it is what a network sees beyond an image: zeros, after the normalisation.
    """
    y = as_targets(labels)
    if y.shape == (side,) * y.ndim:
        return image, y
    whole = np.empty((*[side] * y.ndim, image.shape[-1]), image.dtype)
    whole[...] = np.array(value).round().astype(image.dtype) if image.dtype.kind == "u" else np.array(value)
    whole[tuple(slice(0, n) for n in y.shape)] = image
    return whole, np.pad(y, [(0, side - n) for n in y.shape], constant_values=IGNORED)


def _borders(labels: NDArray[np.uint8]) -> NDArray[np.float16]:
    """U-Net's weights of the lines between objects, for the map of one class of objects"""
    return border_weights((labels == 1).astype(np.int64)).astype(np.float16)


def _places(
    labels: NDArray[np.uint8], classes: int, multilabel: bool, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """For each class in the map, some of its flat positions."""
    flat = labels.ravel()
    chosen = []
    for k in range(classes):
        here = np.flatnonzero((flat != VOID) & (flat >> k & 1 == 1) if multilabel else flat == k)
        if len(here):
            chosen.append(rng.choice(here, min(KEPT, len(here)), replace=False))
    return chosen
