"""Signals in files: WAV recordings, and tables of numbers with a row per sample."""

import csv
import io
import re
import warnings

import numpy as np

from eyespot.data.header import Array, Decoded, Header, Unreadable, as_depth, check_size

TIMES = frozenset("t time times seconds second sec s timestamp".split())
"""Names of a first column that is the time in seconds and not a measurement."""


def is_wav(content: bytes) -> bool:
    return content[:4] in (b"RIFF", b"RIFX") and content[8:12] == b"WAVE"


def decode_wav(content: bytes) -> Decoded:
    """(L, C) between -1 and 1"""
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that are no sound
        rate, values = wavfile.read(io.BytesIO(content))
    if not len(values) or not rate:
        raise Unreadable("it holds no samples")
    if values.dtype == np.uint8:
        values = values.astype(np.float32) / 128 - 1
    elif values.dtype.kind == "i":
        values = values / np.float32(np.iinfo(values.dtype).max + 1)
    array = as_depth(values.reshape(len(values), -1).astype(np.float32))
    return Decoded(array, (1 / rate,))


def wav_header(content: bytes, digest: bytes) -> Header:
    return _header(decode_wav(content), digest, "WAV")


def looks_like_table(content: bytes) -> bool:
    """Text of which a line is numbers."""
    head = content[:4096]
    if b"\0" in head:
        return False
    text = head.decode("utf-8", "replace").lstrip("\ufeff")
    return any(re.fullmatch(r"[\s\d.,;+\-eE]*\d[\s\d.,;+\-eEnaif]*", line) for line in text.splitlines()[:3])


def decode_table(content: bytes) -> Decoded:
    """(L, C): a column per channel; a header is skipped, and a first column of times gives the spacing."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("it is not text") from error
    head = text[:4096]
    delimiter = max(",;\t", key=head.count)
    if delimiter in head:
        lines = csv.reader(io.StringIO(text), delimiter=delimiter)
    else:
        lines = map(str.split, text.splitlines())
    rows = [row for row in lines if row]
    names = [] if _numbers(rows[0]) else [cell.strip().lower() for cell in rows.pop(0)]
    values = np.array([_row(row, line, len(rows[0])) for line, row in enumerate(rows, 1 + bool(names))])
    if not len(values):
        raise Unreadable("it holds no row of numbers")
    spacing: tuple[float, ...] = ()
    if names and re.split(r"\W", names[0])[0] in TIMES and values.shape[1] > 1 and len(values) > 1:
        step = float(np.median(np.diff(values[:, 0])))
        spacing = (step,) if step > 0 else ()
        values = values[:, 1:]
    return Decoded(as_depth(values.astype(np.float32)), spacing)


def _numbers(row: list[str]) -> bool:
    try:
        return [float(cell) for cell in row] != []
    except ValueError:
        return False


def _row(row: list[str], line: int, columns: int) -> list[float]:
    if len(row) != columns:
        raise Unreadable(f"its line {line} has {len(row)} columns and not {columns}")
    if not _numbers(row):
        raise Unreadable(f"its line {line} has a value that is not numeric ({', '.join(row)[:40]})")
    return [float(cell) for cell in row]


def table_header(content: bytes, digest: bytes) -> Header:
    return _header(decode_table(content), digest, "CSV")


def _header(decoded: Decoded, digest: bytes, kind: str) -> Header:
    array: Array = decoded.array
    check_size(array.shape[:1])
    return Header(digest, kind, array.shape[:1], array.shape[1], "float32", spacing=decoded.spacing)
