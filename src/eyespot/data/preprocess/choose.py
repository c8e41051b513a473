"""What kind of thing the files hold, and how they are read: chosen from what their headers say, with the reasons."""

from collections import Counter
from dataclasses import dataclass
from math import ceil

import numpy as np

from eyespot.data.header import WORD, Header
from eyespot.data.preprocess.preprocessing import FITS, Preprocessing, an
from eyespot.data.preprocess.spectrum import BANDS, HOP
from eyespot.data.store import Headers
from eyespot.errors import UserError, nearest

LEAST = 16
"""Samples along an axis below which images are enlarged: of 8 x 8 digits, 99.5% are then told apart instead of 98.2% (20 epochs, two seeds, n = 359)."""
LARGEST, ON_GPU = {1: 4096, 2: 128, 3: 48}, {1: 16384, 2: 224, 3: 96}
"""Samples along an axis that are chosen at the most, by the number of axes: what a CPU and a GPU train in a reasonable time."""
LONGEST = 95
"""The percentile of lengths that still fits whole; longer ones are cut to their middle."""


@dataclass(frozen=True)
class Wishes:
    """What the user asked of the reading; None leaves it open. See `Reading`."""

    size: int | None = None
    fit: str | None = None
    dim: int | None = None
    view: str | None = None


def settle_axes(headers: Headers, asked: int | None) -> Headers:
    """Every file taken as something with the same number of axes; those that cannot be are errors.

    What most files most likely are wins; of equals, what the first one is.
    """
    if asked is not None and asked not in WORD:
        raise UserError(f"dim is {asked}; give 1 for signals, 2 for images or 3 for volumes")
    dim = asked or Counter(each.dim for each in headers.facts.values()).most_common(1)[0][0]
    found, errors = {}, dict(headers.errors)
    for i, each in headers.facts.items():
        taken = each.taken_as(dim)
        if taken is None:
            rest = "you asked for" if asked else "the others are"
            errors[i] = f"it is {an(WORD[each.dim])}, and {rest} {WORD[dim]}s; move it elsewhere"
        else:
            found[i] = taken
    return Headers(found, errors)


def choose_preprocessing(
    headers: Headers, wishes: Wishes, largest: dict[int, int]
) -> tuple[Preprocessing, dict[str, str]]:
    """How files become arrays, with the reason for each choice.

    largest   samples along an axis, at the most, by the number of axes
    """
    if wishes.fit not in (None, *FITS):
        raise UserError(f"fit is {wishes.fit!r}; {nearest(wishes.fit, list(FITS))}")
    facts = list(headers.facts.values())
    dim, reasons = facts[0].dim, {}
    fit = wishes.fit or "pad"
    reasons["fit"] = _why_fit(facts, wishes)
    view, reasons["view"] = _view(facts, wishes)
    kinds = Counter(f.channels for f in facts)
    mixed = dim == 2 and set(kinds) <= {1, 3}
    channels = max(kinds) if mixed else kinds.most_common(1)[0][0]
    accepts = tuple(sorted(kinds)) if mixed else (channels,)
    reasons["channels"] = f"the files have {' and '.join(map(str, sorted(kinds)))}"
    depth = max((f.depth for f in facts), key=("uint8", "uint16", "float32").index)
    reasons["depth"] = "the deepest of the files" if len({f.depth for f in facts}) > 1 else "the files' own"
    choose = _image_size if dim == 2 else _sound_size if view == "spectrum" else _scaled_size
    size, spacing, unit, reasons["size"] = choose(facts, wishes, largest[dim])
    if view == "spectrum":
        channels *= BANDS
        reasons["channels"] += f", {BANDS} bands of each"
    elif not reasons["view"]:
        del reasons["view"]
    return Preprocessing(size, fit, channels, accepts, depth, dim, spacing, unit, view), reasons


