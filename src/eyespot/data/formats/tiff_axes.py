"""The axes of the pages of a TIFF: depth, time, channels or unnamed; from its metadata, or from --axes."""

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from eyespot.data.header import Array, Unreadable
from eyespot.plurals import count

if TYPE_CHECKING:
    import tifffile

UNNAMED = "IQ"
"""The letters of tifffile for axes that the metadata does not name."""
NAMES = {"T": "time", "Z": "depth", "C": "channels", "S": "samples of a colour", "Y": "rows", "X": "columns"}


@dataclass(frozen=True)
class Stack:
    """The first series of a TIFF, by its axes.

    axes     a letter for each axis of the stored array, such as "TZYX" or "YXS"; "I" for an unnamed axis
    shape    the length of each axis
    series   the number of series in the file; if they differ, only the first is read
    named    the axes that the user gave, or empty
    """

    pages: "tuple[tifffile.TiffPage | tifffile.TiffFrame, ...]"
    axes: str
    shape: tuple[int, ...]
    series: int
    first: "tifffile.TiffPageSeries"
    named: str = ""

    def length(self, letter: str) -> int:
        """The length of an axis; 1 if there is no such axis."""
        return self.shape[self.axes.index(letter)] if letter in self.axes else 1

    @property
    def slices(self) -> int:
        """The number of slices of a volume; an unnamed axis counts as depth."""
        return max(self.length(letter) for letter in "Z" + UNNAMED)

    @property
    def page(self) -> "tifffile.TiffPage":
        """The first page, whose tags are valid for all."""
        return self.pages[0].aspage()

    @property
    def lead(self) -> str:
        """The axes before those of a page."""
        return self.axes[: min(map(self.axes.index, "YX"))].replace("S", "")

    def take(self, unread: str) -> tuple[Array, str]:
        """The values at the first position along the axes in `unread`, and the letters of the other axes."""
        n = len(self.axes) - self.page.ndim
        lead = self.axes[:n]
        whole = n >= 0 and prod(self.shape[:n]) == len(self.pages) and self.shape[n:] == self.page.shape
        if whole and not set(unread) & set(self.axes[n:]):
            at = tuple(0 if letter in unread else slice(None) for letter in lead)
            chosen = np.arange(len(self.pages)).reshape(self.shape[:n])[at]
            values = np.stack([np.asarray(self.pages[i].aspage().asarray()) for i in chosen.ravel()])
            values = values.reshape(*chosen.shape, *self.page.shape)
        else:  # the pages in the file are not those of the array
            values = np.asarray(self.first.asarray()).reshape(self.shape)
            values = values[tuple(0 if letter in unread else slice(None) for letter in self.axes)]
        return values, "".join(letter for letter in self.axes if letter not in unread)


def stack_of(file: "tifffile.TiffFile", axes: str = "") -> Stack:
    """The first series of a file, with its axes. Raises Unreadable if the user's axes do not fit.

    axes   the axes that the user gave, in the order of the file, or empty
    """
    check_whole(file)
    first = file.series[0]
    series = len(file.series)
    letters = first.axes
    shape = first.shape
    pages = tuple(page for page in first.pages if page is not None)
    alike = {(s.axes, s.shape, s.dtype) for s in file.series}
    if series > 1 and len(alike) == 1 and letters in ("YX", "YXS"):  # pages that were added one by one
        pages = tuple(page for s in file.series for page in s.pages if page is not None)
        letters = "I" + letters
        shape = (series, *shape)
        series = 1
    if not pages or None in first.pages:
        raise Unreadable("it is one of several OME-TIFF files that belong together; join them into one file")
    stack = Stack(pages, letters, shape, series, first, axes)
    # tifffile takes unnamed planes for colours.
    planes = stack.axes == "SYX" and len(axes) == 3 and axes.endswith("YX")
    if axes and (stack.lead or planes):
        stack = _overruled(stack, axes)
    if len(set(stack.axes)) < len(stack.axes):
        sizes = " x ".join(map(str, stack.shape))
        raise Unreadable(
            f"its axes ({sizes}) are not named in the file, and it has more than one beside those of a page: name them "
            "with --axes, such as TZYX"
        )
    odd = [letter for letter in stack.axes if letter not in (*NAMES, *UNNAMED)]
    if odd:
        raise Unreadable(
            f"its axes are {stack.axes}, and {odd[0]} is none of {', '.join(NAMES)}; give --axes"
        )
    return stack


def _overruled(stack: Stack, axes: str) -> Stack:
    """The stack with the user's axes; a file may lack the axis of the channels, as masks do."""
    named = [letter for letter in axes if letter in stack.axes]
    if "".join(named) == stack.axes.rstrip("S") and len(named) < len(axes.rstrip("S")):
        return stack  # its metadata names some of these axes
    plain = axes.rstrip("S")
    for stored, shape in ((stack.axes, stack.shape), _unsqueezed(stack)):
        n = len(stored.rstrip("S"))
        for letters in (plain, plain.replace("C", "")):
            if len(letters) == n and letters.index("Y") == stored.index("Y"):
                return _without_single(stack, letters + stored[n:], shape)
    sizes = " x ".join(map(str, stack.shape))
    raise Unreadable(
        f"it has {count(len(stack.shape), 'axis', 'axes')} ({sizes}), and --axes names {len(axes)} ({axes})"
    )


def _unsqueezed(stack: Stack) -> tuple[str, tuple[int, ...]]:
    """The axes including those of length 1, as named by ImageJ or OME."""
    return stack.first.get_axes(False), tuple(stack.first.get_shape(False))


def _without_single(stack: Stack, axes: str, shape: tuple[int, ...]) -> Stack:
    """The stack with these axes, except those of length 1."""
    kept = [i for i, n in enumerate(shape) if n > 1 or axes[i] in "YX"]
    lengths = tuple(shape[i] for i in kept)
    return replace(stack, axes="".join(axes[i] for i in kept), shape=lengths)


def check_whole(file: "tifffile.TiffFile") -> None:
    """Raises Unreadable for a file that is cut short, which tifffile would read as one with fewer pages."""
    last = file.pages[len(file.pages) - 1]
    handle = file.filehandle
    tiff = file.tiff
    handle.seek(last.offset)
    tags = int.from_bytes(handle.read(tiff.tagnosize), "little" if tiff.byteorder == "<" else "big")
    handle.seek(last.offset + tiff.tagnosize + tags * tiff.tagsize)
    following = handle.read(tiff.offsetsize)
    ends = [a + n for p in file.pages for a, n in zip(p.dataoffsets, p.databytecounts, strict=False)]
    cut = any(following) or max(ends, default=0) > handle.size
    images = (file.imagej_metadata or {}).get("images", 1) if file.is_imagej else 1
    if cut or (isinstance(images, int) and len(file.pages) > 1 and images > len(file.pages)):
        raise Unreadable("it is cut short: pages or values are missing at its end")
