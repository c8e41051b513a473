"""Multi-label masks: of each class on its own, whether a pixel belongs to it. Kept as one bit field per pixel."""

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyespot.data.formats.damage import or_unreadable
from eyespot.data.formats.nifti import is_nifti
from eyespot.data.formats.numpy_file import is_numpy
from eyespot.data.formats.read import decode, load_bytes
from eyespot.data.formats.tiff import is_tiff
from eyespot.data.formats.tiff_axes import stack_of
from eyespot.data.header import Array, Unreadable, as_depth, channels_last, check_size, finite
from eyespot.data.masks.alignment import aligned
from eyespot.data.masks.checks import refuse_soft
from eyespot.data.masks.mapping import VOID, Mapping, shown
from eyespot.data.masks.meaning import Proposal, asked_void
from eyespot.data.masks.source import load_mask
from eyespot.data.masks.statistics import MaskValues
from eyespot.data.sources.samples import Sample
from eyespot.errors import UserError
from eyespot.plurals import count

MOST = 7
"""Classes of a set: bits of a byte but one, since VOID is all of them."""


def read_channels(content: bytes, dim: int, axes: str = "") -> Array:
    """(*S, classes) of a TIFF (pages or channels), a NumPy or a NIfTI file. Raises Unreadable.

    axes   of TIFF stacks: see `ReadOptions`
    """
    if not is_tiff(content):
        if is_numpy(content) or is_nifti(content):
            return decode(content, dim).array
        raise Unreadable(
            "a channel per class is read from TIFF and NumPy: or give a folder per class in masks/"
        )
    values, letters = or_unreadable(_first_series, content, axes)
    named = [i for i, axis in enumerate(letters) if axis in "CS"] if values.ndim == dim + 1 else []
    return finite(as_depth(np.moveaxis(values, named[0], -1) if named else channels_last(values, dim)))


