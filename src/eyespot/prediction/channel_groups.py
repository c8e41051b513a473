"""Files that are to be predicted and are the channels of one image: brought together as those trained on were."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from eyespot.data.formats.channel_files import SEPARATOR, joined_path

SAME = ""
"""What stands for the name of a channel in what the files of an image have in common."""
Key = tuple[str, ...]


def grouped(files: Iterable[Path], names: tuple[str, ...]) -> Iterator[Path]:
    """The files as one path an image, in the order of the channels; files without the others of their image as they are.

    names   what tells the channels apart in the names of the files trained on
    """
    files = list(files)
    by_key: dict[Key, dict[str, Path]] = defaultdict(dict)
    for path in files:
        for name, key in _keys(path, names):
            by_key[key].setdefault(name, path)
    groups = [[of[name] for name in names] for of in by_key.values() if len(of) == len(names)]
    paths = {path: joined for group in groups if (joined := joined_path(group)) for path in group}
    yield from dict.fromkeys(paths.get(path, path) for path in files)


def _keys(path: Path, names: tuple[str, ...]) -> Iterator[tuple[str, Key]]:
    """Each channel that the path may be of, and its words without those of that channel."""
    text = path.as_posix()
    for name in names:
        words = _split(text)
        own = _split(name)
        places = [i for i in range(len(words) - len(own) + 1) if words[i : i + len(own)] == own]
        if not places:
            continue
        for i in reversed(places):
            words[i : i + len(own)] = [SAME]
        yield name, tuple(words)


def _split(text: str) -> list[str]:
    return SEPARATOR.split(text)
