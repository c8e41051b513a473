"""The changes that are tried. Each has a severity, and for one image always the same direction, so that severities compare."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from eyespot.augment.colour import Brightness, Contrast, Noise
from eyespot.augment.geometry import Rotate, Scale, Shift, composed, identity
from eyespot.augment.transform import Transform
from eyespot.augment.views import Rotate3d
from eyespot.augment.warp import Warp
from eyespot.data.header import Array, stored_as
from eyespot.invariances.original import Original

TRIALS = 5
"""Directions that are tried for the worst of them."""
EQUAL = 0.01
"""Spacings that differ by a smaller share are equal."""


@dataclass(frozen=True)
class Change:
    """A change of images; see the subclasses.

    unit        of the severities
    severities  from the mildest to the strongest; one for a change that is made or not
    standard    the severity up to which augmentation usually goes: a change is safe where it does no harm up to here
    ordered     whether a larger severity is a stronger change
    trials      how many directions are tried, at most TRIALS; 2 are one way and the opposite one
    """

    name: str
    unit: str = ""
    severities: tuple[float, ...] = (1.0,)
    standard: float = 1.0
    ordered: bool = True
    trials: int = 1
    moves = False
    """Whether pixels change place, so that a mask has to follow."""
    exact = False
    """Whether values are copied, and nothing is interpolated or lost."""

    def apply(self, originals: Sequence[Original], severity: float, trial: int = 0) -> list[Array]:
        """The changed arrays, of the type of the originals."""
        raise NotImplementedError

    def back(
        self, originals: Sequence[Original], changed: Sequence[Array], severity: float
    ) -> list[Array] | None:
        """The changed arrays changed back with the same kernel; None where that would say nothing."""
        return None

    def random(self, original: Original, trial: int) -> tuple[np.random.Generator, int]:
        """What the direction of an image is chosen with, and 1 or -1 for one way or the other."""
        both_ways = self.trials == 2
        generator = original.generator(self.name, 0 if both_ways else trial)
        sign = 1 if generator.random() < 0.5 else -1
        return generator, sign * (-1) ** (trial * both_ways)

    def usual(self) -> int:
        """The position of the standard severity."""
        return self.severities.index(self.standard)

    def up_to(self, severity: float) -> "Change":
        """The same with no severity above this one, which is the last, and the standard one."""
        below = [s for s in self.severities if s < severity]
        return replace(self, severities=(*below, severity), standard=severity)

    def text(self, severity: float) -> str:
        """The severity with its unit, for people."""
        if self.unit == "%":
            return f"{100 * severity:.3g}%"
        return f"{severity:.3g} {self.unit}".strip() if self.unit else ""


@dataclass(frozen=True)
class Mirror(Change):
    """Mirror one axis, counted from the last."""

    axis: int = -1
    moves = True
    exact = True

    def apply(self, originals: Sequence[Original], severity: float, trial: int = 0) -> list[Array]:
        return [self.moved(o.array, severity, o.array.ndim - 1) for o in originals]

    def moved(self, array: Array, severity: float, dim: int) -> Array:
        """(*S, ...) with its spatial axis mirrored"""
        return np.flip(array, dim + self.axis).copy()


@dataclass(frozen=True)
class Turn(Change):
    """Turn by quarters in the plane of the last two axes."""

    moves = True
    exact = True

    def apply(self, originals: Sequence[Original], severity: float, trial: int = 0) -> list[Array]:
        return [self.moved(o.array, severity, o.array.ndim - 1) for o in originals]

    def moved(self, array: Array, severity: float, dim: int) -> Array:
        """(*S, ...) turned"""
        return np.rot90(array, round(severity / 90), (dim - 2, dim - 1)).copy()


Parameters = Callable[[Original, float, np.random.Generator, int], torch.Tensor]
"""From an image, a severity, its random numbers and 1 or -1: a matrix or a parameter of a transform, with a batch of one."""


@dataclass(frozen=True)
class Move(Change):
    """Move pixels by a matrix of `augment`, as augmentation does: the edge is reflected into gaps."""

    matrix: Parameters = lambda original, severity, generator, sign: identity(1, original.array.ndim - 1)
    moves = True

    def warp(
        self, originals: Sequence[Original], severity: float, trial: int = 0, inverse: bool = False
    ) -> Warp:
        """For originals of one shape."""
        matrices = [self.matrix(o, severity, *self.random(o, trial)) for o in originals]
        matrix = torch.cat(matrices)
        return Warp(torch.linalg.inv(matrix.double()).float().round(decimals=6) if inverse else matrix)

    def apply(self, originals: Sequence[Original], severity: float, trial: int = 0) -> list[Array]:
        def changed(chosen: Sequence[Original], x: torch.Tensor) -> torch.Tensor:
            return self.warp(chosen, severity, trial).apply(x)[0]

        return as_tensors(originals, [o.array for o in originals], changed)

    def back(self, originals: Sequence[Original], changed: Sequence[Array], severity: float) -> list[Array]:
        def undone(chosen: Sequence[Original], x: torch.Tensor) -> torch.Tensor:
            return self.warp(chosen, severity, inverse=True).apply(x)[0]

        return as_tensors(originals, changed, undone)

    def inside(
        self, original: Original, severity: float, trial: int = 0, inverse: bool = False
    ) -> NDArray[np.bool_]:
        """(*S) the pixels of the changed image that come from inside the original"""
        x = torch.zeros(1, 1, *original.array.shape[:-1])
        places = self.warp([original], severity, trial, inverse).places(x)[0]
        return (places.abs() <= 1 + 1e-5).all(-1).numpy()


@dataclass(frozen=True)
class Values(Change):
    """Change values by a transform of `augment` with these parameters."""

    transform: Transform = field(default_factory=Noise)
    parameters: Parameters = lambda original, severity, generator, sign: torch.zeros(1)

    def apply(self, originals: Sequence[Original], severity: float, trial: int = 0) -> list[Array]:
        def changed(chosen: Sequence[Original], x: torch.Tensor) -> torch.Tensor:
            given = [self.parameters(o, severity, *self.random(o, trial)) for o in chosen]
            return self.transform.apply(x, torch.cat(given))

        return as_tensors(originals, [o.array for o in originals], changed)


@dataclass(frozen=True)
class Blur(Change):
    """A normal blur; the severity is its standard deviation in pixels of the network's input of `side` pixels."""

    side: int = 1

    def apply(self, originals: Sequence[Original], severity: float, trial: int = 0) -> list[Array]:
        from scipy.ndimage import gaussian_filter

        blurred = []
        for original in originals:
            values = original.array.astype(np.float32)
            scale = max(original.array.shape[:-1]) / self.side if self.side else 1.0
            sigmas = (*[severity * scale] * (values.ndim - 1), 0)
            blurred.append(stored_as(gaussian_filter(values, sigmas, mode="mirror"), original.array.dtype))
        return blurred


