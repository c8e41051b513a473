"""What is in a data set of classes and what would spoil a result: reported before anything is trained."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from eyespot.config import Config
from eyespot.data.guesses import summarise_guesses
from eyespot.data.images import load_images
from eyespot.data.plausibility.padding import fit_without_padding
from eyespot.data.preprocess.choose import choose_preprocessing, scan_one_kind
from eyespot.data.preprocess.spectrum import HOP
from eyespot.data.preprocess.values import choose_values
from eyespot.data.sources.samples import Source
from eyespot.data.surveys.checks import Duplicates, ignored_files, matching, repeated, unreadable
from eyespot.data.surveys.conversions import converted
from eyespot.data.surveys.near_labels import near_equal_classes
from eyespot.data.surveys.photographs import about_photographs
from eyespot.data.surveys.survey import ERROR, NOTE, WARNING, Problem, Survey
from eyespot.plurals import count

IMBALANCE = 3.0
"""The largest class over the smallest, from which class weights are used."""


def survey_classes(source: Source, options: Config, largest: dict[int, int]) -> Survey:
    """Scan, decode and check a data set of classes. See `survey_data`."""
    scan = scan_one_kind(source, options)
    preprocessing, reasons = choose_preprocessing(scan, options, largest)
    if preprocessing.dim == 2 and not options.fit and (other := fit_without_padding(source, scan.headers)):
        preprocessing = replace(preprocessing, fit=other[0])
        reasons["fit"] = other[1]
    values, value_guesses = choose_values(source, scan, options)
    preprocessing = replace(preprocessing, **values)
    images = load_images(source, scan, preprocessing)
    headers = [scan.headers[int(i)] for i in images.rows]
    position = {name: k for k, name in enumerate(source.classes)}
    detail = int(np.median([min(h.shape) for h in headers])) if headers else 0
    duplicates = Duplicates(
        headers, images.thumbs, min(detail, preprocessing.size), images.pixels, options.duplicates != "keep"
    )
    survey = Survey(
        source=source,
        scan=scan,
        preprocessing=preprocessing,
        reasons=reasons,
        images=images,
        labels=np.array([position[source.samples[int(i)].label] for i in images.rows], np.int64),
        alike=duplicates.alike,
        headers=headers,
        guesses=[*source.guesses, *value_guesses, *summarise_guesses([h.guesses for h in headers])],
    )
    survey.add_problems(_missing_samples(survey))
    remedy = "it" if len(images.errors) == 1 else "them"
    survey.add_problems(
        unreadable(survey, "file", f"cannot be read and will be skipped: replace or delete {remedy}")
    )
    survey.add_problems(_outside_classes(source))
    survey.add_problems(near_equal_classes(source))
    survey.add_problems(repeated(survey, duplicates))
    survey.add_problems(_converted(survey))
    survey.add_problems(_values(survey))
    survey.add_problems(ignored_files(source))
    survey.add_problems(_imbalance(survey))
    survey.guesses.extend(about_photographs(survey, options))
    return survey


def _missing_samples(survey: Survey) -> Iterator[Problem]:
    """Classes that cannot be trained or validated for want of samples."""
    source = survey.source
    if len(source.classes) == 1:
        text = (
            f"{source.name} has one class only ({source.classes[0]}): add {survey.word}s of another class, or give --label-from REGEX if "
            "names of files tell the class"
        )
        yield Problem(ERROR, text)
        return
    splits = source.splits
    readable = Counter(zip(survey.splits.tolist(), survey.labels.tolist(), strict=True))
    for k, name in enumerate(source.classes):
        counts = {split: readable[split, k] for split in splits}
        total = sum(counts.values())
        empty = [split for split in splits if split and not counts[split]]
        if total == 0:
            text = f"class {name!r} has no readable {survey.word}: add some or remove its folder"
            yield Problem(ERROR, text)
        elif splits == ("",) and total == 1:
            text = f"class {name!r} has one {survey.word} only, so none is left for validation: add some or remove the class"
            yield Problem(ERROR, text)
        elif empty:
            filled = next(split for split in splits if counts[split])
            text = f"class {name!r} has {survey.word}s in {filled}/ but none in {empty[0]}/: add some, or remove the class from both"
            yield Problem(ERROR, text)


def _outside_classes(source: Source) -> list[Problem]:
    files = tuple(map(str, source.without.get("class", ())))
    if not files:
        return []
    ignored = "is ignored: move it" if len(files) == 1 else "are ignored: move each"
    text = f"{count(len(files), 'file')} outside the class folders {ignored} into the folder of its class to use it"
    return [Problem(WARNING, text, files)]


def _converted(survey: Survey) -> Iterator[Problem]:
    """Files that are changed when they are read, by what is changed."""
    headers = survey.headers
    preprocessing = survey.preprocessing
    yield from converted(survey)
    if len({h.spacing for h in headers}) > 1:
        what = "sampling rate" if preprocessing.dim == 1 else "voxel size"
        other = [h.spacing != headers[0].spacing for h in headers]
        yield from matching(survey, NOTE, other, f"with another {what} than the first: resampled to one")
    yield from matching(survey, NOTE, _is_cut(survey), "too long: cut to the middle")


def _values(survey: Survey) -> Iterator[Problem]:
    """What is unusual about the decoded values."""
    low = survey.images.low
    high = survey.images.high
    if survey.preprocessing.depth == "uint16" and len(high):
        text = f"16-bit values from {low.min():.0f} to {high.max():.0f} of 65535: kept at full depth, normalised by mean and standard deviation"
        yield Problem(NOTE, text)
    flat = "with a single value: nothing can be learned from them"
    yield from matching(survey, WARNING, low == high, flat)


def _is_cut(survey: Survey) -> list[bool]:
    """By row, whether the ends of a file are lost."""
    preprocessing = survey.preprocessing
    spacing = preprocessing.spacing
    if spacing is None or preprocessing.fit != "pad":
        return []
    longest = preprocessing.size * (HOP if preprocessing.view == "spectrum" else spacing)
    assumed = spacing if preprocessing.unit else 1.0

    def extent(shape: tuple[int, ...], steps: tuple[float, ...]) -> float:
        steps = steps if preprocessing.unit and steps else (assumed,) * len(shape)
        return max(n * step for n, step in zip(shape, steps, strict=True))

    return [extent(h.shape, h.spacing) > longest * (1 + 1e-6) for h in survey.headers]


def _imbalance(survey: Survey) -> list[Problem]:
    counts = Counter(survey.labels.tolist()).most_common()
    if len(counts) < 2:
        return []
    largest, n = counts[0]
    smallest, m = counts[-1]
    if n / m < IMBALANCE:
        return []
    names = survey.classes
    text = (
        f"class {names[largest]!r} has {n / m:.1f} times the {survey.word}s of {names[smallest]!r} ({n} and {m}): class weights are used; "
        "read the balanced accuracy"
    )
    return [Problem(WARNING, text)]
