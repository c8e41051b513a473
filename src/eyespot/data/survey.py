"""What is in a data set and what would spoil a result: found before anything is trained."""

import os
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyespot.console import count
from eyespot.data.arrays import Headers, Images, load, scan
from eyespot.data.duplicates import clusters, exact, near
from eyespot.data.read import Facts
from eyespot.data.sources import Source, find
from eyespot.data.square import Reading
from eyespot.errors import UserError

ERROR, WARNING, NOTE = "error", "warning", "note"
IMBALANCE = 3.0
"""The largest class over the smallest, from which class weights are used."""


LEAST = 16
"""Pixels below which images are enlarged: of 8 x 8 digits, 99.5% are then told apart instead of 98.2% (20 epochs, two seeds, n = 359)."""


@dataclass(frozen=True)
class Problem:
    """One finding: how bad it is, what it is and how to mend it, and the files concerned."""

    level: str
    text: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """A data set read once: where its files are, how they are read, their pixels, and what is wrong with them."""

    source: Source
    headers: Headers
    reading: Reading
    reasons: dict[str, str]
    images: Images
    problems: list[Problem]
    labels: NDArray[np.int64]
    """(N,) class positions of the decoded rows."""
    alike: NDArray[np.int64]
    """(N,) equal for rows that show the same picture, exactly or nearly."""
    facts: list[Facts]
    """Of the decoded rows."""

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
    data: str | os.PathLike, *, size: int | None = None, fit: str | None = None, largest: int = 128
) -> Survey:
    """Scan, decode and judge a data set.

    size, fit   how pictures become squares, chosen from the data if not given
    largest     the largest size in pixels that may be chosen
    """
    source = find(data)
    headers = scan(source)
    if not headers.facts:
        first = source.samples[0].path
        raise UserError(
            f"none of the {len(source.samples)} files of {data} can be read; the first, {first}: {headers.errors[0]}"
        )
    reading, reasons = choose_reading(headers, size, fit, largest)
    images = load(source, headers, reading)
    facts = [headers.facts[int(i)] for i in images.rows]
    position = {name: k for k, name in enumerate(source.classes)}
    labels = np.array([position[source.samples[int(i)].label] for i in images.rows], np.int64)
    same = exact(dict(enumerate(facts)))
    detail = int(np.median([min(f.width, f.height) for f in facts])) if facts else 0
    similar = near(images.thumbs, min(detail, reading.size))
    alike = clusters(len(facts), [*same, *similar.tolist()])
    found = Survey(source, headers, reading, reasons, images, [], labels, alike, facts)
    found.problems.extend(_problems(found, same, similar))
    return found


def choose_reading(
    headers: Headers, size: int | None, fit: str | None, largest: int
) -> tuple[Reading, dict[str, str]]:
    """How files become arrays, with the reason for each choice."""
    facts = list(headers.facts.values())
    sides = {(f.width, f.height) for f in facts}
    long = int(np.median([max(f.width, f.height) for f in facts]))
    reasons = {}
    if size is not None:
        reasons["size"] = "as you asked"
    else:
        size = min(max(long, LEAST), largest)
        reasons["size"] = "the images' own"
        if long < LEAST:
            reasons["size"] = f"the longer side is {long}; less than {LEAST} is enlarged"
        if long > largest:
            reasons["size"] = (
                f"the longer side is {long} (median); {largest} is what this machine trains in a reasonable time"
            )
    square = all(w == h for w, h in sides)
    if fit is not None:
        reasons["fit"] = "as you asked"
    else:
        fit = "pad"
        reasons["fit"] = (
            "all images are square"
            if square
            else "the images are not all square; pad keeps objects at the edges"
        )
    kinds = Counter(f.channels for f in facts)
    channels = max(kinds) if set(kinds) <= {1, 3} else kinds.most_common(1)[0][0]
    accepts = tuple(sorted(kinds)) if set(kinds) <= {1, 3} else (channels,)
    reasons["channels"] = f"the files have {' and '.join(map(str, sorted(kinds)))}"
    depth = max((f.depth for f in facts), key=("uint8", "uint16", "float32").index)
    reasons["depth"] = "the deepest of the files" if len({f.depth for f in facts}) > 1 else "the files' own"
    return Reading(size, fit, channels, accepts, depth), reasons


def _problems(found: Survey, same: list[list[int]], similar: NDArray[np.int64]) -> list[Problem]:
    checks = [
        _classes(found),
        _unreadable(found),
        _doubles(found, same, similar),
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
                f"{source.name} has one class only ({names[0]}): add a folder of images of another class",
            )
        )
        return out
    readable = Counter(zip(found.splits.tolist(), found.labels.tolist(), strict=True))
    for k, name in enumerate(names):
        total = sum(n for (_, label), n in readable.items() if label == k)
        if total == 0:
            out.append(
                Problem(ERROR, f"class {name!r} has no readable image: add images or remove its folder")
            )
            continue
        if total == 1 and source.splits == ("",):
            out.append(
                Problem(
                    ERROR,
                    f"class {name!r} has one image only, so none can be held out: add images or remove the class",
                )
            )
        missing = [s for s in source.splits if s and not readable[s, k]]
        if missing:
            have = next(s for s in source.splits if readable[s, k])
            out.append(
                Problem(
                    ERROR,
                    f"class {name!r} has images in {have}/ but none in {missing[0]}/: add some, or remove the class from both",
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


def _doubles(found: Survey, same: list[list[int]], similar: NDArray[np.int64]) -> list[Problem]:
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
        within = [p for p in found_pairs if p not in set(leaks)]
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
                    f"{count(len(clash), 'image')} stand in two classes: decide for one",
                    tuple(map(names, clash)),
                )
            )
        if within:
            side = "" if any(found.source.splits) else "; kept on one side of the split"
            out.append(
                Problem(
                    NOTE,
                    f"{count(len(within), f'{kind} duplicate')} within the images{side}",
                    tuple(map(names, within)),
                )
            )
    return out


def _kinds(found: Survey) -> list[Problem]:
    """Kinds of files that are changed when they are read, each said."""
    out, facts, reading = [], found.facts, found.reading

    def some(test, level: str, text: str) -> None:
        rows = [r for r, f in enumerate(facts) if test(f)]
        if rows:
            files = tuple(str(found.source.samples[int(found.images.rows[r])].path) for r in rows)
            out.append(Problem(level, f"{count(len(rows), 'image')} {text}", files))

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
    if len({f.channels for f in facts}) > 1 and reading.channels == 3:
        some(lambda f: f.channels == 1, NOTE, "in grey among colour ones: their channel is repeated")
    if len({f.depth for f in facts}) > 1:
        some(
            lambda f: f.depth != reading.depth,
            NOTE,
            f"of fewer bits than the others: scaled to {reading.depth}",
        )
    if reading.depth == "uint16" and len(found.images.high):
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
                f"{count(len(flat), 'image')} of one value only: nothing can be learned from them",
                files,
            )
        )
    if found.source.ignored:
        listed = ", ".join(f"{n} {ending}" for ending, n in sorted(found.source.ignored.items()))
        out.append(Problem(NOTE, f"files that are not images were passed over: {listed}"))
    return out


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
            f"class {names[most]!r} has {n / m:.1f} times the images of {names[least]!r} ({n} and {m}): class weights will be used; read the balanced accuracy",
        )
    ]
