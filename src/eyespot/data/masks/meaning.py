"""What the values of the masks of a data set mean: classes or objects, and what does not count."""

from collections import Counter
from dataclasses import dataclass, field, replace

from eyespot.config import Config
from eyespot.data.guesses import Guess
from eyespot.data.masks.checks import (
    hardened,
    refuse_alpha,
    refuse_mixed,
    refuse_near,
    refuse_noise,
    refuse_soft,
)
from eyespot.data.masks.mapping import COLOUR, MOST_CLASSES, VOID, Mapping, number_of, shown
from eyespot.data.masks.objects_or_classes import Reading, even_levels, evidence_of, read_values
from eyespot.data.masks.statistics import MaskValues, as_colours, total_counts
from eyespot.errors import UserError
from eyespot.plurals import count

UNLABELLED = (-1, VOID)
"""Values that masks have for pixels that do not count."""
OTHERS_BESIDE_VOID = 20
"""How many times more pixels than all classes void may have, beside a background."""
ALONE = 0.25
"""The share of the masks with 255 that have no other value than 0, from which it may be a class."""
SHOWN = 12
"""Values that a sentence lists."""


@dataclass
class Proposal:
    """A mapping, why it is so, what was guessed, and what a user should know."""

    mapping: Mapping
    reason: str
    warnings: list[str] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)


def propose(
    masks: dict[str, MaskValues], names: list[str] | None = None, options: Config = Config()
) -> Proposal:
    """Which value means what, from the values in all masks. Raises UserError where that cannot be known.

    names     of the classes, in the order of the values, if the user gave them
    options   the settings objects, void and harden say what is not to be guessed
    """
    refuse_alpha(masks)
    masks = as_colours(masks)
    warnings: list[str] = []
    if options.harden:
        masks, warnings = hardened(masks)
    elif options.harden is None:
        refuse_noise(masks)
        refuse_soft(masks)
        refuse_near(masks)
    values = sorted(total_counts(masks))
    if options.void is None and values == [0, 1, 255]:
        refuse_mixed(masks)
    void = asked_void(options.void, values)
    if void is None and options.void is None:
        void = _likely_void(total_counts(masks))
        if void == VOID:
            _refuse_void_alone(masks)
    reading = _read(masks, names, options, void)
    if reading.value == "objects":
        proposal = _of_objects(masks, names, options, void)
    else:
        proposal = _of_classes(masks, names, options, void)
    proposal.mapping = replace(proposal.mapping, harden=bool(options.harden))
    proposal.warnings[:0] = warnings
    if reading.reason:
        other = "--classes" if reading.value == "objects" else "--objects"
        proposal.guesses.insert(0, Guess("values of the masks", reading.value, reading.reason, other))
    return proposal


def _read(
    masks: dict[str, MaskValues], names: list[str] | None, options: Config, void: int | None
) -> Reading:
    """Classes or objects, and why; without a reason where it is not a guess. Raises UserError where both fit."""
    if options.objects is not None:
        return Reading("objects" if options.objects else "classes", "")
    values = [v for v in total_counts(masks) if v != void]
    if names and len(names) == len(values):
        return Reading("classes", "")
    evidence = evidence_of(masks, void)
    if len(evidence.values) < 2:
        return Reading("classes", "")
    reading = read_values(evidence)
    if reading.value == "objects" and max(values) >= COLOUR and COLOUR not in values:
        return Reading("classes", "none of the colours is black, which would be the background of objects")
    if not reading.value:
        raise UserError(
            f"the values of the masks ({listed(sorted(values))}) may number objects or be classes: {reading.reason}; "
            "use --objects or --classes"
        )
    return reading


def _of_objects(
    masks: dict[str, MaskValues], names: list[str] | None, options: Config, void: int | None
) -> Proposal:
    values = sorted(total_counts(masks))
    if options.void is None and void == VOID and not _is_void_of_objects(masks, values):
        void = None
    numbers = [v for v in values if v != void]
    if numbers and numbers[0] < 0:
        raise UserError(
            f"the masks have the value {numbers[0]}, and no object has a number below 0: use --void {numbers[0]} if these "
            "pixels do not count, or --classes"
        )
    if numbers and numbers[-1] >= COLOUR and COLOUR not in numbers:
        raise UserError(
            "the masks have no black pixels, and objects with a colour each need a black background"
        )
    mapping = Mapping((0, 1), BACKGROUND_AND_OBJECT, void, objects=True)
    proposal = Proposal(mapping, f"{count(len(values), 'value')}: objects with a number each")
    if names:
        proposal.warnings.append(
            f"the class names {', '.join(names[:SHOWN])} are not used, since the masks number objects: use --classes if "
            "their values are classes"
        )
    _add_void(proposal, masks, options)
    return proposal


