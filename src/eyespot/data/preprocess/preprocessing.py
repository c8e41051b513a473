"""How a file becomes an array of the network's size, the same way in training and for ever after."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.formats.channel_files import contents_of, is_joined
from eyespot.data.formats.read import decode_any
from eyespot.data.header import WORD, Array, Decoded, ReadOptions, Unreadable, finite
from eyespot.data.preprocess.dtype import convert_type, type_remark
from eyespot.data.preprocess.placement import Placement, place, whole
from eyespot.data.preprocess.spectrum import BANDS, hop, spectrum
from eyespot.errors import UserError, nearest
from eyespot.plurals import count

FITS = {
    "pad": "the whole of it, with a margin of zeros: nothing is lost at the edges",
    "crop": "the middle: what lies outside is lost",
    "stretch": "the whole of it, its proportions changed",
}
OPTIONAL = frozenset("channel_files columns decimal rate mean std oriented voxel_size nan align".split())
"""Fields that a preprocessing has only where they are known or given."""
OWN = "own"
"""The fit of images that have masks: each keeps its size, and crops of it are trained."""
VIEWS = {"samples": "the values as they are", "spectrum": f"sounds as {BANDS} mel bands, a frame per 10 ms"}
FAR = 6
"""Standard deviations of all pixels from their mean at which the mean of a file is far off."""

OTHER_SCALE = 10
"""How many times larger or smaller the standard deviation of a volume is where it has another scale: volumes of 8 bits,
between 0 and 1 and of 12 bits are all stored as signed or floating-point numbers."""

OTHER_VOXELS = 1.5
"""How many times longer or shorter voxels are that are not of the usual size."""


@dataclass(frozen=True)
class Preprocessing:
    """How a file becomes an array (size, ..., channels) of `dim` axes; it travels with the model.

    size      samples along each axis
    fit       "pad", "crop", "stretch", or "own" to leave the size as it is
    channels  of the result
    accepts   channels that a file may have; a grey file among colour ones is repeated, sounds among mono ones are mixed
              down, others are refused
    depth     "uint8", "uint16" or "float32"
    dim       1 for signals, 2 for images, 3 for volumes
    spacing   from sample to sample of the result: all files are brought to this one scale. None: each file is scaled by
              itself to fit, as images are
    unit      of the spacing: "s", "mm", or "" for the files' own samples, where their spacing is not known
    view      "samples", or "spectrum" for sounds
    axes, background  see `ReadOptions`
    scaling   of values stored in another type than `depth`: "none" keeps them; "full" brings white to white, so that 255
              becomes 65535 or 1.0
    stored    the types in which the files trained on store values; empty where that is not known
    oriented  whether the files trained on state the orientation of their axes, as NIfTI does: those of the result then
              point towards superior, anterior and right
    voxel_size  the usual spacing of the files trained on where each keeps its own, in mm; empty where it is not known
    nan       the value that replaces NaN and infinite values; None to refuse files that have some
    align     how NIfTI masks are brought to their images: see `data.alignment`
    channel_files  what tells the files of an image apart whose channels lie in several: see `formats.channel_files`
    columns, decimal, rate   how tables are read: see `ReadOptions`
    mean, std of the training set per channel, in the files' own values; empty until a training set is known
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
    axes: str = ""
    background: str = "white"
    scaling: str = "none"
    stored: tuple[str, ...] = ()
    columns: str = ""
    decimal: str = ""
    rate: float = 0.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    oriented: bool = False
    voxel_size: tuple[float, ...] = ()
    nan: float | None = None
    align: str | None = None
    channel_files: tuple[str, ...] = ()

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
        """Every field, ready for JSON; without those that are not known or not given."""
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        unknown = [f.name for f in fields(self) if f.name in OPTIONAL and known[f.name] == f.default]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in known.items() if k not in unknown}

    def decoding(self) -> dict[str, Any]:
        """The fields that decide what a file is decoded to; it names what is in the cache."""
        return {k: v for k, v in self.as_dict().items() if k not in ("mean", "std", "oriented", "voxel_size")}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Preprocessing":
        """From `as_dict`, or from the preprocessing of a model's card, which has more entries."""
        names = {field.name for field in fields(cls)}
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in content.items() if k in names
        }
        if "scaling" not in content:  # models of before 0.1
            values["scaling"] = "full"
        return cls(**values)

    @property
    def read_options(self) -> ReadOptions:
        """How the values of files are read."""
        return ReadOptions(
            axes=self.axes,
            background=self.background,
            columns=self.columns,
            decimal=self.decimal,
            rate=self.rate,
            nan=self.nan,
        )

    def decode(self, content: bytes) -> Decoded:
        """The file's content before it is brought to size, depth and channels. Raises Unreadable."""
        self._check_files(content)
        return decode_any(content, self.dim, None if self.fit == OWN else self.size, self.read_options)

    def _check_files(self, content: bytes) -> None:
        """Raises Unreadable where the channels are in other files than those of the images trained on."""
        names = tuple(name for name, _ in contents_of(content)) if is_joined(content) else ()
        if names and self.channel_files and names != self.channel_files:
            raise Unreadable(
                f"its channels are {', '.join(names)}, and those trained on are {', '.join(self.channel_files)}"
            )

    def __call__(self, content: bytes) -> Array:
        """The file's content as (size, ..., channels). Raises Unreadable."""
        return self.of_decoded(self.decode(content))

    def of_decoded(self, decoded: Decoded) -> Array:
        """A decoded file as (size, ..., channels). Raises Unreadable for other axes, channels or another depth."""
        self._check(decoded.array)
        array = convert_type(self.finite(decoded.array), self)
        if self._is_grey_stored_as_colour(array):
            array = array[..., :1]
        elif array.shape[-1] > self._channels_of_file:  # sounds among mono ones
            array = array.mean(axis=-1, keepdims=True)
        array = self.placement(array.shape[:-1], decoded.spacing).apply(array)
        if self.view == "spectrum":
            assert self.spacing
            return spectrum(array, self.spacing)
        return np.repeat(array, self.channels, axis=-1) if array.shape[-1] < self.channels else array

    def finite(self, array: Array) -> Array:
        """The values, with `nan` in place of what is not finite. Raises Unreadable where that is not given."""
        return finite(array, self.nan, "; train with --nan VALUE to replace them")

    def _check(self, array: Array) -> None:
        word = WORD[self.dim]
        refuse_axes(array, self.dim)
        if self._is_grey_stored_as_colour(array) or self._is_grey_for_colours(array):
            return
        if array.shape[-1] not in self.accepts:
            if self.channel_files:
                files = ",".join(self.channel_files)
                raise Unreadable(
                    f"it has {_channels(array.shape[-1], self.dim)}, and the {word}s trained on have a file for each of {files}: "
                    f"give the folder, or NAME_{{{files}}} with all of them"
                )
            wanted = " or ".join(_channels(c, self.dim) for c in self.accepts)
            raise Unreadable(
                f"it has {_channels(array.shape[-1], self.dim)}, and the {word}s trained on have {wanted}; convert it first"
            )

    @property
    def _channels_of_file(self) -> int:
        """The channels that a file is brought to before its spectrum is taken."""
        return self.channels // BANDS if self.view == "spectrum" else self.channels

    def _is_grey_for_colours(self, array: Array) -> bool:
        return self.dim == 2 and array.shape[-1] == 1 and self.accepts == (3,)

    def _is_grey_stored_as_colour(self, array: Array) -> bool:
        if self.dim != 2 or array.shape[-1] != 3 or self.accepts != (1,):
            return False
        return bool((array[..., :1] == array[..., 1:]).all())

    def remarks(self, decoded: Decoded) -> list[str]:
        """What the user should know of a file that is predicted: what is left out of it or changed, as sentences."""
        array = decoded.array
        remarks = [*decoded.remarks, *self.header_remarks(array.dtype, array.shape[-1], decoded.spacing)]
        if self._is_grey_stored_as_colour(array):
            remarks.append("its three channels are equal, and the images trained on are grey: one is used")
        if array.size and bool((array == array.flat[0]).all()):
            ground = f" (transparency is laid on {self.background})" if self.dim == 2 else ""
            remarks.append(f"it has one value everywhere{ground}, so that its prediction says nothing")
        return remarks

    def header_remarks(self, dtype: Any, channels: int, spacing: tuple[float, ...]) -> list[str]:
        """How a file differs from those trained on, by what its header says."""
        remark = type_remark(dtype, self)
        remarks = [remark] if remark else []
        if (self.dim, channels, self.accepts) == (2, 1, (3,)):
            remarks.append("it is grey, and the images trained on have colours: its channel is repeated")
        if unlike_voxels(spacing, self.voxel_size):
            have, usual = (
                " x ".join(f"{size:.3g}" for size in sizes) for sizes in (spacing, self.voxel_size)
            )
            remarks.append(
                f"its voxels are {have} mm, and those trained on {usual} mm: resample it to that size, since objects look larger "
                "or smaller to the network"
            )
        return remarks

    def value_remark(self, array: Array) -> str | None:
        """A sentence about values (*S, C), as the network gets them, that are far from those trained on."""
        if self.view != "samples" or not self.mean:
            return None
        mean = float(array.mean(dtype=np.float64))
        spread = float(array.std(dtype=np.float64))
        known_mean = float(np.mean(self.mean))
        known_spread = float(np.mean(self.std))
        in_training = f"{known_mean:.3g} with a standard deviation of {known_spread:.3g} in training"
        if abs(mean - known_mean) > FAR * known_spread:  # false for NaN, which is reported elsewhere
            return f"its values are far from those trained on (their mean is {mean:.3g}, and {in_training})"
        ratio = spread / known_spread if known_spread else 1.0
        if self.dim == 3 and (ratio > OTHER_SCALE or ratio < 1 / OTHER_SCALE):
            return (
                f"its values have another scale than those trained on (their mean is {mean:.3g} with a standard deviation of "
                f"{spread:.3g}, and {in_training})"
            )
        return None

    def placement(self, lengths: tuple[int, ...], spacing: tuple[float, ...] = ()) -> Placement:
        """Where the samples of a file lie in the result; of a sound, before its spectrum is taken.

        lengths  samples of the decoded file along each axis
        spacing  from sample to sample of the file, if known
        """
        if self.fit == OWN:
            return Placement(lengths, lengths, whole(lengths), lengths)
        size = self.size * self.frame
        return place(lengths, self._scales(lengths, spacing if self.unit else (), size), size)

    def undo(self, labels: NDArray[Any], placement: Placement, outside: int = 0) -> NDArray[Any]:
        """A label map (*S) of the network's size -> the size of the decoded file; the inverse for masks.

        The file's own turns (EXIF, NIfTI axes) are not undone: a decoded file is upright and in the body's axes.
        outside  the label of samples that a crop left out
        """
        if self.frame > 1:
            labels = np.repeat(labels, self.frame)
        return placement.undo(labels, outside)

    def normalise(self, arrays: Array) -> NDArray[np.float32]:
        """(B, *S, C) -> (B, C, *S) of mean 0 and standard deviation 1, as the network takes it; needs `mean` and `std`."""
        values = arrays.astype(np.float32)
        values -= np.array(self.mean, np.float32)
        values /= np.array(self.std, np.float32)
        return np.moveaxis(values, -1, 1)

    @property
    def frame(self) -> int:
        """Samples of a file at the spacing of the result for one of the network's input: a frame's, of a sound."""
        return hop(self.spacing) if self.view == "spectrum" and self.spacing else 1

    def _scales(self, lengths: tuple[int, ...], spacing: tuple[float, ...], size: int) -> list[float]:
        """Samples of the result for one of the file, along each axis."""
        if self.fit == "stretch":
            return [size / n for n in lengths]
        if self.spacing is not None:
            # A file without a spacing is taken to be at the model's scale.
            assumed = self.spacing if self.unit else 1.0
            return [step / self.spacing for step in spacing or [assumed] * self.dim]
        longest = max(lengths) if self.fit == "pad" else min(lengths)
        return [size / longest] * self.dim


def refuse_axes(array: Array, dim: int) -> None:
    """Raises Unreadable for a file (*S, C) of other axes than those trained on."""
    if array.ndim != dim + 1:
        actual = WORD.get(array.ndim - 1, "array")
        raise Unreadable(f"it is {an(actual)}, and the model was trained on {WORD[dim]}s")


def unlike_voxels(spacing: Sequence[float], usual: Sequence[float]) -> bool:
    """Whether voxels are much longer or shorter along an axis than usual; not where either is not known."""
    if len(spacing) != len(usual):
        return False
    return any(max(a / b, b / a) > OTHER_VOXELS for a, b in zip(spacing, usual, strict=True))


def an(word: str) -> str:
    return f"an {word}" if word[0] in "aio" else f"a {word}"


def _channels(n: int, dim: int) -> str:
    meaning = (
        {1: " (grey)", 3: " (colour)"} if dim == 2 else {1: " (mono)", 2: " (stereo)"} if dim == 1 else {}
    )
    return count(n, "channel") + meaning.get(n, "")