def _first_series(content: bytes, axes: str) -> tuple[Array, str]:
    """The values of a TIFF's first series, and the letters of its axes; of time points the first, where the user names axes."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(content)) as file:
        if axes:
            stack = stack_of(file, axes)
            check_size(stack.shape)
            return stack.take("T")
        series = file.series[0]
        check_size(series.shape)
        return np.asarray(series.asarray()), series.axes


def channel_values(content: bytes, dim: int, axes: str = "") -> MaskValues:
    """Of all channels together."""
    array = read_channels(content, dim, axes)
    distinct, counts = np.unique(array, return_counts=True)
    if (distinct != np.rint(distinct)).any():
        raise Unreadable("it holds fractions, and the values of a mask are whole numbers")
    table = dict(zip(distinct.astype(int).tolist(), counts.tolist(), strict=True))
    return MaskValues(array.shape[:-1], table, channels=array.shape[-1])


def read_bits(
    sample: Sample, mapping: Mapping, shape: tuple[int, ...], align: str | None = None, axes: str = ""
) -> NDArray[np.uint8]:
    """(*S) bit k where class k is, VOID where nothing counts. Raises Unreadable for a mask that does not fit.

    align   see `data.alignment`
    axes    see `ReadOptions`
    """
    bits = np.zeros(shape, np.uint8)
    void = np.zeros(shape, bool)
    for name, path, values in _planes(sample, mapping, len(shape), axes):
        values = aligned(values, path, sample.path, align)
        file = path.name if sample.mask else f"{name}/{path.name}"
        check_fit(values.shape, shape, file)
        outside = np.zeros(shape, bool) if mapping.void is None else values == mapping.void
        if mapping.harden:
            values = np.where(outside, values, _nearer_end(values))
        odd = Counter(values[~outside & ~np.isin(values, (0, 1, 255))].tolist()).most_common(1)
        if odd:
            value, n = odd[0]
            raise Unreadable(
                f"its mask {file} has the value {shown(int(value))} in {count(n, 'pixel')}, which is not one of 0, 1, 255"
            )
        void |= outside
        bits |= (values != 0).astype(np.uint8) << mapping.classes.index(name)
    bits[void] = VOID
    return bits


def _nearer_end(values: Array) -> Array:
    """0, or 255 (1 where no value is higher), whichever is nearer"""
    top = 255 if values.max(initial=0) > 1 else 1
    return np.where(2 * values.astype(np.int64) > top, top, 0)


def _planes(sample: Sample, mapping: Mapping, dim: int, axes: str) -> Iterator[tuple[str, Path, Array]]:
    """The class, the file of its mask, and its values (*S)"""
    for name, file in sample.masks:
        yield name, file, load_mask(sample, file, dim, axes=axes)[0]
    if sample.mask:
        channels = read_channels(load_bytes(sample.mask), dim, axes)
        if channels.shape[-1] != len(mapping.classes):
            raise Unreadable(
                f"its mask {sample.mask.name} has {count(channels.shape[-1], 'channel')}, and there are {count(len(mapping.classes), 'class')}"
            )
        yield from zip(mapping.classes, repeat(sample.mask), np.moveaxis(channels, -1, 0), strict=False)


def check_fit(have: tuple[int, ...], want: tuple[int, ...], name: str) -> None:
    """Raises Unreadable where a mask has another size than its image."""
    if have != want:
        have_, want_ = (" x ".join(map(str, reversed(s))) for s in (have, want))
        turned = have == want[::-1]
        remedy = (
            "one of both is turned (by EXIF, perhaps): save both upright"
            if turned
            else "resize it without interpolation"
        )
        raise Unreadable(f"its mask {name} is {have_}, and it is {want_}; {remedy}")


def unpack(bits: NDArray[np.uint8], classes: int) -> NDArray[np.bool_]:
    """Bit fields (*S) -> (classes, *S) where each class is; nowhere in what does not count"""
    counted = np.where(bits == VOID, 0, bits).astype(np.uint8)
    return np.stack([counted >> k & 1 for k in range(classes)]).astype(bool)


def propose_multilabel(
    masks: dict[str, MaskValues],
    names: Sequence[str],
    by_class: bool,
    void: str | None,
    harden: bool | None = None,
) -> Proposal:
    """The mapping of multi-label masks. Raises UserError for masks that are none.

    names      of the classes, as far as they are known
    by_class   whether each class has files of its own, else each file has a channel per class
    harden     whether a value between takes the nearer of 0 and 255
    """
    if not harden:
        refuse_soft(masks)
    widths = Counter(f.channels for f in masks.values())
    classes = tuple(names) or tuple(str(k + 1) for k in range(max(widths)))
    if not by_class and set(widths) != {len(classes)}:
        file, other = next((n, f.channels) for n, f in masks.items() if f.channels != len(classes))
        known = "classes.txt names" if names else "another mask has"
        raise UserError(
            f"the mask {file} has {other} channels, and {known} {len(classes)}: save one for each class"
        )
    if len(classes) > MOST:
        raise UserError(
            f"the masks have {len(classes)} classes, and multi-label masks can have up to {MOST}: leave some out"
        )
    if len({folder_of(name).lower() for name in classes}) < len(classes):
        raise UserError(
            f"two of the classes {', '.join(classes)} have one name: give each its own, since masks of each get a folder"
        )
    values = sorted({v for f in masks.values() for v in f.counts})
    asked = asked_void(void, values)
    between = 0
    for file, f in masks.items():
        counts = {v: n for v, n in f.counts.items() if v != asked}
        if harden and max(counts, default=0) > 1:
            between += sum(n for v, n in counts.items() if 0 < v < VOID)
            counts = {v: n for v, n in counts.items() if not 0 < v < VOID}
        _refuse_values(file, counts, void)
    how = f"{count(len(classes), 'class', 'classes')}, a {'folder' if by_class else 'channel'} each"
    text = f"{count(between, 'pixel')} with values between take the nearer of 0 and 255"
    mapping = Mapping((), classes, asked, multilabel=True, harden=bool(harden))
    return Proposal(mapping, f"multi-label masks, {how}", [text] * bool(between))


def _refuse_values(file: str, counts: dict[int, int], void: str | None) -> None:
    odd = max(set(counts) - {0, 1, VOID}, key=lambda v: counts[v], default=None)
    if odd is not None:
        raise UserError(
            f"the mask {file} has the value {shown(odd)} in {count(counts[odd], 'pixel')}, and a multi-label mask has 0, and 1 or 255 for what belongs: save it so, or use --void {shown(odd)} if these do not count"
        )
    if void is None and {1, VOID} <= set(counts):
        raise UserError(
            f"the mask {file} has the value 1 in {count(counts[1], 'pixel')} and 255 in {counts[VOID]:,}: use --void 255 if these do not count, or --void none if they belong to the class"
        )


def folder_of(name: str) -> str:
    """A class's name as that of a folder"""
    return re.sub(r"[/\\:]|^\.+", "_", name)
