"""Images for quantising a network: those from which the ranges of its layers are measured, and those on which the loss is."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from eyespot.config import Config
from eyespot.data.header import Array
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.data.sources.find import find_samples
from eyespot.data.sources.samples import Source
from eyespot.errors import UserError
from eyespot.evaluation.run_split import in_splits, of_split
from eyespot.onnx_file.network_graph import grid
from eyespot.parallel import in_order
from eyespot.plurals import count
from eyespot.prediction.inputs import Remarks, read_input
from eyespot.prediction.model_file import model_file
from eyespot.prediction.predictor import Predictor
from eyespot.prediction.torch_engine import TorchEngine
from eyespot.tasks.registry import task_of_card

MOST = 300
"""Images from which the ranges are measured."""
LEAST = 2


@dataclass(frozen=True)
class Calibration:
    """Samples from which the ranges of the layers are measured, and the images on which the loss is; where they are of."""

    samples: tuple[Any, ...]
    validation: Source
    of: str


def calibration(run: Any, predictor: Predictor, data: str | None) -> Calibration:
    """Of a run's own training and validation images, or of a data set. Raises UserError where they are not there."""
    if data is not None:
        return _of_data(predictor, data)
    folder = model_file(run).parent
    remedy = "name a data set with its classes: --calibration DATA"
    try:
        train = of_split(folder, "train")
        validation = of_split(folder, "val")
    except UserError as error:
        raise UserError(f"int8 needs the images that {run} was trained on ({error}); {remedy}") from error
    missing = [s.path for source in (train, validation) for s in source.samples if not s.path.exists()]
    if missing:
        raise UserError(
            f"int8 needs the images that {run} was trained on, and {missing[0]} is not there any more; {remedy}"
        )
    return Calibration(_chosen(train.samples, MOST), validation, "its training images")


def _of_data(predictor: Predictor, data: str) -> Calibration:
    """By the splits of a data set; without any, by lot: the images that measure the loss are others."""
    reading = task_of_card(predictor.card).evaluator().reading(predictor)
    source = find_samples(data, Config(task=predictor.card.task, **reading))
    if "train" in source.splits and len(source.splits) > 1:
        train = in_splits(source, "train")
        validation = in_splits(source, "val", "test")
        return Calibration(_chosen(train.samples, MOST), validation, data)
    if len(source.samples) < 2 * LEAST:
        raise UserError(
            f"{data} has {count(len(source.samples), 'image')}, and int8 needs at least {2 * LEAST} to be measured"
        )
    order = np.random.default_rng(0).permutation(len(source.samples))
    n = min(MOST, len(order) // 2)
    samples = tuple(source.samples[i] for i in order[:n])
    return Calibration(samples, source.only(sorted(order[n:].tolist())), data)


def _chosen(samples: Sequence[Any], most: int) -> tuple[Any, ...]:
    order = np.random.default_rng(0).permutation(len(samples))[:most]
    return tuple(samples[i] for i in sorted(order.tolist()))


def network_inputs(engine: TorchEngine, samples: Sequence[Any]) -> list[Array]:
    """(1, C, *S) what the network gets of each sample that can be read; the views of test-time augmentation take turns."""
    read = partial(
        read_input, preprocessing=Preprocessing.from_dict(engine.card.preprocessing), remarks=Remarks()
    )
    rng = np.random.default_rng(0)
    inputs = []
    with torch.inference_mode():
        for k, (_, array) in enumerate(in_order(read, [sample.path for sample in samples])):
            if not isinstance(array, str):
                inputs.append(_input(engine, array, k, rng).numpy())
    if len(inputs) < LEAST:
        raise UserError(
            f"int8 is measured on at least {LEAST} images, and only {len(inputs)} can be read: name others with --calibration DATA"
        )
    return inputs


def _input(engine: TorchEngine, array: Array, k: int, rng: np.random.Generator) -> torch.Tensor:
    whole = engine.normal(array[None], "cpu")
    if not engine.of_positions:
        return engine.view(whole, *engine.views[k % len(engine.views)]).contiguous()
    return _window(engine, whole, rng)


def _window(engine: TorchEngine, whole: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A window of the size of training, as large as the network needs it."""
    step = grid(engine.network)
    side = -(-max(engine.side, int(engine.network.smallest)) // step) * step
    for axis in range(2, whole.ndim):
        spare = whole.shape[axis] - side
        if spare > 0:
            whole = whole.narrow(axis, int(rng.integers(spare + 1)), side)
    short = [n for axis in reversed(range(2, whole.ndim)) for n in (0, -whole.shape[axis] % step)]
    filled = F.pad(whole, short)
    small = [
        n
        for axis in reversed(range(2, whole.ndim))
        for n in (0, max(0, _least(engine, step) - filled.shape[axis]))
    ]
    return F.pad(filled, small).contiguous()


def _least(engine: TorchEngine, step: int) -> int:
    return -(-int(engine.network.smallest) // step) * step
