"""A data set that a CSV lists: a row per image with its class or masks, and perhaps its split."""

import csv
import os
from pathlib import Path

from eyespot.config import Config
from eyespot.console import count
from eyespot.data.sources.samples import SPLITS, Sample, Source, class_names, is_known
from eyespot.errors import UserError

ARCHIVES = frozenset(".zip .tar .gz .tgz .xz .bz2 .7z .rar".split())
MASK_OF = "mask:"
"""Before the name of a class: the column of its masks in a CSV."""
Row = dict[str, str | None]


def source_of_csv(path: Path, options: Config = Config()) -> Source:
    """The samples that a CSV lists. Raises UserError for a table that is incomplete."""
    rows = _read_rows(path)
    columns = [column for column in rows[0] if column]
    by_class = tuple(column.removeprefix(MASK_OF) for column in columns if column.startswith(MASK_OF))
    needed = {"path"} if by_class else {"path", "mask" if "mask" in columns else "label"}
    missing = needed - set(columns)
    if missing:
        names = " or ".join(sorted(missing))
        raise UserError(f"{path} has no column {names}; its header is {','.join(columns)}")
    samples = [_sample(path, line, row) for line, row in enumerate(rows, start=2)]
    _check_unique(path, samples)
    _check_splits(path, samples)
    if samples[0].mask_files:
        return Source(path.stem, tuple(samples), by_class or class_names(path.parent), {})
    classes = tuple(sorted({sample.label for sample in samples}))
    return Source(path.stem, tuple(samples), classes, {})


def _read_rows(path: Path) -> list[Row]:
    if path.suffix.lower() in ARCHIVES and not is_known(path):
        raise UserError(f"{path} is an archive: unpack it, and give the folder")
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            head = file.readline()
            head.encode()
            file.seek(0)
            delimiter = max(",;\t", key=head.count)  # spreadsheets write any of these
            rows = list(csv.DictReader(file, delimiter=delimiter))
        _check_text(path.parent, rows)
    except (OSError, UnicodeEncodeError, csv.Error) as error:
        reason = "its text is not UTF-8" if isinstance(error, UnicodeEncodeError) else error
        raise UserError(
            f"{path} cannot be read as a CSV ({reason}): give a folder, or a CSV in UTF-8 with the columns path and label"
        ) from error
    if not rows:
        raise UserError(f"{path} has no rows: give a header path,label and a row per image")
    return rows


def _check_text(folder: Path, rows: list[Row]) -> None:
    """Raises UnicodeEncodeError for text that is not UTF-8, but in the rows of files that exist: names may have any bytes."""
    for row in rows:
        cells = [cell for cell in row.values() if isinstance(cell, str) and not cell.isascii()]
        try:
            "".join(cells).encode()
        except UnicodeEncodeError:
            if not any(os.path.exists(folder / cell) for cell in cells):
                raise


def _sample(csv_path: Path, line: int, row: Row) -> Sample:
    folder = csv_path.parent
    mask_columns = [column for column in row if column and column.startswith(MASK_OF)]
    masks = {column.removeprefix(MASK_OF): folder / file for column in mask_columns if (file := row[column])}
    what = "mask" if "mask" in row or mask_columns else "label"
    value = next(iter(masks), "") if mask_columns else row[what] or ""
    name = row["path"] or ""
    if not name or not value:
        missing = what if name else "path"
        raise UserError(f"{csv_path} line {line} has no {missing}: fill it in or delete the line")
    split = _split(csv_path, line, row)
    if masks:
        return Sample(folder / name, "", split, masks=tuple(sorted(masks.items())))
    if what == "mask":
        return Sample(folder / name, "", split, folder / value)
    return Sample(folder / name, value, split)


def _split(csv_path: Path, line: int, row: Row) -> str:
    split = row.get("split") or ""
    if split and split.lower() not in SPLITS:
        raise UserError(f"{csv_path} line {line} has the split {split!r}; known: train, val, test")
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
