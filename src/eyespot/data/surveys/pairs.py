"""What is in a data set of images and masks and what would spoil a result."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eyespot.config import Config
from eyespot.console import track
from eyespot.data.formats.channel_files import channel_names
from eyespot.data.formats.read import load_bytes
from eyespot.data.guesses import summarise_guesses
from eyespot.data.header import Header, Unreadable
from eyespot.data.image_pairs import Pairs, load_pairs
from eyespot.data.masks.declared import Declared, declared_masks, drawn_problems
from eyespot.data.masks.mapping import VOID, Mapping
from eyespot.data.masks.meaning import Proposal, propose
from eyespot.data.masks.multilabel import channel_values, propose_multilabel
from eyespot.data.masks.orientation import turned_problems
from eyespot.data.masks.source import mask_name, mask_values
from eyespot.data.masks.statistics import MaskValues
from eyespot.data.preprocess.choose import scan_one_kind
from eyespot.data.preprocess.preprocessing import OWN, Preprocessing
from eyespot.data.preprocess.values import choose_values
from eyespot.data.scan import Scan
from eyespot.data.sources.samples import Sample, Source
from eyespot.data.surveys.checks import Duplicates, ignored_files, matching, repeated, unreadable
from eyespot.data.surveys.conversions import converted, mask_pages_left_out
from eyespot.data.surveys.survey import ERROR, NOTE, WARNING, PairSurvey, Problem
from eyespot.errors import UserError
from eyespot.parallel import in_order
from eyespot.plurals import count


def survey_pairs(source: Source, options: Config) -> PairSurvey:
    """Scan, decode and check images with masks. See `survey_data`. Raises UserError where nothing can be trained."""
    _check_options(options)
    multilabel = options.multilabel or source.by_class
    scan = scan_one_kind(source, options)
    preprocessing, reasons = choose_own_size(list(scan.headers.values()))
    values, value_guesses = choose_values(source, scan, options)
    preprocessing = replace(preprocessing, **values, channel_files=channel_names(source.samples[0].path))
    declared = declared_masks(source, options)
    scan, masks = _with_masks(source, scan, preprocessing, multilabel, declared)
    if declared:
        proposal = Proposal(declared.mapping, declared.reason)
    elif multilabel:
        proposal = propose_multilabel(masks, source.classes, source.by_class, options.void, options.harden)
    else:
        proposal = propose(masks, list(source.classes) or None, options)
    pairs = load_pairs(source, scan, preprocessing, proposal.mapping)
    if not len(pairs.rows):
        i, reason = min(pairs.errors.items())
        raise UserError(f"no image and mask fit together; the first, {source.samples[i].path}: {reason}")
    shares, overlap = _shares(pairs, proposal.mapping)
    several = f"; {overlap:.1%} of the pixels belong to several" if multilabel else ""
    headers = [scan.headers[int(i)] for i in pairs.rows]
    duplicates = Duplicates(
        headers, pairs.thumbs, min(min(h.shape) for h in headers), pairs.pixels, options.duplicates != "keep"
    )
    survey = PairSurvey(
        source=source,
        scan=scan,
        preprocessing=preprocessing,
        reasons=reasons | {"classes": proposal.reason + several},
        images=pairs,
        labels=np.zeros(len(headers), np.int64),
        alike=duplicates.alike,
        headers=headers,
        guesses=[
            *source.guesses,
            *(declared.guesses if declared else ()),
            *value_guesses,
            *summarise_guesses([h.guesses for h in headers]),
            *proposal.guesses,
        ],
        mapping=proposal.mapping,
        shares=shares,
        overlap=overlap,
    )
    survey.add_problems(declared.problems if declared else ())
    _check(survey, proposal, masks, duplicates)
    return survey


def _check_options(options: Config) -> None:
    if options.objects and options.multilabel:
        raise UserError(
            "--objects is for masks with one value per pixel, and --multilabel for a channel per class: leave one out"
        )
    if options.fit not in (None, OWN) or options.view not in (None, "samples"):
        given = "fit" if options.fit not in (None, OWN) else "view"
        raise UserError(
            f"{given} is for data of classes: images with masks are used at their own size, as they are"
        )


def choose_own_size(headers: list[Header]) -> tuple[Preprocessing, dict[str, str]]:
    """Images keep their own sizes; crops of them are trained."""
    channels_of_files = [h.channels for h in headers]
    kinds = sorted(set(channels_of_files))
    mixed = headers[0].dim == 2 and set(kinds) <= {1, 3}
    channels = max(kinds) if mixed else max(kinds, key=channels_of_files.count)
    depth = max((h.depth for h in headers), key=("uint8", "uint16", "float32").index)
    reasons = {
        "fit": "every image at its own size",
        "channels": f"the files have {' and '.join(map(str, kinds))}",
        "depth": "the deepest of the files",
    }
    accepts = tuple(kinds) if mixed else (channels,)
    return Preprocessing(
        1, OWN, channels, accepts, depth, headers[0].dim, voxel_size=_voxel_size(headers)
    ), reasons


def _voxel_size(headers: list[Header]) -> tuple[float, ...]:
    """Millimetres along each axis of most volumes; empty where half of them or more do not state it."""
    known = [h.spacing for h in headers if h.dim == 3 and h.spacing]
    return tuple(np.median(known, axis=0).tolist()) if 2 * len(known) > len(headers) else ()


def _with_masks(
    source: Source, scan: Scan, preprocessing: Preprocessing, multilabel: bool, declared: Declared | None
) -> tuple[Scan, dict[str, MaskValues]]:
    """The scan without the samples whose masks cannot be read, and what each mask file holds."""
    rows = sorted(scan.headers)
    mapping = declared.mapping if declared else None
    outcomes = in_order(lambda i: _read_masks(source.samples[i], preprocessing, multilabel, mapping), rows)
    masks: dict[str, MaskValues] = {}
    errors: dict[int, str] = {}
    for i, outcome in zip(rows, track(outcomes, len(rows), "reading masks"), strict=True):
        if isinstance(outcome, str):
            errors[i] = outcome
        else:
            masks |= outcome
    if not masks:
        raise UserError(f"no mask can be read; the first: {next(iter(errors.values()))}")
    headers = {i: header for i, header in scan.headers.items() if i not in errors}
    return Scan(headers, scan.errors | errors), masks


def _read_masks(
    sample: Sample, preprocessing: Preprocessing, multilabel: bool, mapping: Mapping | None
) -> dict[str, MaskValues] | str:
    """What the masks of a sample hold, by file, or why one cannot be read."""
    values = {}
    dim = preprocessing.dim
    for mask in sample.mask_files:
        try:
            if multilabel and sample.mask:
                values[str(mask)] = channel_values(load_bytes(mask), dim, preprocessing.axes)
            else:
                values[mask_name(sample, mask)] = mask_values(sample, mask, dim, mapping, preprocessing.axes)
        except Unreadable as reason:
            return f"its mask {mask.name} cannot be read: {reason}"
    return values


def _shares(pairs: Pairs, mapping: Mapping) -> tuple[NDArray[np.float64], float]:
    """(images, classes) shares of the counted pixels; and the share of all of them that belongs to several classes"""
    counts = np.array([np.bincount(labels.ravel(), minlength=256)[:VOID] for labels in pairs.labels], float)
    if not mapping.multilabel:
        counts = counts[:, : len(mapping.classes)]
        return counts / np.maximum(counts.sum(1, keepdims=True), 1), 0.0
    belongs = np.arange(VOID)[:, None] >> np.arange(len(mapping.classes)) & 1
    several = counts[:, belongs.sum(1) > 1].sum() / max(1, counts.sum())
    return counts @ belongs / np.maximum(counts.sum(1, keepdims=True), 1), float(several)


def _check(
    survey: PairSurvey, proposal: Proposal, masks: dict[str, MaskValues], duplicates: Duplicates
) -> None:
    survey.add_problems(Problem(WARNING, text) for text in proposal.warnings)
    survey.add_problems(_unpaired(survey.source, survey.word))
    survey.add_problems(unreadable(survey, "pair", "cannot be used and will be skipped"))
    survey.add_problems(_blurred(masks))
    survey.add_problems(drawn_problems(masks))
    survey.add_problems(_transparent(masks))
    survey.add_problems(turned_problems(survey))
    survey.add_problems(_empty(survey))
    survey.add_problems(converted(survey))
    survey.add_problems(mask_pages_left_out(survey))
    survey.add_problems(repeated(survey, duplicates))
    survey.add_problems(ignored_files(survey.source))


def _unpaired(source: Source, word: str) -> Iterator[Problem]:
    """Files that are in no pair; a note where they are named like the images, as masks of another kind are."""
    names = {sample.path.stem for sample in source.samples}
    texts = {
        "mask": (word, "without a mask"),
        "image": ("mask", f"without {'an' if word == 'image' else 'a'} {word}"),
        "folder": (word, "outside the folders called images"),
        "file": (f"annotated {word}", "without a file"),
    }
    for missing, (what, description) in texts.items():
        paths = source.without.get(missing, ())
        same = [path for path in paths if missing == "folder" and path.stem in names]
        for level, own in ((WARNING, [path for path in paths if path not in same]), (NOTE, same)):
            if own:
                skipped = "is skipped" if len(own) == 1 else "are skipped"
                text = f"{count(len(own), what)} {description} {skipped}"
                text += "; if nothing is on them, give each an empty mask" * (missing == "mask")
                yield Problem(
                    level, text + ", named like these images" * (level == NOTE), tuple(map(str, own))
                )


def _blurred(masks: dict[str, MaskValues]) -> list[Problem]:
    jpeg = tuple(name for name, values in masks.items() if values.kind == "JPEG")
    text = f"{count(len(jpeg), 'mask')} saved as JPEG, which blurs edges: save masks as PNG"
    return [Problem(WARNING, text, jpeg)] if jpeg else []


def _transparent(masks: dict[str, MaskValues]) -> Iterator[Problem]:
    """Masks with an alpha channel."""
    texts = {
        "alpha": "with nothing but transparency: the alpha channel is taken as the mask",
        "hidden": "with transparency, which is not used: the colours are taken as they are stored",
    }
    for kind, text in texts.items():
        files = tuple(name for name, values in masks.items() if values.kind == kind)
        if files:
            yield Problem(WARNING, f"{count(len(files), 'mask')} {text}", files)


def _empty(survey: PairSurvey) -> Iterator[Problem]:
    """Classes without a pixel, and masks without a class."""
    for k, name in enumerate(survey.classes):
        if not survey.shares[:, k].any():
            yield Problem(ERROR, f"class {name!r} has no pixel in any mask: is classes.txt or --void right?")
    multilabel = survey.mapping.multilabel
    blank = survey.shares.sum(1) == 0 if multilabel else survey.shares[:, 0] == 1.0
    if blank.all():
        yield Problem(ERROR, f"no mask marks anything ({count(len(blank), 'mask')}): are these the masks?")
    elif multilabel or survey.classes[0] == "background":
        yield from matching(
            survey, NOTE, blank, "with nothing of any class" if multilabel else "with background only"
        )
    void = [bool((labels == VOID).all()) for labels in survey.images.labels]
    yield from matching(survey, WARNING, void, "with void only: nothing can be learned from them")
    if len(blank) < 2:
        text = f"{survey.source.name} has one {survey.word} with a mask only, so none is left for validation: add some"
        yield Problem(ERROR, text)
