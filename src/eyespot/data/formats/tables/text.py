"""Bytes as text, and its lines without comments."""

import codecs
import re
from collections.abc import Sequence

CONTROL = bytes(sorted(set(range(32)) - set(b"\t\n\r\f\x1a")))
"""Bytes that do not occur in text."""
HEAD = 1024
"""Bytes that are looked at to tell text from other content."""
COMMENTS = ("#", "%", "//", '"#')
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as that of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

Line = tuple[int, str]
"""A line and its number, from 1."""


def as_text(content: bytes) -> str | None:
    """The content as text: UTF-8, UTF-16 or else Latin-1; None where it is no text."""
    encoding = _encoding(content[:HEAD])
    if encoding is None:
        return None
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.rstrip("\x1a\0").replace("\u2212", "-")  # the minus sign of typesetting


def _encoding(head: bytes) -> str | None:
    for mark, encoding in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    if head.translate(None, CONTROL) == head:
        return "utf-8"
    even = head[: len(head) // 2 * 2]
    for zeros, characters, encoding in ((1, 0, "utf-16-le"), (0, 1, "utf-16-be")):
        if even and not even[zeros::2].strip(b"\0") and even[characters::2].translate(None, CONTROL):
            return encoding if b"\0" not in even[characters::2] else None
    return None


def content_lines(text: str) -> tuple[list[Line], list[Line]]:
    """The lines that are not empty, and the comments among them apart."""
    numbered = enumerate(re.split(r"\r\n|\n|\r", text), 1)
    lines = [(number, line) for number, line in numbered if line.strip(" \t\f")]
    comments = [line for line in lines if line[1].lstrip().startswith(COMMENTS)]
    if comments:
        lines = [line for line in lines if not line[1].lstrip().startswith(COMMENTS)]
    begun = [line for line in lines if line[1].lstrip().startswith(";")]
    if begun and not _semicolons_separate(lines):
        lines = [line for line in lines if not line[1].lstrip().startswith(";")]
        comments = sorted(comments + begun)
    return _without_ends(lines), comments


def _without_ends(lines: list[Line]) -> list[Line]:
    """The lines without the semicolon at the end of all of them, where none separates cells."""
    ends = [line.rstrip().endswith(";") for _, line in lines]
    if sum(ends) < len(lines) - 1 or any(line.count(";") > 1 for _, line in lines):
        return lines
    return [(number, line.rstrip().removesuffix(";")) for number, line in lines]


def _semicolons_separate(lines: Sequence[Line]) -> bool:
    """Whether semicolons stand between cells, so that one at the beginning follows an empty cell."""
    return sum(";" in line.lstrip()[1:] for _, line in lines) * 2 > len(lines)
