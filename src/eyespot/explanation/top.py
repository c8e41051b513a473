"""Which images excite each channel of each stage most: one pass over a run's images, nine places per channel."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyespot.anatomy.taps import taps
from eyespot.console import track
from eyespot.data.header import Array
from eyespot.evaluation.run_split import split_rows
from eyespot.explanation.places import Place, places
from eyespot.parallel import batched, in_order
from eyespot.plurals import count
from eyespot.prediction.inputs import Remarks, read_input
from eyespot.prediction.predictor import Predictor

MOST = 2000
"""Images that are looked at, evenly spread over the split."""
VALUES = 2**27
"""Values of all images together, which bounds the time where they are large."""
LONGEST = 256
"""Samples of an axis that are looked at of images that keep their size, from the middle."""
NINE = 9
STAGES = 8
SHOWN_NAMES = 4
"""Of the stages that are left out."""


@dataclass(frozen=True)
class Top:
    """A place that excites a channel: the image, the unit of the grid and its activation."""

    path: str
    unit: tuple[int, ...]
    value: float


@dataclass
class Stage:
    """A layer at the end of a stage.

    top           by channel, the places that excite it most, one per image
    selectivity   by channel, how far its nine exceed the usual maximum of an image, in standard deviations
    images        that were looked at
    """

    place: Place
    top: list[list[Top]]
    selectivity: NDArray[np.float64]
    images: int


class Reader:
    """Images of a run as its network gets them, (*S, C); kept to be read again where they are small.

    labels   of the paths, where they have one
    """

    def __init__(self, predictor: Predictor, labels: dict[str, str] | None = None):
        self.labels = labels or {}
        self.predictor = predictor
        self.own_size: bool = predictor.output.of_positions
        self.remarks = Remarks()

    def __call__(self, path: str) -> Array | None:
        """None for an image that cannot be read."""
        _, array = read_input(Path(path), self.predictor.preprocessing, self.remarks)
        return None if isinstance(array, str) else self.cut(array)

    def cut(self, array: Array) -> Array:
        if not self.own_size:
            return array
        starts = [max(0, (n - LONGEST) // 2) for n in array.shape[:-1]]
        return array[tuple(slice(s, s + LONGEST) for s in starts)]

    def network_input(self, array: Array) -> Tensor:
        """(1, C, *S) of the view that is neither mirrored nor moved"""
        engine = self.predictor.engine
        x = engine.normalised(array[None])
        return x if self.own_size else engine.view(x, False, 0)


def run_paths(run: Path, most: int) -> list[str]:
    """Images of the split of a run, evenly spread. Raises UserError where the run has no split."""
    paths = [row["path"] for row in split_rows(run)]
    return paths[:: max(1, -(-len(paths) // most))]


def labels_of(run: Path) -> dict[str, str]:
    """The class of each path of a run's split; none for masks."""
    return {row["path"]: row["label"] for row in split_rows(run) if "label" in row}


def stages_of(of_network: Sequence[Place], most: int = STAGES) -> list[Place]:
    """The last layer of each stage: of each run of layers on one grid, after an activation where there is one; at most so many."""
    runs: list[list[Place]] = []
    for place in of_network:
        if not runs or runs[-1][-1].grid != place.grid:
            runs.append([])
        runs[-1].append(place)
    ends = [([p for p in run if p.active] or run)[-1] for run in runs if any(p.active for p in run)]
    chosen = ends or [run[-1] for run in runs]
    if len(chosen) > most:
        chosen = [chosen[k] for k in np.linspace(0, len(chosen) - 1, most).round().astype(int)]
    return chosen


