"""What masks must not have: soft edges, noise, transparency in some of them, two values for the same."""

from collections import Counter
from dataclasses import replace

from eyespot.data.masks.colour_noise import without_noise
from eyespot.data.masks.mapping import COLOUR, shown
from eyespot.data.masks.soft_edges import MIN_CONTRAST
from eyespot.data.masks.soft_edges_decision import crisp_values, is_soft, is_soft_between_labels, line_values
from eyespot.data.masks.statistics import MaskValues, total_counts
from eyespot.errors import UserError
from eyespot.plurals import count

SOLID = 0.5
"""A value of which a smaller share of pixels is solid lies along edges, and is no class, where masks are hardened."""
PEAK = 0.2
"""The same for the most frequent value within WIDE of it."""
WIDE = 64
LEVELS_ALONG_EDGES = 12
"""Values that lie nowhere but along edges, and next to several others, from which they are no classes."""
NOISE = 0.5
"""The share of pixels that lie in no area, from which masks are photographs or probabilities."""
NOISE_OF_JPEG = 0.85
"""The same where JPEG has blurred areas of few values."""
NEARLY_WHITE = 240
"""Grey values from which two are hardly different classes."""
MANY = 64
"""Values of one mask that are many for classes."""


def refuse_alpha(masks: dict[str, MaskValues]) -> None:
    """Raises UserError where the alpha channel is the mask in some files, and not in others."""
    alpha = [name for name, mask in masks.items() if mask.kind == "alpha"]
    others = [name for name, mask in masks.items() if mask.kind != "alpha"]
    if alpha and others:
        raise UserError(
            f"{count(len(alpha), 'mask')} ({alpha[0]}) can be read from the alpha channel only, since nothing else differs, "
            f"and {len(others)} ({others[0]}) cannot: save all without transparency"
        )


def refuse_soft(masks: dict[str, MaskValues]) -> None:
    """Raises UserError for masks with soft edges."""
    soft = soft_masks(masks)
    if not soft:
        return
    name = soft[0]
    how = "JPEG blurs them" if masks[name].kind == "JPEG" else "it was resized or saved with smoothed edges"
    more = f", and so have {len(soft) - 1} more" if len(soft) > 1 else ""
    raise UserError(
        f"the mask {name} has soft edges, {len(masks[name].counts)} different values ({how}){more}: save masks as PNG with "
        "one value per class, or use --harden to give each pixel the nearer value, or --no-harden if all values are classes"
    )


def soft_masks(masks: dict[str, MaskValues]) -> list[str]:
    """The masks of which pixels along edges lie between two values."""
    numbers = {name: mask for name, mask in masks.items() if mask.kind != "palette"}
    edges = [mask.edges for mask in numbers.values()]
    crisp = crisp_values(total_counts(numbers), edges)
    labels = crisp | line_values(edges, crisp)
    soft = [name for name, mask in numbers.items() if _is_soft(mask, labels)]
    if soft or not (is_soft(edges, labels) or is_soft_between_labels(edges, crisp)):
        return soft
    return [name for name, mask in numbers.items() if mask.edges.between]


def _is_soft(mask: MaskValues, labels: frozenset[int]) -> bool:
    total = sum(mask.counts.values())
    if mask.kind == "JPEG" and len(mask.counts) > 2:
        solid = mask.edges.solid
        if any(solid.get(value, 0) < SOLID * n for value, n in mask.counts.items()):
            return True
    ends = mask.counts.get(0, 0) + mask.counts.get(255, 0)
    odd = set(mask.counts) - labels
    if len(mask.counts) > MANY and max(mask.counts) == 255 and ends > 0.8 * total and 2 * len(odd) > MANY:
        return True
    if sum(mask.edges.between.values()) >= 8 and is_soft([mask.edges], labels):
        return True
    along_edges = len(odd - set(mask.edges.solid))
    many = along_edges >= LEVELS_ALONG_EDGES and 2 * along_edges > len(mask.counts)
    return many and mask.edges.crowded > 0.8 * mask.edges.thin


def refuse_noise(masks: dict[str, MaskValues]) -> None:
    """Raises UserError for files in which most pixels differ from their neighbours: photographs, or probabilities."""
    noisy = [
        name
        for name, mask in masks.items()
        if len(mask.counts) > MANY
        and mask.edges.thin > (NOISE_OF_JPEG if mask.kind == "JPEG" else NOISE) * sum(mask.counts.values())
    ]
    if noisy:
        counts = masks[noisy[0]].counts
        raise UserError(
            f"the mask {noisy[0]} has {len(counts):,} values, and most of its pixels differ from those around them: are "
            "these the masks, and not images or probabilities? (--no-harden takes the values as they are)"
        )


