"""How a file becomes an array of the network's size, the same way in training and for ever after."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eyespot.data.formats.read import decode
from eyespot.data.header import WORD, Array, Decoded, Unreadable
from eyespot.data.preprocess.resize import scaled
from eyespot.data.preprocess.spectrum import BANDS, hop, spectrum
from eyespot.errors import UserError, nearest

FITS = {
    "pad": "the whole of it, zeros beside: nothing is lost at the edges",
    "crop": "the middle: what lies outside is lost",
    "stretch": "the whole of it, its proportions changed",
}
OWN = "own"
"""The fit of images that have masks: each keeps its size, and crops of it are trained."""
VIEWS = {"samples": "the values as they are", "spectrum": f"sounds as {BANDS} mel bands, a frame per 10 ms"}
TOP = {"uint8": 255, "uint16": 65535, "float32": 1.0}
"""The value that stands for white; floating-point values keep their own scale."""


@dataclass(frozen=True)
class Preprocessing:
    """How a file becomes an array (size, ..., channels) of `dim` axes; it travels with the model.

    size      samples along each axis
    fit       "pad", "crop", "stretch", or "own" to leave the size as it is
    channels  of the result
    accepts   channels that a file may have; a grey file among colour ones is repeated, others are refused
    depth     "uint8", "uint16" or "float32"
    dim       1 for signals, 2 for images, 3 for volumes
    spacing   from sample to sample of the result: all files are brought to this one scale. None: each file is scaled by
              itself to fit, as images are
    unit      of the spacing: "s", "mm", or "" for the files' own samples, where they do not tell their spacing
    view      "samples", or "spectrum" for sounds
    """

    size: int
    fit: str = "pad"
    channels: int = 3
    accepts: tuple[int, ...] = (3,)
    depth: str = "uint8"
    dim: int = 2
    spacing: float | None = None
    unit: str = ""
    view: str = "samples"

    def __post_init__(self):
        for name, value, known in (("fit", self.fit, [*FITS, OWN]), ("view", self.view, VIEWS)):
            if value not in known:
                raise UserError(f"{name} is {value!r}; {nearest(value, [k for k in known if k != OWN])}")
        if self.size < 1:
            raise UserError(f"size is {self.size}; give a number from 1")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an array that was read."""
        return (*[self.size] * self.dim, self.channels)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"accepts": list(self.accepts)}

    def __call__(self, content: bytes) -> Array:
        """The file's content as (size, ..., channels). Raises Unreadable."""
        return self.of_decoded(decode(content, self.dim, None if self.fit == OWN else self.size))

    def of_decoded(self, decoded: Decoded) -> Array:
        """A decoded file as (size, ..., channels). Raises Unreadable for other axes, channels or another depth."""
        array = decoded.array
        if array.ndim != self.dim + 1:
            have = WORD.get(array.ndim - 1, "array")
            raise Unreadable(f"it is {an(have)}, and the model was trained on {WORD[self.dim]}s")
        if array.shape[-1] not in self.accepts:
            wanted = " or ".join(_channels(c) for c in self.accepts)
            raise Unreadable(
                f"it has {_channels(array.shape[-1])}, and the {WORD[self.dim]}s trained on have {wanted}; convert it first"
            )
        array = _to_depth(array, self.depth, WORD[self.dim])
        if self.view == "spectrum":
            assert self.spacing
            sound = self._placed(array, decoded.spacing, self.size * hop(self.spacing))
            return spectrum(sound, self.spacing)
        array = array if self.fit == OWN else self._placed(array, decoded.spacing, self.size)
        return np.repeat(array, self.channels, axis=-1) if array.shape[-1] < self.channels else array

    def _placed(self, array: Array, spacing: tuple[float, ...], size: int) -> Array:
        """Scaled, then cut to its middle or padded evenly, to `size` samples along each axis."""
        lengths = array.shape[:-1]
        scales = self._scales(lengths, spacing if self.unit else (), size)
        if all(n == size for n in lengths) and all(abs(s - 1) < 1e-6 for s in scales):
            return array
        outs = [min(size, max(1, round(n * s))) for n, s in zip(lengths, scales, strict=True)]
        windows = [_middle(n, min(n, size / s)) for n, s in zip(lengths, scales, strict=True)]
        small = scaled(array, outs, windows)
        if all(n == size for n in outs):
            return small
        whole = np.zeros((*[size] * self.dim, array.shape[-1]), array.dtype)
        starts = [(size - n) // 2 for n in outs]
        whole[tuple(slice(a, a + n) for a, n in zip(starts, outs, strict=True))] = small
        return whole

    def _scales(self, lengths: tuple[int, ...], spacing: tuple[float, ...], size: int) -> list[float]:
        """Samples of the result for one of the file, along each axis."""
        if self.fit == "stretch":
            return [size / n for n in lengths]
        if self.spacing is not None:
            own = (
                self.spacing if self.unit else 1.0
            )  # a file that does not tell is taken to be at the model's scale
            return [each / self.spacing for each in spacing or [own] * self.dim]
        whole = max(lengths) if self.fit == "pad" else min(lengths)
        return [size / whole] * self.dim


def an(word: str) -> str:
    return f"an {word}" if word[0] in "aio" else f"a {word}"


def _middle(n: int, wanted: float) -> tuple[float, float]:
    return (n - wanted) / 2, (n + wanted) / 2


def _channels(n: int) -> str:
    return {1: "1 channel (grey)", 3: "3 channels (colour)"}.get(n, f"{n} channels")


def _to_depth(array: Array, depth: str, word: str) -> Array:
    """uint8 0-255 becomes uint16 0-65535 or float 0-1, without a loss; the other way is refused but for 16 to 8 bits."""
    if array.dtype == depth:
        return array
    have = str(array.dtype)
    if (have, depth) == ("uint8", "uint16"):
        return array.astype(np.uint16) * 257
    if (have, depth) == ("uint16", "uint8"):
        return (array // 257).astype(np.uint8)
    if depth == "float32":
        return (array / np.float32(TOP[have])).astype(np.float32)
    raise Unreadable(
        f"it holds floating-point values, and the {word}s trained on are {depth}; convert it first"
    )
