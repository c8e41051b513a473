"""The rows of a CSV: its encoding, what separates its columns, and whether it has a header."""

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PureWindowsPath

from eyespot.data.formats.foreign import foreign_kind
from eyespot.data.formats.tables.text import as_text
from eyespot.data.guesses import Guess
from eyespot.data.sources.content import ending_by_content
from eyespot.data.sources.samples import KNOWN, TABLES, is_known
from eyespot.errors import UserError

DELIMITERS = ",;\t|"
"""What separates columns; spreadsheets write any of these."""
FIRST_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
"""The line by which Excel is told the delimiter."""
ARCHIVES = frozenset(".zip .tar .gz .tgz .xz .bz2 .7z .rar".split())
LOOKED_AT = 50
"""Rows by which the header and the delimiter are judged."""
FILE_ENDINGS = KNOWN - TABLES
REMEDY = "give a folder, or a CSV in UTF-8 with the columns path and label"
Row = dict[str, str | None]


@dataclass(frozen=True)
class Rows:
    """A CSV as text: the names of its columns, its rows without empty ones, and the line of each."""

    header: list[str]
    rows: list[Row]
    lines: list[int]
    guesses: list[Guess] = field(default_factory=list)


def read_rows(path: Path) -> Rows:
    """The rows of a CSV. Raises UserError for another kind of file, and where there is no row of cells."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {REMEDY}") from error
    _refuse_other_kinds(path, content)
    text, guesses = _decoded(path, content)
    try:
        cells, delimiter = _cells(text)
    except csv.Error as error:
        raise UserError(f"{path} cannot be read as a CSV ({error}): {REMEDY}") from error
    if not cells:
        raise UserError(f"{path} has no rows: give a header path,label and a row per image")
    guesses += _about_delimiter(delimiter)
    header = cells[0][1]
    if _names_a_file(header):
        reason = f"the first line names a file ({next(c for c in header if _is_file_name(c))})"
        guesses.append(Guess("header", "none", reason, "a first line with the columns path and label"))
        header = [f"column {i}" for i in range(1, 1 + len(header))]
    else:
        cells = cells[1:]
    if not cells:
        raise UserError(f"{path} has no rows: give a header path,label and a row per image")
    header = _named(header)
    rows: list[Row] = [{name: _cell(row, i) for i, name in enumerate(header)} for _, row in cells]
    return Rows(header, rows, [line for line, _ in cells], guesses)


def _cell(row: Sequence[str], i: int) -> str | None:
    return row[i] if i < len(row) else None


def _refuse_other_kinds(path: Path, content: bytes) -> None:
    """Raises UserError for what is known to be no table."""
    if path.suffix.lower() in ARCHIVES and not is_known(path):
        raise UserError(f"{path} is an archive: unpack it, and give the folder")
    office = content[:4] == b"PK\x03\x04" and b"[Content_Types].xml" in content[:4096]
    if office or path.suffix.lower() in (".xls", ".xlsx", ".xlsm", ".ods"):
        raise UserError(f"{path} is a spreadsheet, which is not read: save it as CSV, and give that")
    if ending_by_content(path) or content[:2] == b"PK":
        what = "arrays" if content[:2] == b"PK" else "one sample"
        raise UserError(
            f"{path} holds {what} and is no list of files: save each sample as a file in a folder named after its class, "
            "and give the folder above"
        )
    if kind := foreign_kind(content):
        raise UserError(f"{path} is no CSV: {kind}")


def _decoded(path: Path, content: bytes) -> tuple[str, list[Guess]]:
    """The text: UTF-8, with any bytes in names of files that exist; or UTF-16, or else the encoding of Windows."""
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        text = content.decode("utf-8-sig", errors="surrogateescape")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace"), []
    if _names_exist(path.parent, text):
        return text, []
    other = as_text(content)
    if other is None:
        raise UserError(f"{path} cannot be read as a CSV (it is no text): {REMEDY}")
    guess = Guess("encoding", "Western European (Windows)", "the text is no UTF-8", "save the CSV as UTF-8")
    return content.decode("cp1252", errors="replace"), [guess]


def _names_exist(folder: Path, text: str) -> bool:
    """Whether all lines with bytes that are not UTF-8 name files that exist so."""
    cells, _ = _cells(text)
    odd = [row for _, row in cells if any(_is_odd(cell) for cell in row)]
    return all(any(os.path.exists(folder / cell) for cell in row if _is_odd(cell)) for row in odd)


def _is_odd(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return True
    return False


def _cells(text: str) -> tuple[list[tuple[int, list[str]]], str]:
    """(line, cells) of each row that is not empty, and the delimiter."""
    start = 0
    match = FIRST_LINE.fullmatch(text[: text.find("\n")].strip()) if "\n" in text else None
    if match:
        start = 1
        text = text[text.find("\n") + 1 :]
    head = text[: text.find("\n")] if "\n" in text else text
    delimiter = match[1] if match else max(DELIMITERS, key=head.count)
    if not match and delimiter not in head and _is_spaced(text):
        pairs = [(n, line.rsplit(None, 1)) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        return pairs, " "
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = ((start + reader.line_num, row) for row in reader)
    return [(line, row) for line, row in rows if any(cell.strip() for cell in row)], delimiter


def _is_spaced(text: str) -> bool:
    """Whether each line is the name of a file, a space and one more word."""
    lines = [line for line in islice(io.StringIO(text), LOOKED_AT) if line.strip()]
    pairs = [line.rsplit(None, 1) for line in lines]
    return len(pairs) > 1 and all(len(pair) == 2 and _is_file_name(pair[0]) for pair in pairs)


def _about_delimiter(delimiter: str) -> list[Guess]:
    if delimiter != " ":
        return []
    reason = "every line is the name of a file and one word"
    return [Guess("delimiter", "a space", reason, "a CSV with the columns path and label")]


def _is_file_name(cell: str) -> bool:
    """Whether a cell ends as the names of images, signals and volumes do."""
    return PureWindowsPath(cell.strip()).suffix.lower() in FILE_ENDINGS


def _names_a_file(row: Sequence[str]) -> bool:
    return any(map(_is_file_name, row))


def _named(header: Sequence[str]) -> list[str]:
    """The names of the columns, with a number for those that have none or one that is taken."""
    names: list[str] = []
    for i, name in enumerate(header, 1):
        names.append(name if name.strip() and name not in names else f"column {i}")
    return names