@dataclass(frozen=True)
class Gain(Change):
    """Multiply a signal; the severity is in decibels, louder or softer."""

    def apply(self, originals: Sequence[Original], severity: float, trial: int = 0) -> list[Array]:
        return [self._louder(o, severity * self.random(o, trial)[1]) for o in originals]

    def _louder(self, original: Original, decibels: float) -> Array:
        values = original.array.astype(np.float64)
        middle = 128 if original.array.dtype == np.uint8 else 0  # as sounds of 8 bits are stored
        return stored_as(middle + (values - middle) * 10 ** (decibels / 20), original.array.dtype)


def as_tensors(
    originals: Sequence[Original],
    arrays: Sequence[Array],
    change: Callable[[Sequence[Original], torch.Tensor], torch.Tensor],
) -> list[Array]:
    """Arrays (*S, C) through a change of tensors (B, C, *S), those of one shape at once"""
    changed: list[Array] = list(arrays)
    shapes = [array.shape for array in arrays]
    for shape in dict.fromkeys(shapes):
        rows = [i for i, other in enumerate(shapes) if other == shape]
        stack = np.stack([arrays[i] for i in rows]).astype(np.float32)
        x = change([originals[i] for i in rows], torch.from_numpy(np.moveaxis(stack, -1, 1).copy()))
        for i, values in zip(rows, np.moveaxis(x.numpy(), 1, -1), strict=True):
            changed[i] = stored_as(values, arrays[i].dtype)
    return changed


def _shift(original: Original, severity: float, generator: np.random.Generator, sign: int) -> torch.Tensor:
    """Along one axis by the severity, along the others by up to as much."""
    sizes = original.array.shape[:-1]
    most = [max(1, round(severity * n)) for n in sizes]
    pixels = [round(generator.uniform(-1, 1) * m) for m in most]
    axis = int(generator.integers(len(sizes)))
    pixels[axis] = most[axis] * sign
    return Shift().matrix(torch.tensor([pixels]), len(sizes))