class Tops:
    """The largest activations so far of each channel, one per image."""

    def __init__(self, place: Place):
        self.place = place
        self.best: NDArray[np.float32] = np.full((NINE, place.channels), -np.inf, np.float32)
        self.units: NDArray[np.int64] = np.zeros((NINE, place.channels, len(place.grid)), np.int64)
        self.rows: NDArray[np.int64] = np.full((NINE, place.channels), -1)
        self.maxima: list[NDArray[np.float32]] = []

    def add(self, output: Tensor, rows: Sequence[int]) -> None:
        """(B, channels, *S') activations of images"""
        flat = output.detach().flatten(2)
        values, at = flat.max(2)
        grid = tuple(output.shape[2:])
        units = np.stack(np.unravel_index(at.cpu().numpy(), grid), -1)
        new = values.float().cpu().numpy()
        self.maxima.append(new)
        numbers = np.repeat(np.asarray(rows)[:, None], new.shape[1], 1)
        best = np.concatenate([self.best, new])
        order = np.argsort(-best, 0, kind="stable")[:NINE]
        self.best = np.take_along_axis(best, order, 0)
        self.rows = np.take_along_axis(np.concatenate([self.rows, numbers]), order, 0)
        self.units = np.take_along_axis(np.concatenate([self.units, units]), order[..., None], 0)

    def stage(self, paths: Sequence[str]) -> Stage:
        maxima = np.concatenate(self.maxima)
        spread = maxima.std(0) + 1e-9
        top = [
            [
                Top(str(paths[row]), tuple(int(i) for i in unit), float(value))
                for row, unit, value in zip(self.rows[:, c], self.units[:, c], self.best[:, c], strict=True)
                if row >= 0
            ]
            for c in range(self.place.channels)
        ]
        shown = np.where(np.isfinite(self.best), self.best, np.nan)
        selectivity = (np.nanmean(shown, 0) - maxima.mean(0)) / spread
        dead = maxima.std(0) < 1e-6
        return Stage(self.place, top, np.where(dead, -np.inf, selectivity), len(maxima))


@torch.no_grad()
def collect(predictor: Predictor, of_network: Sequence[Place], paths: Sequence[str]) -> list[Stage]:
    """The top nine of every channel of these layers, in one pass over the images."""
    reader = Reader(predictor)
    tops = {place.name: Tops(place) for place in of_network}
    network = predictor.network
    batch = 1 if reader.own_size else 64
    steps = -(-len(paths) // batch)
    read = in_order(reader, paths)
    for group in track(batched(enumerate(read), batch), steps, "looking at the run's images, batches"):
        usable = [(row, array) for row, array in group if array is not None]
        if not usable:
            continue
        x = torch.cat([reader.network_input(array) for _, array in usable])
        x = at_least(x, network.smallest)
        with taps(network, tops) as record:
            network(x)
            for name, top in tops.items():
                top.add(record[name], [row for row, _ in usable])
    return [top.stage(paths) for top in tops.values() if top.maxima]


def at_least(x: Tensor, smallest: int) -> Tensor:
    """Filled up to the shortest axis that a network takes."""
    short = [max(0, smallest - n) for n in x.shape[2:]]
    return torch.nn.functional.pad(x, [n for m in reversed(short) for n in (0, m)]) if any(short) else x


def layers_to_show(predictor: Predictor, fewest: int = 2) -> list[Place]:
    """The layers of the network for an image of the size of training, with so many places along the longest axis at least."""
    network: Any = predictor.network
    dim = predictor.preprocessing.dim
    side = max(predictor.card.preprocessing["side"], network.smallest)
    return places(network, (network.channels, *[side] * dim), fewest)


def left_out(predictor: Predictor, of_network: Sequence[Place], shown: Sequence[Place]) -> str:
    """Which stages have no card, and why, in a sentence; empty where all have one.

    of_network   the layers with places
    """
    known = {place.name for place in of_network}
    single = [p.name for p in layers_to_show(predictor, 1) if p.name not in known and p.active]
    outer = [
        _last_within(predictor.network, name, shown)
        for name in single
        if not any(name.startswith(f"{other}.") for other in single)
    ]
    why = []
    if outer:
        grid = " x ".join("1" * predictor.preprocessing.dim)
        why.append(
            f"{_listed(outer)} {'has' if len(outer) == 1 else 'have'} a grid of {grid}, and so no places to show"
        )
    stages = stages_of(of_network, len(of_network))
    between = [place.name for place in stages if place not in shown]
    if between:
        why.append(f"{_listed(between)}, since a page shows {STAGES} stages; --layer shows one of them")
    return f"left out: {'; and '.join(why)}" if why else ""


def _last_within(network: torch.nn.Module, name: str, shown: Sequence[Place]) -> str:
    """The last stage of a sequence whose other stages are shown: that has the sequence's output."""
    module = network.get_submodule(name)
    if isinstance(module, torch.nn.Sequential) and any(p.name.startswith(f"{name}.") for p in shown):
        return f"{name}.{list(module._modules)[-1]}"
    return name


def _listed(names: Sequence[str]) -> str:
    """The first names, and how many others there are."""
    others = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {count(others, 'other')}" if others > 0 else "")


def chosen_channels(stage: Stage, most: int) -> list[int]:
    """The channels that are most selective, the first of them first; none that never changes."""
    order: Iterable[int] = np.argsort(-stage.selectivity, kind="stable").tolist()
    return [c for c in order if np.isfinite(stage.selectivity[c])][:most]
