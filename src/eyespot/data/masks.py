"""Masks: which value of a file means which class, from the values of all masks."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.formats.image import open_image
from eyespot.data.formats.read import decode, or_unreadable
from eyespot.data.header import Array, Unreadable
from eyespot.errors import UserError
from eyespot.labels import neighbours

VOID = 255
"""The label of pixels that count neither in training nor in a score."""
MOST_CLASSES = 64
"""More values than this in the masks of a set are objects, each with a number of its own."""
COLOUR = 1 << 24
"""Colours are numbered red * 65536 + green * 256 + blue, above this, so that they are no grey values."""


@dataclass(frozen=True)
class MaskValues:
    """What a mask holds: its size, how often each value occurs, and what is odd about the file."""

    shape: tuple[int, ...]
    counts: dict[int, int]
    kind: str = ""
    channels: int = 1


def read_mask(content: bytes, dim: int) -> tuple[NDArray[np.int64], str]:
    """The values (*S) of a mask, palette places and colours as numbers, and the kind of file. Raises Unreadable."""
    if content[:4] in (b"\x89PNG", b"GIF8"):
        with open_image(content) as image:
            if image.mode == "P":
                return or_unreadable(np.asarray, image).astype(np.int64), "palette"
    array = decode(content, dim).array
    kind = "JPEG" if content[:2] == b"\xff\xd8" else ""
    if array.shape[-1] == 3:
        red, green, blue = np.moveaxis(array.astype(np.int64), -1, 0)
        if (red == green).all() and (green == blue).all():
            return red, kind
        return COLOUR + (red << 16 | green << 8 | blue), kind or "colours"
    if array.shape[-1] != 1:
        raise Unreadable(f"it has {array.shape[-1]} channels, and a mask has one, or three for colours")
    values = array[..., 0]
    if values.dtype.kind == "f" and (values != np.rint(values)).any():
        raise Unreadable("it holds fractions, and the values of a mask are whole numbers")
    return values.astype(np.int64), kind


@dataclass(frozen=True)
class Mapping:
    """From the values of masks to classes.

    values      of each class, in the order of the classes
    void        the value that means "do not count this pixel", if there is one
    objects     values above zero number objects: one class "object", and pixels between two touching ones are background
    multilabel  a pixel may belong to several classes or none: each has a mask of its own, and no value (`multilabel`)
    """

    values: tuple[int, ...]
    classes: tuple[str, ...]
    void: int | None = None
    objects: bool = False
    multilabel: bool = False

    @property
    def things(self) -> bool:
        """Whether one class lies on a background, so that its connected parts are objects."""
        return not self.multilabel and len(self.classes) == 2 and self.classes[0] == "background"

    def as_dict(self) -> dict[str, Any]:
        return {
            "values": [shown(v) for v in self.values],
            "classes": list(self.classes),
            "void": None if self.void is None else shown(self.void),
            "objects": self.objects,
            "multilabel": self.multilabel,
        }

    def labels(self, values: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(*S) values -> class positions, VOID where nothing counts. Raises Unreadable for a value that has no class."""
        if self.objects:
            labels = _apart(values)
            if self.void is not None:
                labels[values == self.void] = VOID
            return labels
        out = np.full(values.shape, VOID, np.uint8)
        known = np.zeros(values.shape, bool) if self.void is None else values == self.void
        for k, value in enumerate(self.values):
            here = values == value
            out[here] = k
            known |= here
        if not known.all():
            odd, n = Counter(values[~known].tolist()).most_common(1)[0]
            raise Unreadable(
                f"its mask has the value {shown(odd)} in {n:,} pixels, which is not one of {', '.join(map(shown, self.values))}"
            )
        return out

    def value_of(self) -> Array:
        """(classes,) the values as a file has them: one number each, or (classes, 3) for colours."""
        values = np.array([0, 255] if self.objects else self.values)
        if (values >= COLOUR).any():
            rest = values - COLOUR
            return np.stack([rest >> 16, (rest >> 8) & 255, rest & 255], 1).astype(np.uint8)
        return values.astype(np.uint8 if values.max() < 256 else np.uint16)


def shown(value: int) -> str:
    return f"#{value - COLOUR:06x}" if value >= COLOUR else str(value)


def mapping_of(content: dict[str, Any]) -> Mapping:
    """A mapping from its `as_dict`."""
    number = {s: COLOUR + int(s[1:], 16) if s.startswith("#") else int(s) for s in content["values"]}
    void = content["void"]
    void = None if void is None else COLOUR + int(void[1:], 16) if void.startswith("#") else int(void)
    return Mapping(
        tuple(number[s] for s in content["values"]),
        tuple(content["classes"]),
        void,
        content["objects"],
        content.get("multilabel", False),  # runs before 0.1 do not have it
    )


