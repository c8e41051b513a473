"""The network that a plan names, new or with the weights to start from."""

import torch

from eyespot.config import Config
from eyespot.data.surveys.survey import Survey
from eyespot.errors import UserError
from eyespot.kit import MEMORY
from eyespot.models import create
from eyespot.models.network import Network


def new_network(survey: Survey, config: Config) -> Network:
    """The planned network, its weights drawn from the seed or those to start from."""
    torch.manual_seed(config.seed)
    assert config.model
    classes = len(survey.classes)
    preprocessing = survey.preprocessing
    network = create(
        config.model,
        classes=classes,
        channels=preprocessing.channels,
        dim=preprocessing.dim,
        weights=config.weights,
    )
    if network.of_positions != survey.source.has_masks:
        wants = "classes" if network.of_positions else "masks"
        raise UserError(
            f"{config.model} is for {'masks' if wants == 'classes' else 'classes'}, and {survey.source.name} has {wants}: choose another --model"
        )
    return network.to(memory_format=MEMORY[preprocessing.dim])  # type: ignore[call-overload]