def _why_fit(facts: list[Header], wishes: Wishes) -> str:
    word, even = WORD[facts[0].dim], all(len({*f.shape}) == 1 for f in facts)
    if wishes.fit is not None:
        return "as you asked"
    if facts[0].dim == 1:
        return "zeros beside the shorter ones"
    if even:
        return f"all {word}s are {'square' if word == 'image' else 'cubes'}"
    return (
        f"the {word}s are not all {'square' if word == 'image' else 'cubes'}; pad keeps objects at the edges"
    )


def _view(facts: list[Header], wishes: Wishes) -> tuple[str, str]:
    sounds = all(f.kind == "WAV" for f in facts)
    if wishes.view == "spectrum" and not sounds:
        raise UserError("view 'spectrum' is for sounds, and not all files are WAV; use --view samples")
    if wishes.view is not None:
        return wishes.view, "as you asked"
    return ("spectrum", "all files are sounds") if sounds else ("samples", "")


Size = tuple[int, float | None, str, str]
"""Samples along each axis, the spacing and its unit, and the reason."""


def _image_size(facts: list[Header], wishes: Wishes, largest: int) -> Size:
    """Images have no common scale: each is scaled to fit."""
    long = int(np.median([max(f.shape) for f in facts]))
    if wishes.size is not None:
        return wishes.size, None, "", "as you asked"
    why = "the images' own"
    if long < LEAST:
        why = f"the longer side is {long}; less than {LEAST} is enlarged"
    if long > largest:
        why = f"the longer side is {long} (median); {_reasonable(largest, 2)}"
    return min(max(long, LEAST), largest), None, "", why


def _reasonable(largest: int, dim: int) -> str:
    here = f", and {ON_GPU[dim]} with a GPU" if largest == LARGEST[dim] else " here"
    return f"{largest} is what can be trained in a reasonable time{here}"


def _scaled_size(facts: list[Header], wishes: Wishes, largest: int) -> Size:
    """Signals and volumes are all brought to one scale, the finest at which the longest still fit."""
    unit = _unit(facts)
    finest = float(np.median([min(f.spacing) for f in facts if f.spacing])) if unit else 1.0
    extents = [
        max(
            n * s
            for n, s in zip(f.shape, (f.spacing if unit and f.spacing else [finest] * f.dim), strict=True)
        )
        for f in facts
    ]
    own = ceil(float(np.percentile(extents, LONGEST)) / finest - 1e-6)
    size = wishes.size or min(max(own, LEAST), largest)
    coarser = own > size and wishes.fit != "crop"
    spacing = own * finest / size if coarser else finest
    word = WORD[facts[0].dim]
    why = "as you asked" if wishes.size else f"the longest {word} is {own}" if max(extents) <= own * finest else (
        f"{own} holds {LONGEST}% of the {word}s whole; longer ones are cut to their middle"
    )  # fmt: skip
    if coarser and not wishes.size:
        why = f"the longest are {own}; {_reasonable(largest, facts[0].dim)}"
    return size, spacing, unit, why + (f"; a sample is {spacing:.3g} {unit}" if unit else "")


def _sound_size(facts: list[Header], wishes: Wishes, largest: int) -> Size:
    """Frames of a spectrum that hold the longest sounds, all at one rate."""
    spacing = float(np.median([f.spacing[0] for f in facts]))
    frames = [f.shape[0] * f.spacing[0] / HOP for f in facts]
    most = max(LEAST, ceil(float(np.percentile(frames, LONGEST))))
    if wishes.size:
        return wishes.size, spacing, "s", "as you asked, in frames of 10 ms"
    why = f"frames of 10 ms that hold {LONGEST}% of the sounds whole; longer ones are cut to their middle"
    return min(most, largest), spacing, "s", why


def _unit(facts: list[Header]) -> str:
    """Of the files' spacing, where most tell it."""
    telling = sum(bool(f.spacing) for f in facts)
    return ("s" if facts[0].dim == 1 else "mm") if 2 * telling > len(facts) else ""