def _apart(ids: NDArray[np.int64]) -> NDArray[np.uint8]:
    """1 within objects, 0 outside and where two touch: of both sides the pixel on the line."""
    inside = ids > 0
    line = np.zeros(ids.shape, bool)
    for before, after in neighbours(ids.ndim):
        meet = (ids[before] != ids[after]) & inside[before] & inside[after]
        line[before] |= meet
        line[after] |= meet
    return (inside & ~line).astype(np.uint8)


@dataclass
class Proposal:
    """A mapping, why it is so, and what a user should know."""

    mapping: Mapping
    reason: str
    warnings: list[str] = field(default_factory=list)


def propose(masks: dict[str, MaskValues], names: list[str] | None, void: str | None) -> Proposal:
    """Which value means what, from the values in all masks.

    names   of the classes, in the order of the values, if the user gave them
    void    the user's option: a value, "none", or None if not given
    """
    total: Counter[int] = Counter()
    for mask in masks.values():
        total.update(mask.counts)
    values = sorted(total)
    notes: list[str] = []
    asked = asked_void(void, values)
    refuse_soft(masks)
    if void is None and values == [0, 1, 255]:
        refuse_mixed(masks)
    if len(values) > MOST_CLASSES or _numbered(masks):
        return Proposal(
            Mapping((0, 1), ("background", "object"), objects=True),
            f"{len(values):,} values: objects with a number each",
        )
    reason = f"the values {', '.join(map(shown, values[:12]))}{' ...' if len(values) > 12 else ''}"
    if asked is None and void is None and VOID in values and len(values) > 2:
        asked = VOID
        notes.append(
            f"255 is taken as void ({total[VOID] / sum(total.values()):.1%} of the pixels), which is not counted: use --void none if it is a class"
        )
    kept = tuple(v for v in values if v != asked)
    if len(kept) < 2:
        raise UserError(
            f"the masks hold the value {shown(kept[0]) if kept else shown(values[0])} only: there is nothing to tell apart; are these the masks?"
        )
    if names and len(names) != len(kept):
        raise UserError(
            f"{len(names)} class names are given, and the masks hold {len(kept)} values ({', '.join(map(shown, kept[:12]))})"
        )
    binary = kept in ((0, 255), (0, 1))
    classes = tuple(names or (("background", "object") if binary else map(shown, kept)))
    return Proposal(Mapping(kept, classes, asked), reason, notes)


def asked_void(void: str | None, values: list[int]) -> int | None:
    """The value that the user named, if any. Raises UserError for one that no mask has."""
    if void in (None, "none"):
        return None
    value = COLOUR + int(void[1:], 16) if void.startswith("#") else int(void) if void.isdigit() else -1
    if value not in values:
        raise UserError(
            f"void is {void!r}, and no mask has that value; they have {', '.join(map(shown, values[:12]))}"
        )
    return value


def refuse_soft(masks: dict[str, MaskValues]) -> None:
    """Raises UserError for a mask with soft edges."""
    soft = next((name for name, f in masks.items() if len(f.counts) > MOST_CLASSES and _soft(f)), None)
    if soft is not None:
        how = "JPEG blurs them" if masks[soft].kind == "JPEG" else "it was saved with smoothed edges"
        raise UserError(
            f"the mask {soft} has soft edges, {len(masks[soft].counts)} different values ({how}): save masks as PNG with one value per class"
        )


def refuse_mixed(masks: dict[str, MaskValues]) -> None:
    """Raises UserError where some masks hold 0 and 1, others 0 and 255, and none both: the same may be meant."""
    ones = [name for name, f in masks.items() if 1 in f.counts]
    high = [name for name, f in masks.items() if 255 in f.counts]
    if not set(ones) & set(high):
        raise UserError(
            f"{len(ones)} of the masks hold 0 and 1 ({ones[0]}) and {len(high)} hold 0 and 255 ({high[0]}): write the same "
            "value in all, or use --void 255 if 255 marks pixels that do not count"
        )


def _soft(mask: MaskValues) -> bool:
    """Whether nearly all pixels are black or white, and the rest lies between."""
    ends = mask.counts.get(0, 0) + mask.counts.get(255, 0)
    return mask.kind == "JPEG" or (max(mask.counts) == 255 and ends > 0.8 * sum(mask.counts.values()))


def _numbered(masks: dict[str, MaskValues]) -> bool:
    """Whether masks number their objects 1, 2, 3, ..., each mask as many as it has; such numbers differ from mask to mask."""
    tops = {max(f.counts) for f in masks.values() if max(f.counts) > 0}
    whole = all(set(f.counts) | {0} == set(range(max(f.counts) + 1)) for f in masks.values())
    return whole and len(tops) > 2 and max(tops, default=0) > 12
