"""Whether what lies along the edges of masks was put there by an interpolation, or is crisp labels that meet.

Interpolation leaves values that fill no area in any mask, along most edges. A label that lies between two others in
value, such as the liver around a tumour or a cell between two cells, fills areas, and is only seldom thin.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from eyespot.data.masks.soft_edges import Edges, Span

CRISP = 0.5
"""Values of which at least this share of pixels lies within areas are labels."""
LEAST = 4
"""Fewer pixels than these say nothing."""
SHARE = 0.02
"""Of all that lies along edges, interpolated pixels are more than this."""
SHARE_OF_LABELS = 0.2
"""The same along edges where all interpolated values are labels too, as 1 between 0 and 2 is."""
NEARLY_ALL = 0.8
"""Masks of which so many have labels between two others, wherever these meet, were interpolated."""
WIDE = 8
"""Between values so far apart, interpolation leaves several values, or the middle one."""
ALONE = 0.2
"""The share of a value's pixels that are between others so far apart, from which it is a class."""


def crisp_values(counts: Counter[int], masks: Iterable[Edges]) -> frozenset[int]:
    """The values that fill areas, of all masks together.

    counts   how often each value occurs in all masks
    """
    solid: Counter[int] = Counter()
    for edges in masks:
        solid.update(edges.solid)
    return frozenset(value for value, n in counts.items() if solid[value] >= CRISP * n)


def line_values(masks: Iterable[Edges], crisp: frozenset[int]) -> frozenset[int]:
    """Values of a class that is thin everywhere, such as poles: alone between others, and not in their middle."""
    between: Counter[tuple[Span, int]] = Counter()
    for edges in masks:
        between.update({key: n for key, n in edges.between.items() if key[1] not in crisp})
    levels = Counter(span for span, _ in between)
    total: Counter[int] = Counter()
    alone: Counter[int] = Counter()
    for ((low, high), value), n in between.items():
        total[value] += n
        if levels[low, high] == 1 and high - low >= WIDE and abs(2 * value - low - high) > 2:
            alone[value] += n
    return frozenset(value for value, n in alone.items() if n >= max(LEAST, ALONE * total[value]))


def is_soft(masks: Iterable[Edges], labels: frozenset[int]) -> bool:
    """Whether masks have pixels that were put between two values, and are no labels."""
    masks = list(masks)
    soft = sum(_along_edges(masks, lambda value: value not in labels).values())
    others = sum(n for e in masks for (_, value), n in e.between.items() if value in labels)
    thin = sum(edges.thin for edges in masks) - others
    direct = sum(n for edges in masks for n in edges.direct.values())
    if soft < max(LEAST, 0.2 * thin, SHARE * (soft + direct)):
        return False
    return soft + sum(edges.ringing for edges in masks) >= 0.7 * thin


def is_soft_between_labels(masks: Iterable[Edges], crisp: frozenset[int]) -> bool:
    """Whether labels are thin between two others in nearly all masks and along many edges, as no crisp labels are.

    crisp   see `crisp_values`
    """
    masks = list(masks)
    spans = _along_edges(masks, lambda value: value in crisp)
    thin = sum(spans.values())
    direct = sum(edges.direct.get(span, 0) for edges in masks for span in spans)
    if thin < 2 * LEAST or thin < SHARE_OF_LABELS * (thin + direct):
        return False
    having = [e for e in masks if spans.keys() & (set(e.direct) | {span for span, _ in e.between})]
    soft = [e for e in having if any(span in spans for span, _ in e.between)]
    return len(soft) >= NEARLY_ALL * len(having)


def _along_edges(masks: list[Edges], counted: Callable[[int], bool]) -> Counter[Span]:
    """Thin pixels by the two values that they lie between, but for contours that are a class."""
    between: Counter[tuple[Span, int]] = Counter()
    direct: Counter[Span] = Counter()
    for edges in masks:
        direct.update(edges.direct)
        between.update({(span, value): n for (span, value), n in edges.between.items() if counted(value)})
    spans: Counter[Span] = Counter()
    levels: dict[Span, set[int]] = {}
    for (span, value), n in between.items():
        spans[span] += n
        levels.setdefault(span, set()).add(value)
    return Counter({span: n for span, n in spans.items() if len(levels[span]) > 1 or direct[span] > 0.1 * n})
