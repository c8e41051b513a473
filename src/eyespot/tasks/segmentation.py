"""The segmentation task: a class for each pixel, learned from crops of images and their label maps."""

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
from eyespot.metrics import instances, masks
from eyespot.models.network import Network, run_whole
from eyespot.overlays import tile_with_mask
from eyespot.tasks.augmentation import apply_to_normalised, transforms_for
from eyespot.tasks.batches import Normal
from eyespot.tasks.losses import binary_cross_entropy, cross_entropy, parse_loss, pixel_weights, unpack
from eyespot.tasks.network import new_network
from eyespot.tasks.order import Draw, first_draw
from eyespot.tasks.segmentation_settings import choose, usual_augment, usual_loss, usual_recipe
from eyespot.watershed import keeps_whole, split_touching

CLASS_CENTRED = 1 / 3
"""The share of crops that are centred on a pixel of a class drawn at random."""
PIXELS_PER_CLASS = 64
"""Pixels of each class in an image that may be the centre of such a crop."""
VALIDATION_SIDE = {1: 2**17, 2: 1024, 3: 96}
"""The longest side of a validation image that is predicted during training, by the number of axes.

Of larger images only the middle is predicted: at most about a million pixels.
"""
VALIDATION_IMAGES = 16
"""The number of validation images that are predicted during training, at the most."""
TILE = 144
"""Pixels of the side of a crop in the picture of training samples."""
LEVELS = 1000
"""Steps of a standard deviation to which values of floating-point images are rounded in pictures."""


class Targets(NamedTuple):
    """The targets of a batch.

    labels    (B, *S), or (B, K, *S) if classes may overlap
    borders   (B, *S) extra weights in the loss for pixels between objects; None if the loss has none
    """

    labels: Tensor
    borders: Tensor | None