BACKGROUND_AND_OBJECT = ("background", "object")


def _is_void_of_objects(masks: dict[str, MaskValues], values: list[int]) -> bool:
    """Whether 255 is no number: it is the highest, and in most masks."""
    return values[-1] == VOID and 2 * sum(VOID in mask.counts for mask in masks.values()) > len(masks)


def _of_classes(
    masks: dict[str, MaskValues], names: list[str] | None, options: Config, void: int | None
) -> Proposal:
    values = sorted(total_counts(masks))
    kept = tuple(v for v in values if v != void)
    if len(kept) < 2:
        raise UserError(
            f"the masks hold the value {shown(kept[0]) if kept else shown(values[0])} only: there is nothing to tell apart; are these the masks?"
        )
    if names and len(names) != len(kept):
        raise UserError(
            f"{count(len(names), 'class name is', 'class names are')} given, and the masks hold {count(len(kept), 'value')} ({listed(kept)})"
        )
    if len(kept) > MOST_CLASSES:
        raise UserError(
            f"the masks hold {len(kept):,} values ({listed(kept)}), and there can be {MOST_CLASSES} classes: use --objects "
            "if they number objects"
        )
    is_binary = len(kept) == 2 and kept[0] == 0
    classes = tuple(names or (BACKGROUND_AND_OBJECT if is_binary else map(shown, kept)))
    proposal = Proposal(Mapping(kept, classes, void), f"the values {listed(values)}")
    _add_void(proposal, masks, options)
    return proposal


def _add_void(proposal: Proposal, masks: dict[str, MaskValues], options: Config) -> None:
    """The guess that a value is void."""
    void = proposal.mapping.void
    if void is None or options.void is not None:
        return
    total = total_counts(masks)
    share = total[void] / sum(total.values())
    reason = f"masks often have it where nothing counts, here in {share:.1%} of the pixels"
    proposal.guesses.append(Guess("void", shown(void), reason, "--void none"))


def asked_void(void: str | None, values: list[int]) -> int | None:
    """The value that the user named, if any. Raises UserError for one that no mask has."""
    if void in (None, "none"):
        return None
    value = number_of(void)
    if value not in values:
        raise UserError(f"void is {void!r}, and no mask has that value; they have {listed(values)}")
    return value


def _likely_void(total: Counter[int]) -> int | None:
    """The value that pixels have which do not count, as far as values say: -1 or 255, beside 0 and others.

    Raises UserError where most pixels have it, so that it may be a background as well.
    """
    if len(total) < 3 or 0 not in total or even_levels(frozenset(total)):
        return None
    void = next((v for v in UNLABELLED if v in total and v - 1 not in total), None)
    if void is not None and 2 * total[void] > sum(total.values()):
        raise UserError(
            f"{total[void] / sum(total.values()):.0%} of the pixels of the masks are {void}, which may be a class or mark "
            f"pixels that do not count: use --void none or --void {void}"
        )
    others = sum(n for value, n in total.items() if value not in (0, void))
    if void == VOID and total[void] > OTHERS_BESIDE_VOID * others:
        raise UserError(
            f"the masks have {VOID} in {count(total[void], 'pixel')} and all other values above 0 ({listed([v for v in sorted(total) if v not in (0, void)])}) "
            f"in {others:,}: use --void none if {VOID} is a class, or --void {VOID} if these pixels do not count"
        )
    return void


def _refuse_void_alone(masks: dict[str, MaskValues]) -> None:
    """Raises UserError where 255 is all that many masks have beside the background, as a class may be."""
    having = [name for name, mask in masks.items() if VOID in mask.counts]
    alone = [name for name in having if not set(masks[name].counts) - {0, VOID}]
    if len(alone) > 1 and len(alone) >= ALONE * len(having):
        raise UserError(
            f"{len(alone)} of {len(masks)} masks have {VOID} and nothing else beside 0, such as {alone[0]}: use --void none if "
            f"{VOID} is a class, or --void {VOID} if these pixels do not count"
        )


def listed(values: list[int] | tuple[int, ...]) -> str:
    return ", ".join(map(shown, values[:SHOWN])) + " ..." * (len(values) > SHOWN)
