"""What is in a data set and what would spoil a result: found before anything is trained."""

import os
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyespot.console import count
from eyespot.data.duplicates import clusters, exact, near
from eyespot.data.header import WORD, Header
from eyespot.data.masks import Mapping
from eyespot.data.preprocess.choose import LARGEST, Wishes, choose_preprocessing, settle_axes
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.data.preprocess.spectrum import HOP
from eyespot.data.sources.folders import find
from eyespot.data.sources.samples import Source
from eyespot.data.store import Headers, Images, load, scan
from eyespot.errors import UserError

ERROR, WARNING, NOTE = "error", "warning", "note"
UNREAD = frozenset(
    ".heic .heif .avif .jxl .jp2 .dcm .czi .nd2 .lif .lsm .oib .oif .vsi .svs .ndpi .mrxs .nrrd .mha .mhd .mrc .ims .h5 .hdf5 "
    ".mat .cr2 .nef .arw .dng .raw .psd .pdf .svg .mp4 .avi .mov .mkv .webm .mp3 .flac .ogg .m4a".split()
)
"""Endings of pictures, volumes and sounds that are not read."""
IMBALANCE = 3.0
"""The largest class over the smallest, from which class weights are used."""


@dataclass(frozen=True)
class Problem:
    """One finding: how bad it is, what it is and how to mend it, and the files concerned."""

    level: str
    text: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """A data set read once: where its files are, how they are read, their values, and what is wrong with them."""

    source: Source
    headers: Headers
    preprocessing: Preprocessing
    reasons: dict[str, str]
    images: Images
    problems: list[Problem]
    labels: NDArray[np.int64]
    """(N,) class positions of the decoded rows."""
    alike: NDArray[np.int64]
    """(N,) equal for rows that show the same picture, exactly or nearly."""
    facts: list[Header]
    """Of the decoded rows."""
    mapping: Mapping | None = None
    """From the values of masks to classes; None where samples have classes."""

    @property
    def task(self) -> str:
        """What is trained: "classification", or "segmentation" where samples have masks."""
        return "classification" if self.mapping is None else "segmentation"

    @property
    def word(self) -> str:
        """What one of these is called: signal, image or volume."""
        return WORD[self.preprocessing.dim]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the labels."""
        return self.source.classes

    @property
    def splits(self) -> NDArray[np.str_]:
        """(N,) the split that the user put each decoded row in, "" if none."""
        return np.array([self.source.samples[i].split for i in self.images.rows], dtype="<U5")

    def refuse_errors(self) -> None:
        """Raise the first finding that makes training impossible."""
        for problem in self.problems:
            if problem.level == ERROR:
                raise UserError(problem.text)


def survey(
    data: str | os.PathLike | Source, wishes: Wishes = Wishes(), largest: dict[int, int] = LARGEST
) -> Survey:
    """Scan, decode and judge a data set of classes.

    wishes    how files are read, as far as it is not to be chosen from the data
    largest   samples along an axis that may be chosen at the most, by the number of axes
    """
    source = data if isinstance(data, Source) else find(data)
    headers = scan(source)
    if headers.facts:
        headers = settle_axes(headers, wishes.dim)
    if not headers.facts:
        first = source.samples[0].path
        raise UserError(
            f"none of the {len(source.samples)} files of {source.name} can be read; the first, {first}: {headers.errors[0]}"
        )
    preprocessing, reasons = choose_preprocessing(headers, wishes, largest)
    images = load(source, headers, preprocessing)
    facts = [headers.facts[int(i)] for i in images.rows]
    position = {name: k for k, name in enumerate(source.classes)}
    labels = np.array([position[source.samples[int(i)].label] for i in images.rows], np.int64)
    same = exact(dict(enumerate(facts)))
    detail = int(np.median([min(f.shape) for f in facts])) if facts else 0
    similar = near(images.thumbs, min(detail, preprocessing.size))
    alike = clusters(len(facts), [*same, *similar.tolist()])
    found = Survey(source, headers, preprocessing, reasons, images, [], labels, alike, facts)
    found.problems.extend(_problems(found, same, similar))
    return found


def _problems(found: Survey, same: list[list[int]], similar: NDArray[np.int64]) -> list[Problem]:
    checks = [
        _classes(found),
        _unreadable(found),
        _beside(found),
        doubles(found, same, similar),
        _kinds(found),
        _balance(found),
    ]
    order = (ERROR, WARNING, NOTE)
    return sorted((p for check in checks for p in check), key=lambda p: order.index(p.level))


def _classes(found: Survey) -> list[Problem]:
    source, names, out = found.source, list(found.source.classes), []
    if len(names) < 2:
        out.append(
            Problem(
                ERROR,
                f"{source.name} has one class only ({names[0]}): add a folder with {found.word}s of another class",
            )
        )
        return out
    splits = source.splits
    readable = Counter(zip(found.splits.tolist(), found.labels.tolist(), strict=True))
    for k, name in enumerate(names):
        total = sum(n for (_, label), n in readable.items() if label == k)
        if total == 0:
            out.append(
                Problem(ERROR, f"class {name!r} has no readable {found.word}: add some or remove its folder")
            )
            continue
        if total == 1 and splits == ("",):
            out.append(
                Problem(
                    ERROR,
                    f"class {name!r} has one {found.word} only, so none can be held out: add some or remove the class",
                )
            )
        missing = [s for s in splits if s and not readable[s, k]]
        if missing:
            have = next(s for s in splits if readable[s, k])
            out.append(
                Problem(
                    ERROR,
                    f"class {name!r} has {found.word}s in {have}/ but none in {missing[0]}/: add some, or remove the class from both",
                )
            )
    return out


def _unreadable(found: Survey) -> list[Problem]:
    errors = found.images.errors
    if not errors:
        return []
    lines = tuple(f"{found.source.samples[i].path}: {reason}" for i, reason in sorted(errors.items()))
    return [
        Problem(
            WARNING,
            f"{count(len(errors), 'file')} cannot be read and will be left out: replace or delete {'it' if len(errors) == 1 else 'them'}",
            lines,
        )
    ]


def _beside(found: Survey) -> list[Problem]:
    files = tuple(map(str, found.source.without.get("class", ())))
    if not files:
        return []
    them = "it into the folder of its class" if len(files) == 1 else "each into the folder of its class"
    return [Problem(WARNING, f"{count(len(files), 'file')} in no class, so left out: move {them}", files)]


def doubles(found: Survey, same: list[list[int]], similar: NDArray[np.int64]) -> list[Problem]:
    """What occurs twice: across splits, in two classes, or harmlessly."""
    out, splits, labels = [], found.splits, found.labels

    def names(rows) -> str:
        return " = ".join(str(found.source.samples[int(found.images.rows[r])].path) for r in rows)

    exact_pairs = {(g[0], other) for g in same for other in g[1:]}
    pairs = {
        "exact": sorted(exact_pairs),
        "near": [p for p in map(tuple, similar.tolist()) if p not in exact_pairs],
    }
    for kind, found_pairs in pairs.items():
        leaks = [p for p in found_pairs if splits[p[0]] != splits[p[1]]]
        clash = [p for p in found_pairs if labels[p[0]] != labels[p[1]]]
        within = [p for p in found_pairs if splits[p[0]] == splits[p[1]]]
        if leaks:
            out.append(
                Problem(
                    WARNING,
                    f"{count(len(leaks), f'{kind} duplicate')} across splits: the score would be too good; remove one of each",
                    tuple(map(names, leaks)),
                )
            )
        if clash and kind == "exact":
            out.append(
                Problem(
                    WARNING,
                    f"{count(len(clash), found.word)} stand in two classes: decide for one",
                    tuple(map(names, clash)),
                )
            )
        if within:
            side = "" if any(found.source.splits) else "; kept on one side of the split"
            out.append(
                Problem(
                    NOTE,
                    f"{count(len(within), f'{kind} duplicate')} within the {found.word}s{side}",
                    tuple(map(names, within)),
                )
            )
    return out


def _kinds(found: Survey) -> list[Problem]:
    """Kinds of files that are changed when they are read, each said."""
    out, facts, preprocessing = [], found.facts, found.preprocessing

    def some(test, level: str, text: str) -> None:
        rows = [r for r, f in enumerate(facts) if test(f)]
        if rows:
            files = tuple(str(found.source.samples[int(found.images.rows[r])].path) for r in rows)
            out.append(Problem(level, f"{count(len(rows), found.word)} {text}", files))

    some(
        lambda f: f.frames > 1,
        WARNING,
        "with several pages or frames: only the first is read; save the others as files of their own",
    )
    some(lambda f: f.rotated, NOTE, "turned upright as their EXIF orientation says")
    some(lambda f: "alpha" in f.notes, NOTE, "with transparency: laid on white")
    some(lambda f: "palette" in f.notes, NOTE, "with a palette: read as colours")
    some(
        lambda f: "CMYK" in f.notes,
        NOTE,
        "in CMYK (print colours): converted to RGB without a colour profile",
    )
    if len({f.channels for f in facts}) > 1 and preprocessing.channels == 3:
        some(lambda f: f.channels == 1, NOTE, "in grey among colour ones: their channel is repeated")
    if len({f.depth for f in facts}) > 1:
        some(
            lambda f: f.depth != preprocessing.depth,
            NOTE,
            f"of fewer bits than the others: scaled to {preprocessing.depth}",
        )
    if len({f.spacing for f in facts}) > 1:
        what = "of another rate" if preprocessing.dim == 1 else "of another voxel size"
        some(lambda f: f.spacing != facts[0].spacing, NOTE, f"{what} than the first: brought to one scale")
    cut = _cut(found)
    if cut:
        out.append(Problem(NOTE, f"{count(len(cut), found.word)} too long: cut to the middle", cut))
    if preprocessing.depth == "uint16" and len(found.images.high):
        top = found.images.high.max()
        out.append(
            Problem(
                NOTE,
                f"16-bit values from {found.images.low.min():.0f} to {top:.0f} of 65535: kept whole, and scaled by their mean and spread",
            )
        )
    flat = [r for r in range(len(facts)) if found.images.low[r] == found.images.high[r]]
    if flat:
        files = tuple(str(found.source.samples[int(found.images.rows[r])].path) for r in flat)
        out.append(
            Problem(
                WARNING,
                f"{count(len(flat), found.word)} of one value only: nothing can be learned from them",
                files,
            )
        )
    return out + passed_over(found.source)


def passed_over(source: Source) -> list[Problem]:
    """Files of unknown kinds: a warning where they may be what the user wanted read."""
    listed = {
        wanted: ", ".join(
            f"{n} {kind}" for kind, n in sorted(source.ignored.items()) if (kind in UNREAD) == wanted
        )
        for wanted in (True, False)
    }
    out = []
    if listed[True]:
        out.append(
            Problem(
                WARNING,
                f"files that cannot be read here were passed over: {listed[True]}; save them as PNG or TIFF",
            )
        )
    if listed[False]:
        out.append(Problem(NOTE, f"files that are none were passed over: {listed[False]}"))
    return out


def _cut(found: Survey) -> tuple[str, ...]:
    """The files of which an end is lost."""
    preprocessing, facts = found.preprocessing, found.facts
    if preprocessing.spacing is None or preprocessing.fit != "pad":
        return ()
    room = preprocessing.size * (HOP if preprocessing.view == "spectrum" else preprocessing.spacing)
    step = 1.0 if not preprocessing.unit else preprocessing.spacing
    lengths = [
        max(n * s for n, s in zip(f.shape, (preprocessing.unit and f.spacing) or [step] * f.dim, strict=True))
        for f in facts
    ]
    rows = [r for r, length in enumerate(lengths) if length > room * (1 + 1e-6)]
    return tuple(str(found.source.samples[int(found.images.rows[r])].path) for r in rows)


def _balance(found: Survey) -> list[Problem]:
    counts = Counter(found.labels.tolist())
    if len(counts) < 2:
        return []
    (most, n), (least, m) = counts.most_common()[0], counts.most_common()[-1]
    if n / m < IMBALANCE:
        return []
    names = found.source.classes
    return [
        Problem(
            WARNING,
            f"class {names[most]!r} has {n / m:.1f} times the {found.word}s of {names[least]!r} ({n} and {m}): class weights will be used; read the balanced accuracy",
        )
    ]
