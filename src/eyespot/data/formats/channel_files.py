"""Several files that are the channels of one image, such as case_{flair,t1}.nii.gz: one path, one content, one array.

In such a path each {...} lists what differs, in the order of the channels; with two of them, as in red/red_1.tif beside
green/green_1.tif, the first of both belong together: {red,green}/{red,green}_1.tif. The content of all files travels as
one: what reads, compares or caches the content of an image needs not know how many files it has.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eyespot.data.formats.nifti import is_nifti, nifti_grid
from eyespot.data.header import Decoded, Header, Unreadable

MARK = b"eyespot channels\n"
"""What joined content begins with."""
BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
SEPARATOR = re.compile(r"([\W_]+)")
UNFIT = frozenset("{},\n")
"""Letters that a name cannot have that is written into braces."""
ELSEWHERE = 0.05
"""Voxels by which the affines of two files may place a corner apart."""
Contents = list[tuple[str, bytes]]
"""The name and the content of each file."""


def joined_path(paths: Sequence[Path]) -> Path | None:
    """One path for files that differ in a word of their names or folders; None where that cannot be written."""
    parts = [path.parts for path in paths]
    if len(set(map(len, parts))) > 1 or UNFIT & set("".join(map(str, paths))):
        return None
    return Path(*(_joined_name(names) for names in zip(*parts, strict=True)))


def _joined_name(names: tuple[str, ...]) -> str:
    """What the names have in common, with what differs in braces: whole words."""
    if len(set(names)) == 1:
        return names[0]
    words = [SEPARATOR.split(name) for name in names]
    shortest = min(map(len, words))
    start = next((i for i in range(shortest) if len({w[i] for w in words}) > 1), shortest)
    rest = range(shortest - start)
    end = next((i for i in rest if len({w[-1 - i] for w in words}) > 1), len(rest))
    middle = ",".join("".join(w[start : len(w) - end]) for w in words)
    return f"{''.join(words[0][:start])}{{{middle}}}{''.join(words[0][len(words[0]) - end :])}"


def channel_names(path: Path) -> tuple[str, ...]:
    """What tells the files of a path apart, in the order of the channels; empty for a path of one file."""
    braces = BRACES.findall(path.name) or BRACES.findall(str(path))
    return tuple(braces[-1].split(",")) if braces else ()


def files_of(path: Path) -> list[Path]:
    """The files of a path: itself where it has no braces, or where a file has such a name."""
    names = channel_names(path)
    if not names or path.exists():
        return [path]
    lists = [braces.split(",") for braces in BRACES.findall(str(path))]
    if {len(words) for words in lists} != {len(names)}:
        return [path]
    words = [iter(words) for words in zip(*lists, strict=True)]
    return [Path(BRACES.sub(lambda _, own=own: next(own), str(path))) for own in words]


def name_without_channels(name: str) -> str:
    """What the names of the files have in common; all their words where that is nothing but an ending."""
    if not BRACES.search(name):
        return name
    rest = re.sub(r"^[\W_]+", "", re.sub(r"[\W_]*\{[^{}]*,[^{}]*\}", "", name))
    only_ending = BRACES.sub("", name).startswith(".")
    return BRACES.sub(lambda match: match[1].replace(",", "_"), name) if only_ending else rest


def join(contents: Contents) -> bytes:
    """The content of several files as one."""
    lines = "".join(f"{len(content)} {name}\n" for name, content in contents)
    return (
        MARK + lines.encode("utf-8", "surrogateescape") + b"\n" + b"".join(content for _, content in contents)
    )


def is_joined(content: bytes) -> bool:
    """Whether content is that of several files."""
    return content.startswith(MARK)


def contents_of(content: bytes) -> Contents:
    """The files of joined content."""
    head, _, rest = content[len(MARK) :].partition(b"\n\n")
    contents = []
    for line in head.decode("utf-8", "surrogateescape").split("\n"):
        length, _, name = line.partition(" ")
        contents.append((name, rest[: int(length)]))
        rest = rest[int(length) :]
    return contents


def joined_header(digest: bytes, headers: Sequence[tuple[str, Header]]) -> Header:
    """The header of an image whose channels are those of files with these headers. Raises Unreadable where sizes differ."""
    name, first = headers[0]
    for other, header in headers[1:]:
        if header.shape != first.shape:
            raise Unreadable(f"its files have different sizes: {name} {first.size}, {other} {header.size}")
    depth = max((h.depth for _, h in headers), key=("uint8", "uint16", "float32").index)
    guesses = tuple(dict.fromkeys(guess for _, header in headers for guess in header.guesses))
    notes = tuple(dict.fromkeys(note for _, header in headers for note in header.notes))
    channels = sum(header.channels for _, header in headers)
    return Header(
        digest, first.kind, first.shape, channels, depth, first.frames, False, notes, first.spacing, guesses
    )


def joined_arrays(files: Sequence[tuple[str, Decoded]]) -> Decoded:
    """The channels of all files, one after the other. Raises Unreadable where sizes differ."""
    name, first = files[0]
    for other, decoded in files[1:]:
        if decoded.array.shape[:-1] != first.array.shape[:-1]:
            raise Unreadable(f"its files {name} and {other} have different sizes")
    remarks = tuple(dict.fromkeys(remark for _, decoded in files for remark in decoded.remarks))
    return Decoded(np.concatenate([d.array for _, d in files], -1), first.spacing, remarks)


def check_grids(contents: Contents) -> None:
    """Raises Unreadable where the affines of NIfTI files differ, so that their voxels do not lie on each other."""
    grids = [(name, nifti_grid(content)) for name, content in contents if is_nifti(content)]
    for name, grid in grids[1:]:
        corner = np.array([*grid.shape, 1]) - [1, 1, 1, 0]
        there = np.linalg.solve(grids[0][1].affine, grid.affine)
        ends = np.array([there @ corner - corner, there[:, 3] - [0, 0, 0, 1]])
        if grid.shape != grids[0][1].shape or np.abs(ends).max() > ELSEWHERE:
            raise Unreadable(
                f"its files {grids[0][0]} and {name} have different affines or sizes: resample them to one, or choose with --images"
            )
