"""What the training loop asks of a task: a protocol."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor, nn

from eyespot.config import Config
from eyespot.tasks.batches import Normal
from eyespot.tasks.order import Draw

Rows = NDArray[np.int64]


class TrainingTask(Protocol):
    """What is learned. Rows are positions in the survey's store."""

    score: str
    """The metric that validation gives, as it is called in the table."""
    counts_images: bool
    """Whether that is a share of images, which differs by chance as such shares do."""
    muon: float
    """The peak learning rate of Muon."""
    most_epochs: int
    least_batch: int
    survey: Any
    unit: str
    """What is trained on, in the plural: images, signals, volumes, or crops of them."""
    config: Config
    normal: Normal
    class_weights_reason: str

    def __init__(self, survey: Any, config: Config, normal: Normal, train: Rows): ...

    @staticmethod
    def choose(survey: Any, config: Config, settle: Callable[[str, Any, str], Any], train: Rows) -> Config:
        """Network, size, augmentation, batch and loss, each as the user asked or with its reason."""
        ...

    @staticmethod
    def usual_recipe(config: Config, epochs: float, view: float = 0.0) -> tuple[str, str]:
        """The parts of training for so many epochs at full size, and the reason."""
        ...

    @staticmethod
    def usual_augment(survey: Any, train: Rows) -> tuple[str, str]:
        """The transforms that keep the labels of these data, as far as is known, and the reason."""
        ...

    def planned(self, config: Config) -> "TrainingTask":
        """The same task with other settings; what was read from the data is kept."""
        ...

    def network(self) -> Any:
        """A new network, its weights drawn from the seed or those to start from."""
        ...

    def prepare(self, network: nn.Module) -> None:
        """Set from the data what is set before the first step."""
        ...

    def sample_indices(self, rows: Rows) -> Rows:
        """The rows of an epoch: each once, or as often as crops fit into it."""
        ...

    def side(self, fraction: float) -> int:
        """Samples along each axis at this fraction of the run."""
        ...

    def cost(self) -> float:
        """Time per sample over a whole run, as a share of a full-size sample's."""
        ...

    def views(self) -> int:
        """Forward passes that a prediction takes."""
        ...

    def prediction_precision(self) -> str:
        """The precision of predictions; empty for that of training."""
        ...

    def scoring(self, rows: Rows) -> float:
        """Seconds to compute the metrics of these rows."""
        ...

    def card_facts(self) -> dict[str, Any]:
        """What predictions have to know, for the model file."""
        ...

    def picture(self, rows: Rows) -> Image:
        """A sheet of training samples as the network sees them."""
        ...

    def batch(self, draw: Draw, side: int) -> tuple[Tensor, Any]:
        """Augmented samples (B, C, side, ...) and their targets, the same for the same draw."""
        ...

    def loss(self, logits: Tensor, y: Any) -> Tensor:
        """The mean loss of a batch."""
        ...

    def validate(self, network: nn.Module, rows: Rows, side: int) -> tuple[float, float]:
        """Loss and metric on validation rows."""
        ...
