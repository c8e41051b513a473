"""The task of telling what a whole image, signal or volume is."""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from eyespot.augment.geometry import Flip, Shift
from eyespot.augment.pipeline import augment, parse
from eyespot.data.survey import IMBALANCE, Survey
from eyespot.errors import UserError
from eyespot.kit import MEMORY, sent
from eyespot.models import WHITENED, create
from eyespot.models.network import Network
from eyespot.training.batches import Images, Normal, resized, views
from eyespot.training.config import Config, Settle
from eyespot.training.devices import arithmetic
from eyespot.training.optimise import whiten
from eyespot.training.recipe import GROW, parse_recipe
from eyespot.training.schedule import mean_cost, side, usual_growth
from eyespot.weights.card import read_card
from eyespot.weights.published import IMAGENET
from eyespot.weights.start import find

TINY, SMALL = 16, 64
"""Samples along an axis below which, and up to which, the networks of these names are the better choice."""
VALUES = 2**20
"""Positions in a batch, at the most."""
SMOOTHING = 0.2
MOVED = 0.03
"""The share of the time, at the most, that answers for moved images may take: more training is worth more."""


class Classification:
    """One label for each row. `weights` is the loss's weight per class, of mean 1 over the images; `muon` its peak rate."""

    score, muon = "accuracy", 0.15
    most_epochs, least_batch = 100, 16

    def __init__(self, survey: Survey, config: Config, normal: Normal, train: NDArray[np.int64]):
        self.survey, self.config, self.normal, self.train = survey, config, normal, train
        self.labels, self.pixels = torch.from_numpy(survey.labels), survey.images.pixels
        self.weights, self.why_weights = class_weights(survey.labels[train], len(survey.source.classes))
        self.operations, self.parts = parse(config.augment or ""), parse_recipe(config.recipe or "")
        self.mirrored = self._first_sides() if "alternate" in self.parts else None
        self.growth = next((part for part in GROW if part in self.parts), "")
        self.loss_weights = None if self.weights is None else torch.tensor(self.weights, device=config.device)

    def _first_sides(self) -> Tensor | None:
        """(N,) which images are mirrored when they are seen next (Jordan 2024); None where none may be."""
        if not any(isinstance(operation, Flip) for operation in self.operations):
            return None
        self.operations = [o for o in self.operations if not isinstance(o, Flip)]
        generator = torch.Generator().manual_seed(self.config.seed)
        return torch.rand(len(self.labels), generator=generator) < 0.5

    @cached_property
    def images(self) -> Images:
        return Images(self.pixels, self.config.device or "cpu")

    def planned(self, config: Config) -> "Classification":
        """The same task with other settings; the images are copied to a GPU once only."""
        task = Classification(self.survey, config, self.normal, self.train)
        if "images" in self.__dict__:
            task.images = self.images
        return task

    def network(self) -> Network:
        return new_network(self.survey, self.config)

    def prepare(self, network: nn.Module) -> None:
        """What is set from the data before the first step."""
        if self.config.model in WHITENED and "whiten" in self.parts and self.config.start_from is None:
            stem: Any = network.stem
            whiten(stem, self.normal(self.pixels[self._some_rows()], stem.weight.device))

    def _some_rows(self, most: int = 2000, positions: int = 2**21) -> NDArray[np.int64]:
        """Evenly spaced rows, at most so many, with at most about so many positions in all."""
        number = min(most, max(1, positions // int(np.prod(self.survey.preprocessing.shape[:-1]))))
        return self.train[:: max(1, len(self.train) // number)]

    def sample_indices(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """What an epoch draws from: every row once."""
        return rows

    def side(self, fraction: float) -> int:
        """Samples along each axis at this stage; what has a scale keeps it."""
        size = self.survey.preprocessing.size
        return side(fraction, size, self.growth) if self.survey.preprocessing.spacing is None else size

    def cost(self) -> float:
        """Time per image over a whole run, as a share of a full-size image's."""
        preprocessing = self.survey.preprocessing
        return (
            mean_cost(preprocessing.size, self.growth, preprocessing.dim)
            if preprocessing.spacing is None
            else 1.0
        )

    def views(self) -> int:
        """Forward passes that an answer takes."""
        return len(views("mirror" in self.parts, "moved" in self.parts))

    def answering(self) -> str:
        """The precision of answers, where the plan's is usual."""
        return self.config.precision or ""

    def scoring(self, rows: NDArray[np.int64]) -> float:
        """Seconds to compare answers with the truth: hardly any."""
        return 0.0

    def batch(self, rows: NDArray[np.int64], side: int, generator: torch.Generator) -> tuple[Tensor, Any]:
        """(B, C, side, ...) changed at random, and their labels (B,)"""
        device = self.config.device or "cpu"
        x = self.normal(self.images[rows], device)
        if self.mirrored is not None:
            mirrored = self.mirrored[rows]
            x, self.mirrored[rows] = Flip().apply(x, mirrored), ~mirrored
        x = augment(x, self.operations, generator)
        return resized(x, side), sent(self.labels[rows], device)

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        smoothing = SMOOTHING if "smooth" in self.parts else 0.0
        return F.cross_entropy(logits.float(), y, self.loss_weights, label_smoothing=smoothing)

    @torch.inference_mode()
    def validate(self, network: nn.Module, rows: NDArray[np.int64], side: int) -> tuple[float, float]:
        """Loss and accuracy on some held-out rows, at the training's present size and in its precision."""
        device, logits = self.config.device or "cpu", []
        for part in np.array_split(rows, max(1, len(rows) // 256)):
            x = resized(self.normal(self.images[part], device), side)
            with arithmetic(device, self.config.precision):
                logits.append(network(x).float().cpu())
        z, y = torch.cat(logits), self.labels[rows]
        return F.cross_entropy(z, y).item(), (z.argmax(1) == y).float().mean().item()


def new_network(survey: Survey, config: Config) -> Network:
    """The planned network, its weights drawn from the seed or those to start from."""
    torch.manual_seed(config.seed)
    assert config.model
    classes, preprocessing = len(survey.classes), survey.preprocessing
    network = create(
        config.model,
        classes=classes,
        channels=preprocessing.channels,
        dim=preprocessing.dim,
        weights=config.start_from,
    )
    if network.of_positions != survey.source.has_masks:
        wants = "classes" if network.of_positions else "masks"
        raise UserError(
            f"{config.model} is for {'masks' if wants == 'classes' else 'classes'}, and {survey.source.name} has {wants}: choose another --model"
        )
    return network.to(memory_format=MEMORY[preprocessing.dim])  # type: ignore[call-overload]


def choose(survey: Survey, config: Config, settle: Settle, train: NDArray[np.int64]) -> Config:
    """The network, the changes and the batch, each as typed or with its reason."""
    preprocessing = survey.preprocessing
    for name in ("loss", "void"):
        if getattr(config, name) is not None:
            raise UserError(
                f"{name} is for images with masks, and {survey.source.name} has classes: leave it out"
            )
    model = settle("model", *usual_model(preprocessing.size, None if config.model else config.start_from))
    photo = preprocessing.channels == 3 and preprocessing.dim == 2
    augment = settle(
        "augment",
        "flip|shift(0.06)" if photo else "shift(0.06)",
        "colour photographs look right when mirrored"
        if photo
        else f"a mirrored {survey.word} may mean something else",
    )
    parse(augment)  # a mistake in it is said before anything is timed
    usual = min(512 if model in WHITENED else 64, max(16, VALUES // preprocessing.size**preprocessing.dim))
    fitting = int(2 ** np.floor(np.log2(max(len(train) / 10, 1))))
    why = f"at least 10 steps per epoch, at most {usual} {survey.word}s for {model}"
    batch = min(settle("batch", max(16, min(usual, fitting)), why), len(train))
    return replace(
        config, model=model, size=preprocessing.size, fit=preprocessing.fit, augment=augment, batch=batch
    )


def usual_recipe(config: Config, passes: float, view: float = 0.0) -> tuple[str, str]:
    """The parts of training for so many passes over full-size images; and why.

    view   the share of the time in which one view of all images that are answered is answered
    """
    growth = usual_growth(passes)
    new = (
        config.start_from is None
    )  # weights that know something keep their first layer, and tuning has its own rates
    parts = ["whiten"] * (new and config.model in WHITENED) + ["muon"] * (not config.fine_tune)
    parts += [growth] * bool(growth) + ["average", "smooth"]
    kinds = {type(operation) for operation in parse(config.augment or "")}
    mirrored = Flip in kinds
    parts += ["alternate"] * mirrored + ["mirror"] * mirrored
    # Three times the answers are little of a long run's time; of a short one's, training is the better use.
    more = len(views(mirrored, True)) - len(views(mirrored, False))
    worth = growth != "grow_short" and more * view <= MOVED
    parts += ["moved"] * (Shift in kinds and worth and config.model in WHITENED)
    why = f"{growth or 'full size'}, as about {passes:.1f} passes over full-size images would fit"
    return "|".join(parts), why


def usual_model(size: int, start_from: str | None) -> tuple[str, str]:
    """The preset for images of this size, or of the weights to start from; and why."""
    if start_from is None:
        if size < TINY:
            return "tiny", f"under {TINY} samples along an axis"
        kind = "small" if size <= SMALL else "resnet18"
        return kind, f"{'up to' if kind == 'small' else 'over'} {SMALL} samples along an axis"
    if start_from == IMAGENET:
        return "resnet18", "the smallest with published weights"
    path = find(start_from, "")
    try:
        return read_card(path).preset, f"the network of {path}"
    except UserError as error:
        raise UserError(
            f"{path} does not tell which network its weights are of: name it with --model"
        ) from error


def class_weights(labels: NDArray[np.int64], classes: int) -> tuple[tuple[float, ...] | None, str]:
    """Weights 1 / sqrt(count), of mean 1 over the images, where classes differ much in size."""
    counts = np.bincount(labels, minlength=classes)
    ratio = counts.max() / max(1, counts.min())
    if ratio < IMBALANCE:
        return None, f"none: the largest class has {ratio:.1f} times the images of the smallest"
    weights = 1 / np.sqrt(np.maximum(counts, 1))
    weights = weights * counts.sum() / (weights * counts).sum()
    return tuple(
        weights.tolist()
    ), f"1 / sqrt(images): the largest class has {ratio:.1f} times the images of the smallest"
