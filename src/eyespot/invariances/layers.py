"""How far the features of a changed image are from the unchanged one's, layer by layer (Zeiler and Fergus 2014, figure 5).

Features are the means over the positions of each channel, which motion leaves as they are where a layer moves with the image.
Distances are divided by the usual one between two images, so that layers have one axis: 1 is as far as another image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eyespot.anatomy.taps import taps
from eyespot.console import format_table, track
from eyespot.data.header import Array
from eyespot.explanation.places import Place
from eyespot.explanation.top import Reader, at_least, layers_to_show, stages_of
from eyespot.invariances.assess import Assessed
from eyespot.invariances.bands import units_of
from eyespot.invariances.images import Images
from eyespot.invariances.original import prepare, read_original
from eyespot.metrics.intervals import Score, mean
from eyespot.plurals import count

MOST = {False: 200, True: 20}
"""Images whose features are compared: of classes, and of masks, which are larger."""
FEWEST = 10
JUMP = 0.1
"""The rise of the distance from one layer to the next that counts, as a share of that of two images."""
BATCH = 64
NO_NETWORK = "note: curves per layer need the network itself, which an exported file does not show: name the run for them"
Features = list[NDArray[np.float32]]
"""By layer, (N, channels)"""


@dataclass(frozen=True)
class LayerCurve:
    """One change. errors by layer and severity; `at` the position of the severity at which layers are compared; `jump` the first
    layer at which the error is more than JUMP above that of the layer before, with 95%, or None"""

    change: Any
    errors: list[list[Score]]
    at: int
    jump: str | None

    @property
    def text(self) -> str:
        return self.change.text(self.change.severities[self.at])


@dataclass(frozen=True)
class Layers:
    """names of the layers, of which the first is the input and the last the output; n images"""

    names: list[str]
    curves: list[LayerCurve]
    n: int

    def table(self) -> str:
        """A line for each change, at the severity that decides."""
        rows = [
            [c.change.name, c.text or "-", *(f"{e[c.at]['value']:.2f}" for e in c.errors), c.jump or "-"]
            for c in self.curves
        ]
        return format_table(["change", "at", *self.names, "first jump"], rows)

    def lines(self) -> list[str]:
        text = (
            f"distance of features from the unchanged image's, by layer, {count(self.n, 'image')} (1: as far as another image); "
            f"a jump is a rise by more than {JUMP:g} from the layer before, with 95%"
        )
        return ["", text, "", self.table().rstrip()]

    def as_dict(self) -> dict[str, Any]:
        curves = [
            {
                "transform": c.change.name,
                "severities": list(c.change.severities),
                "errors": c.errors,
                "jump": c.jump,
            }
            for c in self.curves
        ]
        return {"names": self.names, "n": self.n, "curves": curves}


def layers_of(images: Images, changes: Sequence[Assessed]) -> Layers | None:
    """Of a network in PyTorch; None for too few images. Raises nothing for images of several sizes: each is its own batch."""
    predictor = images.predictor
    n = min(MOST[predictor.output.of_positions], len(images.paths))
    if n < FEWEST:
        return None
    shown = stages_of(layers_to_show(predictor, 1))
    measure = Measure(images, shown, n)
    base = measure.features(None, 0)
    others = np.roll(np.arange(n), 1)
    scales = [float(np.linalg.norm(f - f[others], axis=1).mean()) or 1.0 for f in base]
    units = units_of(n, images.groups[:n] if images.groups else None)
    curves = []
    for a in track(changes, len(changes), "comparing layers, changes"):
        change = a.measured.change
        distances = np.empty((len(base), len(change.severities), units.n))
        for s, severity in enumerate(change.severities):
            changed = measure.features(change, severity)
            for k, (f, g, scale) in enumerate(zip(base, changed, scales, strict=True)):
                shares = np.linalg.norm(g - f, axis=1)[None] / scale
                distances[k, s] = units.sums(shares)[0] / units.sums(np.ones((1, n)))[0]
        errors = [[_above_0(mean(values)) for values in layer] for layer in distances]
        curves.append(LayerCurve(change, errors, a.at, first_jump(measure.names, distances[:, a.at])))
    return Layers(measure.names, curves, n)


def _above_0(score: Score) -> Score:
    return score | {"low": max(0.0, score["low"])}


def first_jump(names: Sequence[str], distances: NDArray[np.float64]) -> str | None:
    """Of (layers, N) distances: the first layer at which they rise by more than JUMP, with 95% over all layers together."""
    from scipy.stats import t

    rises = np.diff(distances, axis=0)
    n = rises.shape[1]
    factor = float(t.isf(0.05 / len(rises), n - 1))
    lows = rises.mean(1) - factor * rises.std(1, ddof=1) / n**0.5
    jumps = np.flatnonzero(lows > JUMP)
    return names[int(jumps[0]) + 1] if len(jumps) else None


def last_of(network: torch.nn.Module, name: str) -> str:
    """The last layer of a sequence, which has the sequence's output; other layers have their own name."""
    module = network.get_submodule(name)
    return f"{name}.{len(module) - 1}" if isinstance(module, torch.nn.Sequential) else name


class Measure:
    """Features of the first n images, changed or not."""

    def __init__(self, images: Images, shown: Sequence[Place], n: int):
        self.predictor = images.predictor
        self.reader = Reader(images.predictor)
        self.names = ["input", *(last_of(self.predictor.network, place.name) for place in shown), "output"]
        self.tapped = [place.name for place in shown]
        preprocessing = self.predictor.preprocessing
        self.originals = [read_original(images.paths[i], i, preprocessing) for i in range(n)]

    @torch.inference_mode()
    def features(self, change: Any, severity: float) -> Features:
        """Of all images, by layer. change   None for the unchanged ones"""
        batch = 1 if self.reader.own_size else BATCH
        chunks: list[Features] = []
        for start in range(0, len(self.originals), batch):
            originals = self.originals[start : start + batch]
            arrays = change.apply(originals, severity) if change else [o.array for o in originals]
            inputs = [
                prepare(o, array, self.predictor.preprocessing)
                for o, array in zip(originals, arrays, strict=True)
            ]
            chunks.append(self._of(inputs))
        return [np.concatenate(layer) for layer in zip(*chunks, strict=True)]

    def _of(self, inputs: Sequence[Array]) -> Features:
        network = self.predictor.network
        x = torch.cat([self.reader.network_input(self.reader.cut(array)) for array in inputs])
        x = at_least(x, network.smallest)
        with taps(network, self.tapped) as record:
            output = network(x)
        maps = [x, *(record[name] for name in self.tapped), output]
        return [(m.flatten(2).mean(2) if m.dim() > 2 else m).float().cpu().numpy() for m in maps]
