"""What is in a data set of images and masks and what would spoil a result."""

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyespot.console import count, track
from eyespot.data.duplicates import clusters, exact, near
from eyespot.data.formats.read import load_bytes
from eyespot.data.header import WORD, Array, Header, Unreadable
from eyespot.data.masks import VOID, Mapping, MaskValues, Proposal, mask_values, propose
from eyespot.data.multilabel import channel_values, propose_multilabel, unpack
from eyespot.data.preprocess.choose import LARGEST, Wishes, settle_axes
from eyespot.data.preprocess.preprocessing import OWN, Preprocessing
from eyespot.data.ragged_store import Pairs, load_pairs
from eyespot.data.sources.folders import find
from eyespot.data.sources.samples import Source
from eyespot.data.store import scan
from eyespot.data.survey import ERROR, NOTE, WARNING, Problem, Survey, doubles, passed_over, survey
from eyespot.errors import UserError
from eyespot.parallel import in_order


@dataclass(frozen=True, kw_only=True)
class PairSurvey(Survey):
    """A data set of images and masks, read once. `images` are Pairs; `labels` is zero for all."""

    images: Pairs
    mapping: Mapping  # type: ignore[reportGeneralTypeIssues]  (the field of Survey, no longer optional)
    shares: NDArray[np.float64]
    """(images, classes) the share of each image's counted pixels that each class has."""
    overlap: float = 0.0
    """The share of all counted pixels that belong to several classes."""

    @property
    def classes(self) -> tuple[str, ...]:
        return self.mapping.classes

    def as_shown(self, labels: NDArray[np.uint8]) -> Array:
        """(*S) labels as `pictures.overlay` takes them: (classes, *S) where classes may overlap"""
        return unpack(labels, len(self.classes)) if self.mapping.multilabel else labels


def survey_any(
    data: str | os.PathLike,
    wishes: Wishes,
    largest: dict[int, int] = LARGEST,
    void: str | None = None,
    multilabel: bool = False,
) -> Survey:
    """Scan, decode and judge a data set of classes, or of images and masks. See `survey` and `survey_pairs`."""
    source = find(data)
    if source.has_masks:
        return survey_pairs(source, wishes, void, multilabel)
    if multilabel:
        raise UserError(f"multilabel is for images with masks, and {source.name} has classes: leave it out")
    return survey(source, wishes, largest)


def survey_pairs(source: Source, wishes: Wishes, void: str | None, multilabel: bool = False) -> PairSurvey:
    """Scan, decode and judge. Raises UserError where nothing can be trained.

    multilabel   a mask has a channel per class; where classes have masks of their own, this need not be said
    """
    if wishes.fit not in (None, OWN) or wishes.view not in (None, "samples"):
        asked = "fit" if wishes.fit not in (None, OWN) else "view"
        raise UserError(
            f"{asked} is for data of classes: images with masks are taken at their own size, as they are"
        )
    headers = scan(source)
    if headers.facts:
        headers = settle_axes(headers, wishes.dim)
    if not headers.facts:
        first = source.samples[0].path
        raise UserError(
            f"none of the {len(source.samples)} images of {source.name} can be read; the first, {first}: {headers.errors[0]}"
        )
    preprocessing, reasons = choose_own_size(list(headers.facts.values()))
    multilabel = multilabel or source.by_class
    masks, errors = _read_masks(source, sorted(headers.facts), preprocessing.dim, multilabel)
    headers.errors.update(errors)
    for i in errors:
        del headers.facts[i]
    if not masks:
        raise UserError(f"no mask can be read; the first: {next(iter(errors.values()))}")
    if multilabel:
        proposal = propose_multilabel(masks, source.classes, source.by_class, void)
    else:
        proposal = propose(masks, list(source.classes) or None, void)
    reasons["classes"] = proposal.reason
    pairs = load_pairs(source, headers, preprocessing, proposal.mapping)
    if not len(pairs.rows):
        raise UserError(f"no image and mask fit together; the first: {next(iter(pairs.errors.values()))}")
    shares, overlap = _shares(pairs, proposal.mapping)
    if multilabel:
        reasons["classes"] += f"; {overlap:.1%} of the pixels belong to several"
    facts = [headers.facts[int(i)] for i in pairs.rows]
    same = exact(dict(enumerate(facts)))
    similar = near(pairs.thumbs, min(min(f.shape) for f in facts))
    found = PairSurvey(
        source=source,
        headers=headers,
        preprocessing=preprocessing,
        reasons=reasons,
        images=pairs,
        problems=[],
        labels=np.zeros(len(facts), np.int64),
        alike=clusters(len(facts), [*same, *similar.tolist()]),
        facts=facts,
        mapping=proposal.mapping,
        shares=shares,
        overlap=overlap,
    )
    found.problems.extend(
        _problems(found, proposal, masks) + doubles(found, same, similar) + passed_over(source)
    )
    found.problems.sort(key=lambda p: (ERROR, WARNING, NOTE).index(p.level))
    return found