class Segmentation:
    """A class for each position, or several where classes may overlap. `muon` is the peak learning rate of Muon."""

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
        self.validation_loss = binary_cross_entropy if self.multilabel else cross_entropy
        self.borders = {int(i): _borders(self.maps[i]) for i in train} if bordered else None
        examples = [_middle(self.maps[i]) == 1 for i in evenly_spaced(train)]
        self.split_touching = survey.mapping.has_objects and keeps_whole(examples)
        rng = np.random.default_rng(config.seed)
        self.class_pixels = {int(i): _class_pixels(self.maps[i], self.k, self.multilabel, rng) for i in train}

    def planned(self, config: Config) -> "Segmentation":
        """The same task with other settings; what was computed from the masks is kept."""
        task = copy(self)
        task.config = config
        return task

    def network(self) -> Network:
        return new_network(self.survey, self.config)

    def prepare(self, network: nn.Module) -> None:
        """Nothing is set from the data."""

    def sample_indices(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of an epoch: each as often as crops fit into its image."""
        assert self.config.size
        area = self.config.size**self.survey.preprocessing.dim
        times = [max(1, round(self.maps[i].size / area)) for i in rows]
        return np.repeat(rows, times)

    def side(self, fraction: float) -> int:
        """The side of a crop, which is the same for the whole run."""
        assert self.config.size
        return self.config.size

    def cost(self) -> float:
        return 1.0

    def views(self) -> int:
        return 1

    def prediction_precision(self) -> str:
        return "float32"  # whole images are predicted in it, so that tiles give the same result

    def scoring(self, rows: NDArray[np.int64]) -> float:
        """Estimate the seconds to compute the metrics of these images, from the time for one of them."""
        labels = self.maps[rows[len(rows) // 2]]
        start = perf_counter()
        truth = as_targets(labels)
        if self.multilabel:
            planes = unpack_bits(labels, self.k)
            masks.count_each(planes, planes, labels != VOID)
        else:
            masks.count(truth, truth, self.k)
        if self.survey.mapping.has_objects:
            objects = split_touching(truth == 1) if self.split_touching else components(truth)
            instances.compare(components(truth), objects)
        return len(rows) * (perf_counter() - start)

    def card_facts(self) -> dict[str, Any]:
        """What the model file stores for predictions."""
        return {"mapping": self.survey.mapping.as_dict(), "split_touching": self.split_touching}

    def picture(self, rows: NDArray[np.int64], most: int = 16) -> Image:
        """A sheet of training crops as the network sees them, without and with their masks."""
        chosen = np.random.default_rng(self.config.seed).permutation(self.sample_indices(rows))[:most]
        x, y = self.batch(first_draw(chosen, self.config.seed), self.side(0))
        crops = [self._displayed(crop) for crop in x.cpu()]
        labelled = [
            tile_with_mask(crop, np.where(labels == IGNORED, VOID, labels), self.multilabel, TILE)
            for crop, labels in zip(crops, y.labels.cpu().numpy(), strict=True)
        ]
        return pictures.sheet([("crops", crops), ("with their masks", labelled)], tile=TILE, columns=8)

    def _displayed(self, crop: Tensor) -> NDArray[np.float32]:
        """(C, *S) normalised -> (*S, C) as stored, rounded: a flat crop would else be shown as the rounding of float32."""
        values = crop.movedim(0, -1).numpy() * np.array(self.normal.std) + np.array(self.normal.mean)
        step = 1.0 if self.pixels[0].dtype.kind == "u" else float(np.mean(self.normal.std)) / LEVELS
        return (np.round(values / step) * step).astype(np.float32)

    def batch(self, draw: Draw, side: int) -> tuple[Tensor, Any]:
        """Crops (B, C, side, ...) and their targets, with the same augmentation"""
        rng = draw.numpy_generator()
        generator = draw.torch_generator()
        crops = [self._crop(int(i), side, rng) for i in draw.rows]
        x = self.normal(np.stack([image for image, _, _ in crops]), self.config.device or "cpu")
        y = sent(torch.from_numpy(np.stack([labels for _, labels, _ in crops])), x.device)
        borders = sent(torch.from_numpy(np.stack([border for _, _, border in crops])), x.device)
        both = torch.cat([x, borders[:, None]], 1) if self.borders else x  # one warp for both
        steps = sampled_steps(self.geometric, x.shape, generator)
        both, warped = apply_to_normalised(both, y, steps, self.normal, self._spacing(draw.rows))
        x, borders = (both[:, :-1], both[:, -1]) if self.borders else (both, None)
        x, _ = apply_to_normalised(x, None, sampled_steps(self.of_values, x.shape, generator), self.normal)
        assert warped is not None
        targets = unpack(warped, self.k) if self.multilabel else warped
        exchanged = exchanged_channels if self.multilabel else exchanged_labels
        targets = exchanged(targets, steps, self.survey.classes)
        return x.contiguous(memory_format=MEMORY[x.dim() - 2]), Targets(targets, borders)

    def _spacing(self, rows: NDArray[np.int64]) -> Spacing:
        """(B, 3) voxel sizes of volumes in mm, 1 where a file does not state them; None for other samples"""
        spacings = [self.survey.headers[int(row)].spacing for row in rows]
        if self.survey.preprocessing.dim < 3 or not any(spacings):
            return None
        return torch.tensor([spacing or (1.0, 1.0, 1.0) for spacing in spacings])

    def _crop(
        self, i: int, side: int, rng: np.random.Generator
    ) -> tuple[Array, NDArray[np.int64], NDArray[np.float32]]:
        """A random crop of an image, its labels, and its border weights: zeros, if the loss has none"""
        shape = np.array(self.maps[i].shape)
        centre = rng.integers(0, shape)
        candidates = self.class_pixels[i]
        if candidates and rng.random() < CLASS_CENTRED:
            pixels = candidates[rng.integers(len(candidates))]
            centre = np.array(np.unravel_index(rng.choice(pixels), shape))
        starts = np.clip(centre - side // 2, 0, np.maximum(shape - side, 0))
        window = tuple(slice(a, a + side) for a in starts)
        image, labels = filled(self.pixels[i][window], self.maps[i][window], side, self.normal.mean)
        border = np.zeros(labels.shape, np.float32)
        if self.borders:
            weights = self.borders[i][window]
            border[tuple(slice(0, n) for n in weights.shape)] = weights
        return image, labels, border

    def loss(self, logits: Tensor, y: Targets) -> Tensor:
        weights = None if y.borders is None else pixel_weights(y.labels, border=y.borders)
        return self.loss_of(logits, y.labels, weights)

    @torch.inference_mode()
    def validate(self, network: nn.Module, rows: NDArray[np.int64], side: int) -> tuple[float, float]:
        """Loss and mean IoU over the classes that occur, for at most VALIDATION_IMAGES images, of large ones the middle."""
        device = self.config.device or "cpu"
        table = np.zeros((self.k, 3))
        losses = []
        for i in evenly_spaced(rows):
            y = as_targets(_middle(self.maps[i]))
            image = _middle(self.pixels[i], axes=y.ndim)
            with arithmetic(device, self.config.precision):
                z = run_whole(network, self.normal(image[None], device)).float().cpu()
            labels = torch.from_numpy(y)[None]
            labels = unpack(labels, self.k) if self.multilabel else labels
            losses.append(self.validation_loss(z, labels).item())
            table += self._regions(z[0], labels[0])
        both, true, predicted = table.T
        iou = both / np.maximum(true + predicted - both, 1)
        return float(np.mean(losses)), float(iou[true > 0].mean())

    def _regions(self, logits: Tensor, labels: Tensor) -> NDArray[np.int64]:
        """(K, 3) pixels of each class: correct, true and predicted ones; ignored ones do not count"""
        if self.multilabel:
            true = labels == 1
            predicted = logits > 0
        else:
            classes = torch.arange(self.k).view(-1, *[1] * (logits.dim() - 1))
            true = labels == classes
            predicted = logits.argmax(0) == classes
        predicted = predicted & (labels != IGNORED)
        return torch.stack([t.flatten(1).sum(1) for t in (true & predicted, true, predicted)], 1).numpy()


def evenly_spaced(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most VALIDATION_IMAGES of the rows, evenly spaced"""
    return rows[:: max(1, -(-len(rows) // VALIDATION_IMAGES))]


def _middle(array: Array, axes: int | None = None) -> Array:
    """The middle of an array: at most VALIDATION_SIDE samples along each of the first axes, by default along all"""
    sizes = array.shape[:axes]
    longest = VALIDATION_SIDE[len(sizes)]
    starts = [max(0, (n - longest) // 2) for n in sizes]
    return array[tuple(slice(a, a + longest) for a in starts)]


def as_targets(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Convert label maps to targets of the loss, in which void pixels are IGNORED."""
    return np.where(labels == VOID, IGNORED, labels.astype(np.int64))


def filled(
    image: Array, labels: NDArray[np.uint8], side: int, value: Sequence[float]
) -> tuple[Array, NDArray[np.int64]]:
    """Pad a crop of a small image at its far edges to this side, with a value per channel and IGNORED labels.

    With the mean of each channel the padding is zero after the normalisation, like the padding of convolutions.
    """
    y = as_targets(labels)
    if y.shape == (side,) * y.ndim:
        return image, y
    whole = np.empty((*[side] * y.ndim, image.shape[-1]), image.dtype)
    whole[...] = np.array(value).round().astype(image.dtype) if image.dtype.kind == "u" else np.array(value)
    whole[tuple(slice(0, n) for n in y.shape)] = image
    return whole, np.pad(y, [(0, side - n) for n in y.shape], constant_values=IGNORED)


def _borders(labels: NDArray[np.uint8]) -> NDArray[np.float16]:
    """The weights of U-Net for pixels between objects, which are the components of class 1"""
    return border_weights((labels == 1).astype(np.int64)).astype(np.float16)


def _class_pixels(
    labels: NDArray[np.uint8], classes: int, multilabel: bool, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """For each class in a label map, the flat indices of at most PIXELS_PER_CLASS of its pixels."""
    flat = labels.ravel()
    chosen = []
    for k in range(classes):
        of_class = (flat != VOID) & (flat >> k & 1 == 1) if multilabel else flat == k
        pixels = np.flatnonzero(of_class)
        if len(pixels):
            chosen.append(rng.choice(pixels, min(PIXELS_PER_CLASS, len(pixels)), replace=False))
    return chosen