def hardened(masks: dict[str, MaskValues]) -> tuple[dict[str, MaskValues], list[str]]:
    """The masks with only the values that occur within areas, and a sentence about the others."""
    kept = _kept_values(masks)
    total = total_counts(masks)
    if min(total) >= COLOUR and any(mask.kind == "JPEG" for mask in masks.values()):
        kept = without_noise(kept, total)
    others = {
        value: n for mask in masks.values() for (_, value), n in mask.edges.between.items() if value in kept
    }
    changed = sum(n for value, n in total.items() if value not in kept) + sum(others.values())
    files = [name for name, mask in masks.items() if mask.edges.between or set(mask.counts) - kept]
    text = (
        f"{changed:,} pixels ({changed / sum(total.values()):.1%}) at the soft edges of {count(len(files), 'mask')} take the "
        f"nearer of the values {', '.join(map(shown, sorted(kept)))}"
    )
    dropped = [value for value in total if value not in kept and _fills_areas(value, masks)]
    if dropped:
        dropped.sort(key=lambda value: -total[value])
        text += (
            f"; {count(len(dropped), 'value')} that fill small areas are dropped, such as {shown(dropped[0])}"
        )
    if not kept:
        raise UserError(
            "no value of the masks fills an area, so there is nothing to harden: are these the masks?"
        )
    return {name: _only(mask, kept) for name, mask in masks.items()}, [text] * bool(changed)


def _fills_areas(value: int, masks: dict[str, MaskValues]) -> bool:
    """Whether a quarter of the pixels of a value lie within areas."""
    solid = sum(mask.edges.solid.get(value, 0) for mask in masks.values())
    return solid >= 0.25 * sum(mask.counts.get(value, 0) for mask in masks.values()) and solid > 0


def _only(mask: MaskValues, kept: set[int]) -> MaskValues:
    counts = {value: n for value, n in mask.counts.items() if value in kept}
    pieces = {value: n for value, n in mask.pieces.items() if value in kept}
    return replace(mask, counts=counts or {min(kept): sum(mask.counts.values())}, pieces=pieces)


def _kept_values(masks: dict[str, MaskValues]) -> set[int]:
    """Values of which most pixels lie within areas; of those that nearly agree, as JPEG makes them, the most frequent."""
    total = total_counts(masks)
    solid: dict[int, int] = {}
    for mask in masks.values():
        for value, n in mask.edges.solid.items():
            solid[value] = solid.get(value, 0) + n
    kept: set[int] = set()
    near = MIN_CONTRAST // 2 if max(total) <= 255 and max(total) - min(total) >= 4 * MIN_CONTRAST else 0
    for value, n in sorted(solid.items(), key=lambda item: -item[1]):
        is_near = any(abs(value - other) <= near and n < 0.2 * solid[other] for other in kept)
        is_peak = near and all(total[v] <= total[value] for v in total if abs(v - value) < WIDE)
        if n >= (PEAK if is_peak else SOLID) * total[value] and not is_near:
            kept.add(value)
    return kept | _peak(total, kept) if near and len(kept) == 1 else kept


def _peak(total: Counter[int], kept: set[int]) -> set[int]:
    """Where all areas are too small to keep one value: the most frequent value far from the one that is kept."""
    far = {value: n for value, n in total.items() if all(abs(value - other) >= WIDE for other in kept)}
    value = max(far, key=lambda v: far[v], default=None)
    if value is None:
        return set()
    close = sum(n for v, n in far.items() if abs(v - value) <= MIN_CONTRAST // 2)
    return {value} if close > PEAK * sum(n for v, n in total.items() if v not in kept) else set()


def refuse_near(masks: dict[str, MaskValues]) -> None:
    """Raises UserError where masks have one value above 0 each, and in some it is nearly the highest of the others."""
    values = {name: set(mask.counts) - {0} for name, mask in masks.items() if mask.kind != "palette"}
    single = {name: own.pop() for name, own in values.items() if len(own) == 1}
    high = sorted({value for value in single.values() if NEARLY_WHITE <= value <= 255})
    if len(high) < 2 or set(total_counts(masks)) - {0, *high} or len(single) < len(masks) - _empty(masks):
        return
    first, other = (next(name for name, value in single.items() if value == v) for v in (high[0], high[-1]))
    raise UserError(
        f"the mask {first} has {high[0]} where others such as {other} have {high[-1]}: write one value in all if both "
        "mean the same, or use --no-harden if they are classes"
    )


def _empty(masks: dict[str, MaskValues]) -> int:
    return sum(not set(mask.counts) - {0} for mask in masks.values())


def refuse_mixed(masks: dict[str, MaskValues]) -> None:
    """Raises UserError where some masks hold 0 and 1, others 0 and 255, and none both: the same may be meant."""
    ones = [name for name, mask in masks.items() if 1 in mask.counts]
    high = [name for name, mask in masks.items() if 255 in mask.counts]
    if not set(ones) & set(high):
        raise UserError(
            f"{len(ones)} of the masks hold 0 and 1 ({ones[0]}) and {len(high)} hold 0 and 255 ({high[0]}): write the same "
            "value in all, or use --void 255 if 255 marks pixels that do not count"
        )
