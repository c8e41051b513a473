"""Small networks that are trained for a few epochs on some rows, and what they make of others."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eyespot.config import NO_WEIGHTS, Config
from eyespot.data.header import Array
from eyespot.data.surveys.survey import Survey
from eyespot.models import create
from eyespot.recipe import MUON, WHITEN
from eyespot.tasks.batches import Normal, resized
from eyespot.tasks.classification import Classification
from eyespot.tasks.order import Order
from eyespot.training.optimise import new_optimisers, set_rates, usual_lr, usual_weight_decay

MODEL = "small_w16"
SMALLER = "tiny"
"""For images that are too small for the other one."""
SIDE = 24
"""Images are trained on at this size at most; signals at their own."""
BATCH = 64
EPOCHS = 8
LEAST_STEPS = 100
MOST_STEPS = 200
CHUNK = 256
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Network:
    """A trained network: its classes and its features."""

    network: nn.Module
    normal: Normal
    side: int

    @torch.inference_mode()
    def features(self, images: Array) -> NDArray[np.float32]:
        """(N, *S, C) as they are stored -> (N, F) what its last layer gets"""
        kept: list[Tensor] = []
        last: nn.Module = self.network.fc  # type: ignore[assignment]
        hook = last.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
        self.network.eval()
        for start in range(0, len(images), CHUNK):
            self.network(resized(self.normal(images[start : start + CHUNK]), self.side))
        hook.remove()
        return torch.cat(kept).numpy()

    @torch.inference_mode()
    def classes(self, images: Array) -> Rows:
        """(N, *S, C) as they are stored -> (N,)"""
        self.network.eval()
        chunks = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
        logits = [self.network(resized(self.normal(chunk), self.side)) for chunk in chunks]
        return torch.cat(logits).argmax(1).numpy()


def quick_config(survey: Survey, settings: Config) -> Config:
    """The settings of a quick network."""
    read = survey.preprocessing
    model = MODEL if read.size >= create(MODEL, channels=read.channels, dim=read.dim).smallest else SMALLER
    return replace(
        settings,
        model=model,
        size=read.size,
        fit=read.fit,
        dim=read.dim,
        view=read.view,
        recipe=f"{WHITEN}|{MUON}",
        augment="none",
        batch=BATCH,
        precision="float32",
        threads=1,
        device="cpu",
        start_from=NO_WEIGHTS,
        fine_tune=False,
        minutes=None,
        epochs=None,
        lr=None,
        weight_decay=None,
    )


def steps_for(n: int) -> int:
    """Steps on n rows."""
    return int(np.clip(EPOCHS * n // BATCH, LEAST_STEPS, MOST_STEPS))


def train_quick(
    survey: Survey,
    config: Config,
    rows: Rows,
    normal: Normal,
    augment: str,
    seed: int,
    alter: Callable[[Tensor, int], Tensor] | None = None,
) -> Network:
    """A network trained on these rows.

    augment   the pipeline, and `alter` what is done to each batch of normalised images besides, by its number
    seed      of the weights and the order, the same for all pipelines that are compared
    """
    config = replace(config, augment=augment, seed=seed, batch=min(BATCH, len(rows)))
    task = Classification(survey, config, normal, rows)
    config = replace(config, lr=usual_lr(task)[0], weight_decay=usual_weight_decay(task)[0])
    task = task.planned(config)
    network = task.network().train()
    task.prepare(network)
    side = min(SIDE, survey.preprocessing.size) if survey.preprocessing.dim > 1 else survey.preprocessing.size
    optimisers = new_optimisers(network, task)
    order = Order(rows, config.batch or 1, seed)
    total = steps_for(len(rows))
    for step in range(total):
        set_rates(optimisers, step / total)
        x, y = task.batch(order.at(step * order.batch), side)
        loss = task.loss(network(x if alter is None else alter(x, step)), y)
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
    return Network(network, normal, side)
