"""Checks of any data set: unreadable and ignored files, and what occurs twice."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from eyespot.data.duplicates.detail import confirmed, upright
from eyespot.data.duplicates.pairs import clusters, exact, near
from eyespot.data.header import Header
from eyespot.data.sources.samples import Source
from eyespot.data.store import Store
from eyespot.data.surveys.survey import NOTE, WARNING, Problem, Survey
from eyespot.plurals import count

UNSUPPORTED = frozenset(
    ".heic .heif .avif .jxl .jp2 .dcm .czi .nd2 .lif .lsm .oib .oif .vsi .svs .ndpi .mrxs .nrrd .nhdr .mha .mhd .hdr .img .mgh .mgz .mnc .mrc .ims .h5 .hdf5 "
    ".mat .cr2 .cr3 .nef .arw .dng .orf .rw2 .raf .pef .raw .psd .pdf .svg .mp4 .avi .mov .mkv .webm .m4a .aac .wma .amr".split()
)
"""Endings of pictures, volumes and sounds that are not read."""


class Duplicates:
    """Rows that occur twice.

    exact      groups of rows whose files are equal byte for byte
    near       (P, 2) pairs of rows that show the same picture, saved again
    mirrored   (P, 2) pairs of which one is mirrored or turned by right angles
    scene      how many rows look alike without being copies, as images of a fixed camera do
    """

    def __init__(
        self,
        headers: list[Header],
        thumbs: NDArray[np.float32],
        detail: int,
        pixels: Store,
        joined: bool = True,
    ):
        """detail   the images' own size in pixels; see `duplicates.near`
        joined   whether they stay together; else each row is on its own
        """
        n = len(headers)
        self.exact = exact(dict(enumerate(headers)))
        near_pairs = near(thumbs, detail)
        are_images = len(pixels) > 0 and len(pixels.shapes[0]) == 3
        turned_pairs = near(upright(thumbs) if are_images else thumbs[:0], detail)
        groups = clusters(n, [*near_pairs.tolist(), *turned_pairs.tolist()])
        self.near = near_pairs[confirmed(near_pairs, groups, pixels, turned=False)]
        known = set(map(tuple, near_pairs.tolist()))
        turned_pairs = turned_pairs[[pair not in known for pair in map(tuple, turned_pairs.tolist())]]
        self.mirrored = turned_pairs[confirmed(turned_pairs, groups, pixels, turned=True)]
        pairs = [*self.exact, *self.near.tolist(), *self.mirrored.tolist()]
        self.joined = joined
        self.alike = clusters(n, pairs if joined else [])
        copies = {*self.near.ravel().tolist(), *self.mirrored.ravel().tolist()}
        self.scene = len(set(near_pairs.ravel().tolist()) - copies)

    def pairs(self) -> dict[str, list[tuple[int, int]]]:
        """Pairs of rows by the kind of duplicate; an exact one is not a near one too."""
        exact_pairs = {(group[0], other) for group in self.exact for other in group[1:]}
        near_pairs = [(a, b) for a, b in self.near.tolist() if (a, b) not in exact_pairs]
        return {
            "exact": sorted(exact_pairs),
            "near": near_pairs,
            "mirrored": list(map(tuple, self.mirrored.tolist())),
        }


def matching(
    survey: Survey, level: str, matches: Iterable[bool], text: str, word: str | None = None
) -> list[Problem]:
    """A problem for the rows that match: "3 images" and the text, with their files. None where no row does."""
    files = tuple(survey.path(row) for row, match in enumerate(matches) if match)
    return [Problem(level, f"{count(len(files), word or survey.word)} {text}", files)] if files else []


def unreadable(survey: Survey, word: str, remedy: str) -> list[Problem]:
    """Samples that cannot be decoded, each with its reason."""
    errors = survey.images.errors
    if not errors:
        return []
    samples = survey.source.samples
    lines = tuple(f"{samples[i].path}: {reason}" for i, reason in sorted(errors.items()))
    return [Problem(WARNING, f"{count(len(errors), word)} {remedy}", lines)]


def ignored_files(source: Source) -> Iterator[Problem]:
    """Files of unknown kinds: a warning where the user may have wanted them read."""

    def listed(unsupported: bool) -> str:
        kinds = sorted(
            (kind, n) for kind, n in source.ignored.items() if (kind in UNSUPPORTED) == unsupported
        )
        return ", ".join(f"{n} {kind}" for kind, n in kinds)

    if unsupported := listed(True):
        text = f"files of unsupported formats were ignored: {unsupported}; save images as PNG or TIFF, volumes as NIfTI, sounds as FLAC or WAV"
        yield Problem(WARNING, text)
    if others := listed(False):
        yield Problem(NOTE, f"other files were ignored: {others}")
    if source.skipped:
        text = f"{count(len(source.skipped), 'empty or system file or folder', 'empty or system files and folders')} skipped"
        yield Problem(NOTE, text, tuple(map(str, source.skipped)))


def repeated(survey: Survey, duplicates: Duplicates) -> Iterator[Problem]:
    """What occurs twice: across splits, in two classes, or harmlessly."""
    splits = survey.splits
    labels = survey.labels

    def names(pairs: list[tuple[int, int]]) -> tuple[str, ...]:
        return tuple(f"{survey.path(a)} = {survey.path(b)}" for a, b in pairs)

    for kind, pairs in duplicates.pairs().items():
        across = [(a, b) for a, b in pairs if splits[a] != splits[b]]
        within = [(a, b) for a, b in pairs if splits[a] == splits[b]]
        contradicting = [(a, b) for a, b in pairs if labels[a] != labels[b]]
        if across:
            text = f"{count(len(across), f'{kind} duplicate')} across splits: metrics would be too good; remove one of each"
            yield Problem(WARNING, text, names(across))
        if contradicting and kind != "mirrored":
            yield Problem(
                WARNING, _in_two_classes(len(contradicting), kind, survey.word), names(contradicting)
            )
        if within:
            side = (
                "; kept on one side of the split"
                if duplicates.joined
                else "; taken as independent (--duplicates keep)"
            )
            side = "" if any(survey.source.splits) and duplicates.joined else side
            text = f"{count(len(within), f'{kind} duplicate')} within the {survey.word}s{side}"
            yield Problem(NOTE, text, names(within))
    if duplicates.scene:
        text = f"{count(duplicates.scene, survey.word)} show one scene and differ in details: not taken as duplicates"
        yield Problem(NOTE, text)


def _in_two_classes(n: int, kind: str, word: str) -> str:
    if kind == "exact":
        return f"{count(n, word)} {'appears' if n == 1 else 'appear'} in two classes; keep one"
    pairs = count(n, "pair of near duplicates", "pairs of near duplicates")
    return f"{pairs} {'is' if n == 1 else 'are'} in two classes; keep one of each"