def _rotate(original: Original, severity: float, generator: np.random.Generator, sign: int) -> torch.Tensor:
    """In the plane of the last two axes, in millimetres; where a volume's spacing is the same along all axes, in any plane."""
    dim = original.array.ndim - 1
    radians = torch.deg2rad(torch.tensor([severity * sign]))
    spacing = original.spacing if len(original.spacing) == dim else None
    if dim == 3 and spacing and _equal(spacing):
        axis = torch.zeros(1, dim)
        axis[0, int(generator.integers(dim))] = 1
        return Rotate3d().matrix(axis * radians, dim)
    return composed([(Rotate(), radians)], dim, spacing).matrix


def _equal(spacing: Sequence[float]) -> bool:
    return not spacing or max(spacing) <= min(spacing) * (1 + EQUAL)


def _scale(original: Original, severity: float, generator: np.random.Generator, sign: int) -> torch.Tensor:
    factor = (1 + severity) ** sign
    return Scale().matrix(torch.tensor([factor]), original.array.ndim - 1)


def _either_way(
    original: Original, severity: float, generator: np.random.Generator, sign: int
) -> torch.Tensor:
    return torch.tensor([severity * sign], dtype=torch.float32)


def _noise(original: Original, severity: float, generator: np.random.Generator, sign: int) -> torch.Tensor:
    *sizes, channels = original.array.shape
    normal = generator.standard_normal((1, channels, *sizes), np.float32)
    return severity * torch.from_numpy(normal)


def _shifts(size: float) -> tuple[tuple[float, ...], float]:
    """Shares of the size that are whole pixels, from one pixel on; and the one that augmentation goes up to."""
    pixels = sorted({1, *(max(1, round(share * size)) for share in (0.03, 0.06, 0.125, 0.25))})
    shares = tuple(p / size for p in pixels)
    return shares, max([s for s in shares if s <= 0.065], default=shares[0])


@dataclass(frozen=True)
class Catalogue:
    """The changes for images of `dim` axes, usually of `size` samples along the longest, that the network gets at `side`."""

    dim: int
    size: float
    side: int
    turns: bool = True
    """Whether quarter turns keep the spacing."""

    @cached_property
    def changes(self) -> list[Change]:
        shares, standard = _shifts(self.size)
        shift = Move("shift", "%", shares, standard, trials=TRIALS, matrix=_shift)
        noise = Values("noise", "%", (0.05, 0.1, 0.2, 0.4), 0.05, trials=TRIALS, parameters=_noise)
        if self.dim == 1:
            gain = Gain("gain", "dB", (3.0, 6.0, 12.0, 20.0), 6.0, trials=2)
            return [Mirror("reverse"), shift, gain, noise]
        depth = [Mirror("dflip", axis=-3)] if self.dim == 3 else []
        turn = Turn("rot90", "degrees", (90.0, 180.0, 270.0), 90.0, ordered=False)
        return [
            Mirror("hflip"),
            Mirror("vflip", axis=-2),
            *depth,
            *([turn] if self.turns else []),
            shift,
            Move("rotate", "degrees", (5.0, 10.0, 15.0, 30.0, 45.0), 15.0, trials=2, matrix=_rotate),
            Move("scale", "%", (0.05, 0.1, 0.2, 0.4), 0.1, trials=2, matrix=_scale),
            *self._of_values(),
            Blur("blur", "pixels", (0.5, 1.0, 1.5, 2.0), 0.5, side=self.side),
            noise,
        ]

    def _of_values(self) -> list[Change]:
        severities = (0.1, 0.2, 0.4, 0.8)
        return [
            Values("brightness", "%", severities, 0.2, True, 2, Brightness(), _either_way),
            Values("contrast", "%", severities, 0.2, True, 2, Contrast(), _either_way),
        ]


NAMES = {
    1: ("reverse", "shift", "gain", "noise"),
    2: tuple("hflip vflip rot90 shift rotate scale brightness contrast blur noise".split()),
    3: tuple("hflip vflip dflip rot90 shift rotate scale brightness contrast blur noise".split()),
}
"""The changes that images of so many axes have."""
MEANING = {
    "hflip": "left and right change places",
    "vflip": "top and bottom change places",
    "dflip": "the first and the last slices change places",
    "reverse": "the end comes first",
    "rot90": "quarter turns",
    "shift": "moved along one axis by this share of its size, along the others by up to as much",
    "rotate": "turned either way",
    "scale": "larger or smaller by this factor",
    "brightness": "this share of the image's standard deviation is added or taken away",
    "contrast": "the distance from the image's mean grows or shrinks by this share",
    "blur": "a normal blur with this standard deviation, in pixels of the network's input",
    "noise": "normal noise with this share of the image's standard deviation",
    "gain": "louder or softer",
}
"""What a change does, for people."""
