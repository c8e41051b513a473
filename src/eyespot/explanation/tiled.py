"""The score of a network for masks on an image larger than memory: tile by tile, and equal to that of the whole.

The score is a weighted sum of the logits of all positions. A tile gives the sum over its own positions, computed with all
that they see around it (see `prediction.tiles`); its gradient lies there. Both add up to those of the whole image, and so does
whatever is computed from them. Tiles without a weight are not computed, so that a region costs what it sees and no more.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyespot.data.header import Array
from eyespot.errors import UserError
from eyespot.explanation import cam
from eyespot.explanation.places import Place
from eyespot.explanation.target import Target, predicted_positions
from eyespot.prediction.tiled_inference import predict_map
from eyespot.prediction.tiles import Plan, Slices, round_up, tiles

Logits = Callable[[Tensor], Tensor]
"""(B, C, *S) normalised images -> (B, classes, *S)"""


class TiledScore:
    """(B, C, *S) normalised images -> (B,), with gradients where they are asked for.

    tiles   the positions that a tile gives, and what they see; only those with a weight
    """

    def __init__(self, logits: Logits, target: Target, plan: Plan):
        self.logits = logits
        self.target = target
        self.plan = plan
        self.tiles = list(weighted_tiles(np.asarray(target.region), plan))
        self._first: Tensor | None = None
        self._values: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() and x.requires_grad):
            return self.values(x)
        if (
            len(self.tiles) == 1
        ):  # so that rules for ReLUs hold, which a function's own backward pass does not see
            return torch.cat([self.of_tile(image, *self.tiles[0]) for image in x.split(1)])
        return _Sum.apply(x, self)

    @torch.no_grad()
    def values(self, x: Tensor) -> Tensor:
        """Without gradients; a tile that is the same as in the first image is not computed again."""
        if self._first is None:
            self._first = x[:1].clone()
            self._values = [self.of_tile(x[:1], inner, outer) for inner, outer in self.tiles]
        return torch.cat([self._value(image) for image in x.split(1)])

    def _value(self, image: Tensor) -> Tensor:
        assert self._first is not None
        total = image.new_zeros(1)
        for (inner, outer), known in zip(self.tiles, self._values, strict=True):
            place = (slice(None), slice(None), *outer)
            same = torch.equal(image[place], self._first[place])
            total = total + (known if same else self.of_tile(image, inner, outer))
        return total

    def of_tile(self, x: Tensor, inner: Slices, outer: Slices) -> Tensor:
        """(1, C, *S) the whole image -> (1,) the share of one tile"""
        return self.of_crop(x[(slice(None), slice(None), *outer)], inner, outer)

    def of_crop(self, crop: Tensor, inner: Slices, outer: Slices) -> Tensor:
        """(1, C, *outer) -> (1,)"""
        within = (slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
        return self.target.within(inner).of(self.logits(crop)[(slice(None), slice(None), *within)])

    def gradient(self, x: Tensor) -> Tensor:
        """(1, C, *S) -> (1, C, *S) the sum of the tiles' gradients"""
        total = torch.zeros_like(x)
        for inner, outer in self.tiles:
            place = (slice(None), slice(None), *outer)
            crop = x[place].detach().requires_grad_()
            with torch.enable_grad():
                (slope,) = torch.autograd.grad(self.of_crop(crop, inner, outer).sum(), crop)
            total[place] += slope
        return total

    def activations_and_gradients(self, network: Any, place: Place, x: Tensor) -> tuple[Tensor, Tensor]:
        """A layer's output for the whole image, (channels, *grid), and the score's gradient there. See `cam`."""
        layer = _Layer(place, tuple(x.shape[2:]))
        activations = x.new_zeros((place.channels, *place.grid))
        gradients = torch.zeros_like(activations)
        for inner, outer in tiles(self.plan.shape, self.plan.tile, self.plan.halo):

            def score(crop: Tensor, inner: Slices = inner, outer: Slices = outer) -> Tensor:
                return self.of_crop(crop, inner, outer)

            crop = x[(slice(None), slice(None), *outer)]
            ((own, slope),) = cam.activations_and_gradients(score, crop, network, place.name)
            units, within, all_units = layer.units(inner, outer, tuple(own.shape[1:]))
            activations[(slice(None), *units)] = own[(slice(None), *within)]
            gradients[(slice(None), *all_units)] += slope
        return activations, gradients


class _Sum(torch.autograd.Function):
    """The score, whose backward pass computes each tile once more, so that one at a time is in memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, score: TiledScore) -> Tensor:
        ctx.score = score
        ctx.save_for_backward(x)
        return score.values(x)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        of_images = [ctx.score.gradient(image) for image in x.split(1)]
        return torch.cat(of_images) * slopes[0].view(-1, *[1] * (x.dim() - 1)), None


class _Layer:
    """Which units of a layer belong to which samples: one for every `step`, from the first on."""

    def __init__(self, place: Place, size: tuple[int, ...]):
        self.place = place
        self.size = size
        fields = [a.fields for a in place.seen if a.fields is not None]
        self.steps = [f.stride for f in fields]
        if len(self.steps) != len(size) or any(step != int(step) for step in self.steps):
            self.refuse()

    def units(
        self, inner: Slices, outer: Slices, own: tuple[int, ...]
    ) -> tuple[list[slice], list[slice], list[slice]]:
        """Along each axis: the inner units of a tile in the whole, the same in the tile, and all of the tile in the whole"""
        whole = []
        within = []
        of_all = []
        axes = zip(inner, outer, own, self.steps, self.place.grid, self.size, strict=True)
        for i, o, n, step, count, length in axes:
            first = int(o.start // step)
            low = int(i.start // step)
            high = count if i.stop == length else int(i.stop // step)
            if first * step != o.start or not low <= high <= first + n <= count:
                self.refuse()
            whole.append(slice(low, high))
            within.append(slice(low - first, high - first))
            of_all.append(slice(first, first + n))
        return whole, within, of_all

    def refuse(self) -> None:
        raise UserError(
            f"the image is larger than memory, and the units of layer {self.place.name} do not lie on its tiles: "
            "name another layer, use gradient, or set EYESPOT_MEMORY_MB"
        )


def weighted_tiles(weights: NDArray[Any], plan: Plan) -> Iterator[tuple[Slices, Slices]]:
    """Tiles over the box that holds all weights (*S), each with what it sees; only those with a weight."""
    halo = plan.halo
    axes = []
    for axis, (n, tile) in enumerate(zip(weights.shape, plan.tile, strict=True)):
        used = np.flatnonzero(weights.any(tuple(k for k in range(weights.ndim) if k != axis)))
        start = int(used[0]) // halo.grid * halo.grid
        stop = min(n, round_up(int(used[-1]) + 1, halo.grid))
        step = round_up(tile, halo.grid)
        axes.append([slice(a, min(a + step, stop)) for a in range(start, stop, step)])
    for inner in product(*axes):
        if weights[inner].any():
            yield inner, tuple(halo.around(i, n) for i, n in zip(inner, weights.shape, strict=True))


def predicted_in_tiles(engine: Any, array: Array, plan: Plan, multilabel: bool) -> NDArray[np.bool_]:
    """(*S, C) as the network gets it -> (classes, *S) where each class is predicted"""

    def logits(window: Array) -> NDArray[np.floating]:
        return engine.logits(window[None])[0]

    predicted = None
    for place, values in predict_map(array.__getitem__, logits, plan):
        if predicted is None:
            predicted = np.zeros((len(values), *plan.shape), bool)
        predicted[(slice(None), *place)] = predicted_positions(values, multilabel)
    assert predicted is not None
    return predicted
