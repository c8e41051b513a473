"""The classification task: a class for a whole image, signal or volume."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor, nn

from eyespot import pictures
from eyespot.augment.exchange import exchanged_labels
from eyespot.augment.geometry import Flip
from eyespot.augment.mixing import Mixing
from eyespot.augment.pipeline import augment, sampled_steps
from eyespot.config import Config
from eyespot.data.surveys.survey import Survey
from eyespot.devices import arithmetic
from eyespot.kit import sent
from eyespot.models import WHITENED
from eyespot.models.network import Network
from eyespot.recipe import ALTERNATE, GROW, LABEL_SMOOTHING, TTA_FLIP, TTA_SHIFT, WHITEN, parse_recipe
from eyespot.tasks.augmentation import apply_to_normalised, transforms_for
from eyespot.tasks.batches import Images, Normal, resized, views
from eyespot.tasks.classification_settings import choose, class_weights, usual_augment, usual_recipe
from eyespot.tasks.growth import mean_cost, side
from eyespot.tasks.network import new_network
from eyespot.tasks.order import Draw
from eyespot.tasks.whiten import whiten

SMOOTHING = 0.2


class Classification:
    """One class for each sample.

    `weights` is the weight of each class in the loss, with a mean of 1 over the training samples. `muon` is the peak
    learning rate of Muon.
    """

    score = "accuracy"
    counts_images = True
    muon = 0.15
    most_epochs = 100
    least_batch = 16
    choose = staticmethod(choose)
    usual_recipe = staticmethod(usual_recipe)
    usual_augment = staticmethod(usual_augment)

    def __init__(self, survey: Survey, config: Config, normal: Normal, train: NDArray[np.int64]):
        self.survey = survey
        self.unit = f"{survey.word}s"
        self.config = config
        self.normal = normal
        self.train = train
        self.labels = torch.from_numpy(survey.labels)
        self.pixels = survey.images.pixels
        self.weights, self.class_weights_reason = class_weights(
            survey.labels[train], len(survey.source.classes)
        )
        transforms = transforms_for(config.augment or "", survey)
        self.operations = [transform for transform in transforms if not transform.mixes]
        self.mixing = [transform for transform in transforms if isinstance(transform, Mixing)]
        self.parts = parse_recipe(config.recipe or "")
        self.mirrored_first = self._mirrored_first() if ALTERNATE in self.parts else None
        self.growth = next((name for name in GROW if name in self.parts), "")
        self.loss_weights = None if self.weights is None else torch.tensor(self.weights, device=config.device)

    def _mirrored_first(self) -> Tensor | None:
        """(N,) whether a sample is mirrored in even epochs; others are in odd ones (Jordan 2024). None without flips."""
        if Flip() not in self.operations:
            return None
        self.operations = [o for o in self.operations if o != Flip()]
        generator = torch.Generator().manual_seed(self.config.seed)
        return torch.rand(len(self.labels), generator=generator) < 0.5

    @cached_property
    def images(self) -> Images:
        return Images(self.pixels, self.config.device or "cpu")

    def planned(self, config: Config) -> "Classification":
        """The same task with other settings; images that are on a GPU are not copied again."""
        task = Classification(self.survey, config, self.normal, self.train)
        if "images" in self.__dict__:
            task.images = self.images
        return task

    def network(self) -> Network:
        return new_network(self.survey, self.config)

    def prepare(self, network: nn.Module) -> None:
        """Set the weights that are computed from the data: whitening filters."""
        if self.config.model in WHITENED and WHITEN in self.parts and self.config.weights is None:
            stem: Any = network.stem
            whiten(stem, self.normal(self.pixels[self._rows_to_whiten()], stem.weight.device))

    def _rows_to_whiten(self, most: int = 2000, positions: int = 2**21) -> NDArray[np.int64]:
        """Evenly spaced training rows: about `most` of them, or as many as have `positions` pixels."""
        pixels = int(np.prod(self.survey.preprocessing.shape[:-1]))
        number = min(most, max(1, positions // pixels))
        return self.train[:: max(1, len(self.train) // number)]

    def sample_indices(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of an epoch: each once."""
        return rows

    def side(self, fraction: float) -> int:
        """Samples along each axis at this fraction of the run; with a fixed spacing always the full size."""
        size = self.survey.preprocessing.size
        return side(fraction, size, self.growth) if self.survey.preprocessing.spacing is None else size

    def cost(self) -> float:
        """The mean time per sample over a whole run, relative to a sample of full size."""
        preprocessing = self.survey.preprocessing
        if preprocessing.spacing is not None:
            return 1.0
        return mean_cost(preprocessing.size, self.growth, preprocessing.dim)

    def views(self) -> int:
        """The number of forward passes for a prediction."""
        return len(views(TTA_FLIP in self.parts, TTA_SHIFT in self.parts))

    def prediction_precision(self) -> str:
        """The precision of predictions, which is that of training."""
        return self.config.precision or ""

    def scoring(self, rows: NDArray[np.int64]) -> float:
        """Seconds to compute the metrics, which are few enough to ignore."""
        return 0.0

    def card_facts(self) -> dict[str, Any]:
        """What the model file stores for predictions."""
        return {"tta_flip": TTA_FLIP in self.parts, "tta_shift": TTA_SHIFT in self.parts}

    def picture(self, rows: NDArray[np.int64], most: int = 40) -> Image:
        """A sheet of training samples, as decoded and as augmented."""
        chosen = np.random.default_rng(self.config.seed).permutation(rows)[:most]
        pixels = self.pixels[chosen]
        floats = torch.from_numpy(pixels.astype(np.float32)).movedim(-1, 1)
        generator = torch.Generator().manual_seed(self.config.seed)
        transforms = transforms_for(self.config.augment or "", self.survey)
        augmented = augment(floats, transforms, generator).movedim(1, -1).numpy()
        if pixels.dtype.kind == "u":
            augmented = augmented.round().clip(0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
        title = f"augmented: {self.config.augment or 'none'}"
        return pictures.sheet(
            [(f"training {self.survey.word}s, as read", list(pixels)), (title, list(augmented))]
        )

    def batch(self, draw: Draw, side: int) -> tuple[Tensor, Any]:
        """Augmented samples (B, C, side, ...) and their labels (B,); of mixed samples the shares of the classes (B, K)"""
        device = self.config.device or "cpu"
        x = self.normal(self.images[draw.rows], device)
        if self.mirrored_first is not None:
            odd = torch.from_numpy(draw.epochs % 2 == 1)
            x = Flip().apply(x, self.mirrored_first[draw.rows] ^ odd)
        generator = draw.torch_generator()
        steps = sampled_steps(self.operations, x.shape, generator)
        x, _ = apply_to_normalised(x, None, steps, self.normal)
        y = sent(exchanged_labels(self.labels[draw.rows], steps, self.survey.classes), device)
        if self.mixing:
            x, y = self._mixed(x, y, generator)
        return resized(x, side), y

    def _mixed(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Samples mixed with others of the batch, and their shares of the classes (B, K)"""
        shares = F.one_hot(y, len(self.survey.classes)).float()
        for transform in self.mixing:
            parameters = transform.sample(generator, x.shape)
            x = transform.apply(x, parameters)
            shares = transform.mix_targets(shares, parameters, x.shape[2:])
        return x, shares

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        smoothing = SMOOTHING if LABEL_SMOOTHING in self.parts else 0.0
        return F.cross_entropy(logits.float(), y, self.loss_weights, label_smoothing=smoothing)

    @torch.inference_mode()
    def validate(self, network: nn.Module, rows: NDArray[np.int64], side: int) -> tuple[float, float]:
        """Loss and accuracy on validation rows, at this size and in the precision of training."""
        device = self.config.device or "cpu"
        logits = []
        for chunk in np.array_split(rows, max(1, len(rows) // 256)):
            x = resized(self.normal(self.images[chunk], device), side)
            with arithmetic(device, self.config.precision):
                logits.append(network(x).float().cpu())
        z = torch.cat(logits)
        y = self.labels[rows]
        return F.cross_entropy(z, y).item(), (z.argmax(1) == y).float().mean().item()
