"""All that a training run carries from step to step, saved and loaded as one document without pickle."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eyespot.errors import UserError
from eyespot.training.optimise import EMA

FORMAT = 2
FINISHED = "the schedule is complete"


@dataclass
class Row:
    """One validation, a line of history.csv."""

    epoch: float
    seconds: float
    fraction: float
    size: int
    rate: float
    train_loss: float
    loss: float
    score: float
    images_per_second: float


@dataclass(frozen=True)
class Mark:
    """The last validation: when it was (seconds of the run, fraction, samples drawn) and the seconds that it took."""

    seconds: float
    fraction: float = 0.0
    seen: int = 0
    cost: float = 0.0


@dataclass
class Progress:
    """The numbers of the state. All of them are plain, so that they are saved as JSON.

    start              second of the run at which training began
    seen, steps        samples drawn, optimiser steps taken
    side               samples along an axis of the last batch
    resized_at         the step at which the image size last changed; 0 for never
    best               the best validation metric
    least_loss         the smallest validation loss
    improved_at, improved_step  the fraction of the run and the step at which one of the two last became better
    kept_at, kept_side  the fraction at which the network that is kept was validated, and the image size there
    kept_score          its validation metric
    stalled_at         the fraction at which nothing had improved for long, so that the run ends early; None before
    rate_factor        1, or a half after training was taken back because a loss or weight was not finite
    is_reviewed        whether the speed was compared with the planned one
    ended              why training ended; empty while it runs
    seconds            of the run, when this was saved
    """

    start: float
    side: int
    mark: Mark
    seen: int = 0
    steps: int = 0
    resized_at: int = 0
    best: float = -1.0
    least_loss: float = math.inf
    improved_at: float = 0.0
    improved_step: int = 0
    kept_at: float = 0.0
    kept_side: int = 0
    kept_score: float = -1.0
    stalled_at: float | None = None
    rate_factor: float = 1.0
    is_reviewed: bool = False
    ended: str = ""
    seconds: float = 0.0
    history: list[Row] = field(default_factory=list)
    validation_costs: list[float] = field(default_factory=list)


class TrainState:
    """Network, EMA, optimisers, random generators, position in the data, the best network so far, and the history."""

    def __init__(
        self, network: nn.Module, ema: EMA, optimisers: Sequence[torch.optim.Optimizer], progress: Progress
    ):
        self.network = network
        self.ema = ema
        self.optimisers = optimisers
        self.progress = progress
        self.losses: list[Tensor] = []
        self.best: dict[str, Tensor] = {}

    def keep(self) -> None:
        """Remember the EMA network as the one to keep so far."""
        self.best = {name: value.cpu().clone() for name, value in self.ema.network.state_dict().items()}

    def is_finite(self) -> bool:
        """Whether every weight, of the network and of its EMA, is a finite number."""
        tensors = [*self.network.state_dict().values(), *self.ema.network.state_dict().values()]
        return all(bool(value.isfinite().all()) for value in tensors if value.is_floating_point())

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by name, copied to the processor's memory."""
        groups = {
            "network": self.network.state_dict(),
            "ema": self.ema.network.state_dict(),
            "best": self.best,
            "optimiser": dict(self._optimiser_tensors()),
            "generator": _generators(self.network),
            "losses": {"losses": torch.stack(self.losses)} if self.losses else {},
        }
        tensors = {}
        places = set()
        for group, named in groups.items():
            for name, value in named.items():
                copied = value.detach().cpu().contiguous()
                # Weights that two layers share have one place in memory, which the format refuses.
                tensors[f"{group}.{name}"] = copied.clone() if copied.data_ptr() in places else copied
                places.add(copied.data_ptr())
        return tensors

    def _optimiser_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The name and the tensor of all that the optimisers remember"""
        names = {id(p): name for name, p in self.network.named_parameters()}
        for number, optimiser in enumerate(self.optimisers):
            for parameter, memory in optimiser.state.items():
                for key, value in memory.items():
                    yield f"{number}.{names[id(parameter)]}.{key}", value

    def document(self, seconds: float) -> bytes:
        """The whole state as one safetensors document with the numbers as JSON in its metadata."""
        from safetensors.torch import save

        self.progress.seconds = seconds
        numbers = {"format": FORMAT, "progress": asdict(self.progress), "ema_steps": self.ema.steps}
        return save(self.tensors(), {"eyespot": json.dumps(numbers)})

    def load(self, path: Path) -> None:
        """Continue from a saved state. Raises UserError for a file that is damaged or of another network."""
        numbers, tensors = read_state(path)
        fields = present_fields(numbers["progress"])
        fields["mark"] = Mark(**fields["mark"])
        fields["history"] = [Row(**row) for row in fields["history"]]
        self.progress = Progress(**fields)
        self.ema.steps = numbers["ema_steps"]
        groups: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            group, _, rest = name.partition(".")
            groups.setdefault(group, {})[rest] = value
        try:
            self.network.load_state_dict(groups["network"])
            self.ema.network.load_state_dict(groups["ema"])
            self._load_optimisers(groups.get("optimiser", {}))
        except (RuntimeError, KeyError, IndexError) as error:
            first = str(error).splitlines()[0]
            raise UserError(
                f"{path} does not fit the network of this run ({first}): train anew with --config"
            ) from error
        self.best = groups.get("best", {})
        self.losses = list(groups.get("losses", {}).get("losses", torch.empty(0)).to(_device(self.network)))
        _restore_generators(groups["generator"], self.network)

    def _load_optimisers(self, saved: dict[str, Tensor]) -> None:
        parameters = dict(self.network.named_parameters())
        for full, value in saved.items():
            number, _, rest = full.partition(".")
            name, _, key = rest.rpartition(".")
            parameter = parameters[name]
            optimiser = self.optimisers[int(number)]
            memory = optimiser.state[parameter]
            if key == "step":  # AdamW counts on the processor, but where a GPU's steps are recorded
                recorded = optimiser.param_groups[0].get("capturable")
                memory[key] = value.to(parameter.device if recorded else "cpu")
            elif value.shape == parameter.shape:
                # In the parameter's own memory layout, so that sums run in the same order as before.
                memory[key] = torch.zeros_like(parameter, requires_grad=False).copy_(value)
            else:
                memory[key] = value.to(parameter.device)


def read_state(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The numbers and the tensors of a checkpoint. Raises UserError where it is damaged or newer."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            numbers = json.loads((file.metadata() or {})["eyespot"])
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise UserError(
            f"the checkpoint {path} cannot be read ({error}): train anew with --config"
        ) from error
    if numbers.get("format") not in range(1, FORMAT + 1):
        raise UserError(
            f"the checkpoint {path} has the format {numbers.get('format')}, and this eyespot reads {FORMAT}: update eyespot"
        )
    return numbers, tensors


def present_fields(progress: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a checkpoint; those of format 1, which kept the last network with the best metric, completed."""
    if "best_at" not in progress:
        return progress
    fields = {name: value for name, value in progress.items() if name != "best_at"}
    kept = [row for row in fields["history"] if row["score"] == fields["best"]]
    fields |= {
        "improved_at": progress["best_at"],
        "improved_step": round(progress["best_at"] * fields["steps"]),
    }
    if kept:
        least = min(row["loss"] for row in fields["history"])
        fields |= {"kept_score": fields["best"], "least_loss": least}
    return fields


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _generators(network: nn.Module) -> dict[str, Tensor]:
    """The states of torch's global generators, which dropout draws from."""
    states = {"cpu": torch.get_rng_state()}
    if _device(network).type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(_device(network))
    return states


def _restore_generators(states: dict[str, Tensor], network: nn.Module) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and _device(network).type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], _device(network))
