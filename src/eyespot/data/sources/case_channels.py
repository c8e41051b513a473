"""Of a case with several images: whether they are the channels of one, such as the modalities of a scan."""

from collections import Counter
from pathlib import Path

from eyespot.data.formats.channel_files import channel_names, joined_path
from eyespot.data.guesses import Guess
from eyespot.data.sources.judge import same_shapes
from eyespot.data.sources.stems import Case
from eyespot.data.sources.words import CHANNEL, COPY, names_images
from eyespot.errors import UserError
from eyespot.plurals import count

MOST = 16
"""Files that one image may have."""
NEARLY_ALL = 0.5
"""Of the cases with several images, the share from which those with fewer are incomplete."""


def with_channels(cases: list[Case]) -> tuple[list[Case], Guess] | None:
    """Every case with one path for all its images, where these have the same words in all cases; else None.

    Raises UserError where a few cases lack one.
    """
    paths = {id(case): _joined(case.images) for case in cases if len(case.images) > 1}
    kinds = Counter(channel_names(path) for path in paths.values() if path)
    if not kinds:
        return None
    names, n = kinds.most_common(1)[0]
    complete = [case for case in cases if (path := paths.get(id(case))) and channel_names(path) == names]
    if n < NEARLY_ALL * len(cases) or not _are_channels(complete, names):
        return None
    if len(complete) < len(cases):
        raise UserError(_incomplete(cases, complete, names))
    joined = [Case([path], case.masks) for case in cases if (path := paths[id(case)])]
    value = f"{count(len(names), 'file')} an image ({', '.join(names[:6])}{', ...' * (len(names) > 6)})"
    reason = "they have one mask, and differ in this word of their names"
    return joined, Guess("channels", value, reason, "--images PATTERN for one of them")


def joined_example(case: Case) -> str:
    """How a CSV names the images of a case as one."""
    path = _joined(case.images) or Path("name_{red,green}.png")
    return path.name if channel_names(Path(path.name)) else str(path)


def _joined(images: list[Path]) -> Path | None:
    return joined_path(sorted(images)) if len(images) <= MOST else None


def _are_channels(cases: list[Case], names: tuple[str, ...]) -> bool:
    """Whether files that differ in these words may be channels: no copies, and no folders of several images."""
    plain = all(name[:1].isalnum() and not names_images(name) for name in names)
    copies = any(COPY.search(f"a_{name}") for name in names)
    first = cases[0].images
    by_folder = len({path.name for path in first}) == 1
    known = all(CHANNEL.fullmatch(name) for name in names)
    sizes = [(case.images[0], other) for case in cases[:2] for other in case.images[1:]]
    return plain and not copies and (known or not by_folder) and same_shapes(sizes, len(sizes))


def _incomplete(cases: list[Case], complete: list[Case], names: tuple[str, ...]) -> str:
    whole = set(map(id, complete))
    other = next(case for case in cases if id(case) not in whole)
    return (
        f"{count(len(cases) - len(complete), 'case')} of {len(cases)} {'has' if len(cases) - len(complete) == 1 else 'have'} other "
        f"images than {', '.join(names)}, such as that of {other.masks[0].name} ({', '.join(p.name for p in other.images)}): "
        "complete or remove them, or choose one image of each with --images PATTERN"
    )
