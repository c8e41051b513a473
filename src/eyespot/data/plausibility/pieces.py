"""Doubts about images that are pieces of a larger one, by their names: tiles, slices and frames belong on one side of the split."""

import re
from collections.abc import Iterator
from pathlib import Path

from eyespot.data.surveys.survey import WARNING, Problem, Survey
from eyespot.plurals import count

GAP = "[_ .-]"
"""What may lie between words of a name."""
XY = rf"{GAP}x{GAP}?\d+{GAP}*y{GAP}?"
"""Its position, up to the last number."""
PIECE = re.compile(
    rf"(?<=[A-Za-z0-9)]){GAP}*(?:(?<![A-Za-z])(?P<word>tile|patch|slice|frame|chunk|segment|window|z){GAP}?\d+|{XY}\d+)",
    re.IGNORECASE,
)
"""What numbers a piece in a name, behind the name of its image."""
FEWEST_IMAGES = 2
"""Larger images below which there is nothing to keep apart."""
USUAL = 2
"""Pieces that an image has in a folder at the least, on average."""


def pieces_of_images(survey: Survey) -> Iterator[Problem]:
    """Names such as slide1_x0_y64, scan2_slice_7 or film3_frame_12, of which several are of one image."""
    paths = [Path(survey.path(row)) for row in range(len(survey.labels))]
    matches = {path: match for path in paths if (match := PIECE.search(path.name))}
    if len(matches) < len(paths):
        return
    images = {path.name[: match.start()] for path, match in matches.items()}
    places = {(path.parent, path.name[: match.start()]) for path, match in matches.items()}
    if len(images) < FEWEST_IMAGES or len(matches) < USUAL * len(places):
        return
    words = {(match["word"] or "x").lower() for match in matches.values()}
    kinds = sorted(XY if word == "x" else f"{word}{GAP}?" for word in words)
    kind = kinds[0] if len(kinds) == 1 else f"(?:{'|'.join(kinds)})"
    group = rf"(?i)([^/]*?[A-Z0-9)]){GAP}*{kind}\d[^/]*$"
    text = (
        f"the {survey.word}s are pieces of {count(len(images), 'larger one')} by their names, such as {next(iter(matches)).name}: on both sides of "
        f"the split they make the metrics too good; use --group '{group}'"
    )
    yield Problem(WARNING, text)
