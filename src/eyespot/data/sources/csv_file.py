"""A data set that a CSV lists: a row per image with its class or masks, and perhaps its split."""

import csv
import os
from dataclasses import replace
from pathlib import Path

from eyespot.config import Config
from eyespot.console import count
from eyespot.data.sources.csv_columns import MASK_OF, Columns, Row, understand
from eyespot.data.sources.csv_labels import check_labels, check_one_hot
from eyespot.data.sources.csv_paths import Finder
from eyespot.data.sources.samples import SPLITS, Sample, Source, class_names, is_known
from eyespot.errors import UserError

ARCHIVES = frozenset(".zip .tar .gz .tgz .xz .bz2 .7z .rar".split())
__all__ = ["MASK_OF", "source_of_csv"]


def source_of_csv(path: Path, options: Config = Config()) -> Source:
    """The samples that a CSV lists. Raises UserError for a table that is incomplete, or whose meaning is not plain."""
    _refuse_options(path, options)
    header, rows = _read_rows(path)
    columns = understand(path, header, rows, options)
    if columns.one_hot:
        check_one_hot(path, [_ones(row, columns) for row in rows])
    finder = Finder(path.parent)
    samples = [_sample(path, line, row, columns, finder) for line, row in enumerate(rows, start=2)]
    _check_unique(path, samples)
    _check_splits(path, samples)
    guesses = (*columns.guesses, *finder.guesses())
    if samples[0].mask_files:
        by_class = tuple(column.removeprefix(MASK_OF) for column in columns.mask_of)
        return Source(path.stem, tuple(samples), by_class or class_names(path.parent), {}, guesses=guesses)
    if columns.label:
        check_labels(path, columns.label, [sample.label for sample in samples])
    classes = tuple(sorted({sample.label for sample in samples} | {name.strip() for name in columns.one_hot}))
    return Source(path.stem, tuple(samples), classes, {}, guesses=guesses)


def _refuse_options(path: Path, options: Config) -> None:
    given = [name for name in ("images", "masks", "label_from") if getattr(options, name)]
    if given:
        name = given[0].replace("_", "-")
        raise UserError(f"--{name} is for folders, and {path} is a file that lists the images: leave it out")


def _read_rows(path: Path) -> tuple[list[str], list[Row]]:
    """The header and the rows."""
    if path.suffix.lower() in ARCHIVES and not is_known(path):
        raise UserError(f"{path} is an archive: unpack it, and give the folder")
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            head = file.readline()
            head.encode()
            file.seek(0)
            delimiter = max(",;\t", key=head.count)  # spreadsheets write any of these
            reader = csv.DictReader(file, delimiter=delimiter)
            rows = list(reader)
            header = [column for column in reader.fieldnames or () if column]
        _check_text(path.parent, rows)
    except (OSError, UnicodeEncodeError, csv.Error) as error:
        reason = "its text is not UTF-8" if isinstance(error, UnicodeEncodeError) else error
        raise UserError(
            f"{path} cannot be read as a CSV ({reason}): give a folder, or a CSV in UTF-8 with the columns path and label"
        ) from error
    if not rows:
        raise UserError(f"{path} has no rows: give a header path,label and a row per image")
    return header, rows


def _check_text(folder: Path, rows: list[Row]) -> None:
    """Raises UnicodeEncodeError for text that is not UTF-8, but in the rows of files that exist: names may have any bytes."""
    for row in rows:
        cells = [cell for cell in row.values() if isinstance(cell, str) and not cell.isascii()]
        try:
            "".join(cells).encode()
        except UnicodeEncodeError:
            if not any(os.path.exists(folder / cell) for cell in cells):
                raise


def _sample(csv_path: Path, line: int, row: Row, columns: Columns, finder: Finder) -> Sample:
    group = (row[columns.group] or "").strip() if columns.group else ""
    return replace(_without_group(csv_path, line, row, columns, finder), group=group)


def _without_group(csv_path: Path, line: int, row: Row, columns: Columns, finder: Finder) -> Sample:
    where = f"{csv_path} line {line}"
    name = row[columns.path] or ""
    if not name.strip():
        raise UserError(f"{where} has no {columns.path}: fill it in or delete the line")
    split = _split(where, row[columns.split] if columns.split else None)
    path = finder.find(name, where)
    if columns.mask_of:
        named = {column.removeprefix(MASK_OF): row[column] for column in columns.mask_of}
        masks = {label: finder.find(file, where, is_mask=True) for label, file in named.items() if file}
        if not masks:
            raise UserError(f"{where} has no mask: fill it in or delete the line")
        return Sample(path, "", split, masks=tuple(sorted(masks.items())))
    column = columns.mask or columns.label
    value = _ones(row, columns)[0] if column is None else (row[column] or "").strip()
    if not value:
        raise UserError(f"{where} has no {column}: fill it in or delete the line")
    if columns.mask:
        return Sample(path, "", split, finder.find(value, where, is_mask=True))
    return Sample(path, value, split)


def _ones(row: Row, columns: Columns) -> list[str]:
    """The columns of classes that have a 1."""
    return [column.strip() for column in columns.one_hot if (row[column] or "").strip() in ("1", "1.0")]


def _split(where: str, text: str | None) -> str:
    split = (text or "").strip()
    if split and split.lower() not in SPLITS:
        raise UserError(f"{where} has the split {split!r}; known: train, val, test")
    return SPLITS.get(split.lower(), "")


def _check_unique(path: Path, samples: list[Sample]) -> None:
    lines: dict[Path, int] = {}
    for line, sample in enumerate(samples, start=2):
        first = lines.setdefault(sample.path, line)
        if first != line:
            raise UserError(
                f"{path} line {line} repeats {sample.path} of line {first}: delete one, since an image has one row"
            )


def _check_splits(path: Path, samples: list[Sample]) -> None:
    without = sum(not sample.split for sample in samples)
    if without == len(samples):
        return
    has = "has" if without == 1 else "have"
    reason = f"{count(without, 'row')} {has} no split" if without else "no row has the split train"
    if without or not any(sample.split == "train" for sample in samples):
        raise UserError(
            f"{path} gives splits, but {reason}: give each row train, val or test, or leave the column out"
        )
