"""A data set that a CSV lists: a row per image with its class or masks, and perhaps its split."""

from dataclasses import replace
from pathlib import Path

from eyespot.config import Config
from eyespot.data.sources.csv_columns import MASK_OF, Columns, understand
from eyespot.data.sources.csv_content import values
from eyespot.data.sources.csv_labels import check_labels, check_one_hot
from eyespot.data.sources.csv_paths import Finder
from eyespot.data.sources.csv_rows import Row, Rows, read_rows
from eyespot.data.sources.csv_words import split_of_cell
from eyespot.data.sources.samples import Sample, Source, class_names
from eyespot.data.sources.words import split_of
from eyespot.errors import UserError
from eyespot.plurals import count

MISSING = frozenset("nan #n/a <na> null".split())
"""What programs write where a label is missing."""
__all__ = ["MASK_OF", "source_of_csv"]


def source_of_csv(path: Path, options: Config = Config()) -> Source:
    """The samples that a CSV lists. Raises UserError for a table that is incomplete, or whose meaning is not plain."""
    _refuse_options(path, options)
    table = read_rows(path)
    finder = Finder(path.parent, split_of(path.stem))
    columns = understand(path, table.header, table.rows, options, finder.has)
    if columns.one_hot:
        check_one_hot(path, [_ones(row, columns) for row in table.rows])
    if columns.label:
        _refuse_missing(path, table, columns.label)
    samples = [
        _sample(path, line, row, columns, finder) for line, row in zip(table.lines, table.rows, strict=True)
    ]
    _check_unique(path, samples, table.lines)
    _check_splits(path, samples)
    guesses = (*table.guesses, *columns.guesses, *finder.guesses())
    if samples[0].mask_files:
        by_class = tuple(column.removeprefix(MASK_OF) for column in columns.mask_of)
        return Source(
            path.stem, tuple(samples), by_class or class_names(path.parent), {}, guesses=guesses, table=path
        )
    if columns.label:
        check_labels(path, columns.label, [sample.label for sample in samples])
    classes = tuple(sorted({sample.label for sample in samples} | {name.strip() for name in columns.one_hot}))
    return Source(path.stem, tuple(samples), classes, {}, guesses=guesses, table=path)


def _refuse_options(path: Path, options: Config) -> None:
    given = [name for name in ("images", "masks") if getattr(options, name)]
    if given:
        raise UserError(
            f"--{given[0]} is for folders, and {path} is a file that lists the images: leave it out"
        )


def _refuse_missing(path: Path, table: Rows, column: str) -> None:
    """Raises UserError for rows without a label, with how many there are."""
    lines = [
        line
        for line, cell in zip(table.lines, values(table.rows, column), strict=True)
        if cell.lower() in MISSING or not cell
    ]
    if not lines:
        return
    others = f" and {count(len(lines) - 1, 'other line')}" if len(lines) > 1 else ""
    has = "have" if others else "has"
    one = "them" if others else "it"
    raise UserError(f"{path} line {lines[0]}{others} {has} no {column}: fill {one} in or delete {one}")


def _sample(csv_path: Path, line: int, row: Row, columns: Columns, finder: Finder) -> Sample:
    group = (row[columns.group] or "").strip() if columns.group else ""
    return replace(_without_group(csv_path, line, row, columns, finder), group=group)


def _without_group(csv_path: Path, line: int, row: Row, columns: Columns, finder: Finder) -> Sample:
    where = f"{csv_path} line {line}"
    name = row[columns.path] or ""
    if not name.strip():
        raise UserError(f"{where} has no {columns.path}: fill it in or delete the line")
    split = _split(where, columns.split, row[columns.split]) if columns.split else ""
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


def _split(where: str, column: str, text: str | None) -> str:
    cell = (text or "").strip()
    split = split_of_cell(column, cell)
    if cell and not split:
        raise UserError(
            f"{where} has the split {cell!r} in the column {column}; known: train, val, test; write these, or leave the column out"
        )
    return split


def _check_unique(path: Path, samples: list[Sample], lines: list[int]) -> None:
    first: dict[Path, tuple[int, Sample]] = {}
    repeated = []
    for line, sample in zip(lines, samples, strict=True):
        before, other = first.setdefault(sample.path, (line, sample))
        if before != line:
            repeated.append((line, before, sample, sample.label != other.label))
    if not repeated:
        return
    line, before, sample, differs = next((r for r in repeated if r[3]), repeated[0])
    others = f" ({len(repeated)} lines repeat images)" if len(repeated) > 1 else ""
    classes = " with another class" if differs else ""
    raise UserError(
        f"{path} line {line} repeats {sample.path} of line {before}{classes}{others}: delete one, since an image has one row"
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