def choose_own_size(facts: list[Header]) -> tuple[Preprocessing, dict[str, str]]:
    """Images keep their own sizes; crops of them are trained."""
    kinds = sorted({f.channels for f in facts})
    mixed = facts[0].dim == 2 and set(kinds) <= {1, 3}
    channels = max(kinds) if mixed else max(kinds, key=[f.channels for f in facts].count)
    depth = max((f.depth for f in facts), key=("uint8", "uint16", "float32").index)
    reasons = {
        "fit": "every image at its own size",
        "channels": f"the files have {' and '.join(map(str, kinds))}",
        "depth": "the deepest of the files",
    }
    accepts = tuple(kinds) if mixed else (channels,)
    return Preprocessing(1, "own", channels, accepts, depth, facts[0].dim), reasons


def _read_masks(
    source: Source, wanted: list[int], dim: int, multilabel: bool
) -> tuple[dict[str, MaskValues], dict[int, str]]:
    """What each mask holds, by its file, and the reason for each sample with one that cannot be read."""

    def read(i: int) -> dict[str, MaskValues] | str:
        facts, facts_of = {}, channel_values if multilabel and source.samples[i].mask else mask_values
        for mask in source.samples[i].mask_files:
            try:
                facts[str(mask)] = facts_of(load_bytes(mask), dim)
            except Unreadable as reason:
                return f"its mask {mask.name} cannot be read: {reason}"
        return facts

    found, errors = {}, {}
    for i, outcome in zip(wanted, track(in_order(read, wanted), len(wanted), "reading masks"), strict=True):
        if isinstance(outcome, str):
            errors[i] = outcome
        else:
            found |= outcome
    return found, errors


def _shares(pairs: Pairs, mapping: Mapping) -> tuple[NDArray[np.float64], float]:
    """(images, classes) of the pixels that count; and of all of them, what share belongs to several classes"""
    counts = np.array([np.bincount(labels.ravel(), minlength=256)[:VOID] for labels in pairs.labels], float)
    if not mapping.multilabel:
        counts = counts[:, : len(mapping.classes)]
        return counts / np.maximum(counts.sum(1, keepdims=True), 1), 0.0
    belongs = np.arange(VOID)[:, None] >> np.arange(len(mapping.classes)) & 1
    several = counts[:, belongs.sum(1) > 1].sum() / max(1, counts.sum())
    return counts @ belongs / np.maximum(counts.sum(1, keepdims=True), 1), float(several)


def _problems(found: PairSurvey, proposal: Proposal, masks: dict[str, MaskValues]) -> list[Problem]:
    out, source, word = (
        [Problem(WARNING, text) for text in proposal.warnings],
        found.source,
        WORD[found.preprocessing.dim],
    )
    names = [str(source.samples[int(i)].path) for i in found.images.rows]
    texts = {
        "mask": (word, "without a mask"),
        "image": ("mask", f"without {'an' if word == 'image' else 'a'} {word}"),
        "folder": (word, "in no folder called images, where others are"),
    }
    for missing, (what, why) in texts.items():
        files = tuple(map(str, source.without.get(missing, ())))
        if files:
            out.append(Problem(WARNING, f"{count(len(files), what)} {why}: left out", files))
    errors = found.images.errors
    if errors:
        lines = tuple(f"{source.samples[i].path}: {why}" for i, why in sorted(errors.items()))
        out.append(
            Problem(WARNING, f"{count(len(errors), 'pair')} cannot be used and will be left out", lines)
        )
    jpeg = tuple(name for name, f in masks.items() if f.kind == "JPEG")
    if jpeg:
        out.append(
            Problem(
                WARNING,
                f"{count(len(jpeg), 'mask')} saved as JPEG, which blurs edges: save masks as PNG",
                jpeg,
            )
        )
    for k, name in enumerate(found.classes):
        if not found.shares[:, k].any():
            out.append(
                Problem(ERROR, f"class {name!r} has no pixel in any mask: is classes.txt or --void right?")
            )
    several = found.mapping.multilabel
    blank = found.shares.sum(1) == 0 if several else found.shares[:, 0] == 1.0
    empty = tuple(n for n, nothing in zip(names, blank, strict=True) if nothing)
    if len(empty) == len(names):
        out.append(Problem(ERROR, f"all {len(names)} masks are empty: are these the masks?"))
    elif empty and (several or found.classes[0] == "background"):
        what = "nothing of any class" if several else "background only"
        out.append(Problem(NOTE, f"{count(len(empty), word)} with {what}", empty))
    nothing = tuple(n for n, labels in zip(names, found.images.labels, strict=True) if (labels == VOID).all())
    if nothing:
        out.append(
            Problem(
                WARNING,
                f"{count(len(nothing), word)} with void only: nothing can be learned from them",
                nothing,
            )
        )
    if len(names) < 2:
        out.append(
            Problem(
                ERROR, f"{source.name} has one {word} with a mask only, so none can be held out: add some"
            )
        )
    return out
