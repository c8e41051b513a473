"""What the columns of a CSV mean: by their names, or by their values where these make it plain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eyespot.config import Config
from eyespot.data.guesses import Guess
from eyespot.data.sources.csv_content import (
    MANY_NUMBERS,
    is_binary,
    is_number,
    may_be_classes,
    names_files,
    numbers_in_rows,
    one_to_one,
    values,
)
from eyespot.data.sources.csv_rows import Row
from eyespot.data.sources.csv_words import (
    BOXES,
    FOLDS,
    IS_TRAIN,
    LABELS,
    MASKS,
    PATHS,
    SPLIT_COLUMNS,
    means_class,
    means_group,
    plain,
    split_of_cell,
)
from eyespot.errors import UserError
from eyespot.plurals import count

MASK_OF = "mask:"
"""Before the name of a class: the column of its masks in a CSV."""
ONE_HOT = {"0", "1", "0.0", "1.0"}
FEWEST_OF_ONE_HOT = 2
SHOWN = 8
"""Names of columns that a sentence lists."""
BY_NAME = "the names of the columns say so"
IsFile = Callable[[str], bool]


@dataclass(frozen=True)
class Columns:
    """The columns with the path of an image, its class or mask, its split and group; classes where each has a column.

    reasons   why a column is the path or the label, where its name does not say so
    """

    path: str
    label: str | None = None
    mask: str | None = None
    split: str | None = None
    group: str | None = None
    mask_of: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()
    reasons: list[str] = field(default_factory=list, compare=False)
    guesses: list[Guess] = field(default_factory=list, compare=False)


def understand(
    path: Path, header: list[str], rows: list[Row], options: Config, is_file: IsFile = lambda name: False
) -> Columns:
    """The meaning of the columns. Raises UserError where it is not plain, or where the task needs another column.

    is_file   whether a cell names a file
    """
    _refuse_boxes(path, header, options)
    reasons: list[str] = []
    of_path = _path_column(path, header, rows, is_file, reasons)
    names = {plain(column): column for column in reversed(header) if column != of_path}
    mask_of = tuple(column for column in header if column.startswith(MASK_OF))
    of_mask = _first(MASKS, names)
    of_split = _split_column(names, rows)
    of_group = _group_column(names, rows)
    named = _first(LABELS, names)
    if (of_mask or mask_of) and named and options.task is None and not options.label_from:
        raise UserError(
            f"{path} has the columns {named} and {of_mask or mask_of[0]}: give --task classification or --task segmentation"
        )
    if options.task == "segmentation" or ((of_mask or mask_of) and options.task is None):
        if not (of_mask or mask_of):
            raise UserError(_no_column(path, "mask", header))
        columns = Columns(of_path, None, of_mask, of_split, of_group, mask_of, reasons=reasons)
    else:
        others = [c for c in header if c not in (of_path, of_mask, of_split, of_group, *mask_of)]
        label, one_hot = _classes(path, header, others, rows, options, reasons)
        group = None if of_group == label else of_group
        columns = Columns(of_path, label, None, of_split, group, (), one_hot, reasons)
    columns.guesses.extend(_guesses(columns))
    return columns


def _refuse_boxes(path: Path, header: list[str], options: Config) -> None:
    boxes = [column for column in header if plain(column) in BOXES]
    if len(boxes) > 1 and options.task != "classification":
        raise UserError(
            f"{path} lists boxes (its columns {', '.join(sorted(boxes))}), and eyespot trains on classes of whole images or on masks: "
            "give --task classification if it has one row an image, with its class"
        )


def _path_column(path: Path, header: list[str], rows: list[Row], is_file: IsFile, reasons: list[str]) -> str:
    """The column of paths: by its name, or by its cells where they name files and no other's do."""
    names = {plain(column): column for column in reversed(header)}
    known = [names[name] for name in PATHS if name in names]
    if len(known) == 1:
        return known[0]
    named = [column for column in known or header if names_files(rows, column, is_file)]
    if not named and not known:
        raise UserError(_no_files(path, header, rows))
    if known:
        return (named or known)[0]
    with_endings = [column for column in named if not all(map(is_number, values(rows, column)))]
    chosen = (with_endings or named)[0]
    reasons.append(f"{chosen} names files")
    return chosen


def _no_files(path: Path, header: list[str], rows: list[Row]) -> str:
    numbers = numbers_in_rows(rows)
    if numbers >= MANY_NUMBERS:
        return (
            f"{path} has the {numbers} values of a sample in each row, and names no files: save each row as a file (.npy) in a "
            "folder named after its class"
        )
    return (
        f"{path} has no column path, and none that names files that are read, beside it or below: its columns are {_listed(header)}; "
        "name one path"
    )


def _first(kind: Sequence[str], names: dict[str, str]) -> str | None:
    return next((names[name] for name in kind if name in names), None)


def _split_column(names: dict[str, str], rows: list[Row]) -> str | None:
    """The column `split`, or one of a similar name that holds splits: of which one is for training, if not all are known."""
    if "split" in names:
        return names["split"]
    for name in (*SPLIT_COLUMNS, *sorted(IS_TRAIN)):
        column = names.get(name)
        splits = [split_of_cell(column, cell) for cell in values(rows, column)] if column else []
        if splits and (all(splits) or (name in SPLIT_COLUMNS and "train" in splits)):
            return column
    return None


def _group_column(names: dict[str, str], rows: list[Row]) -> str | None:
    """The column `group`, or the first whose name says that its values, which recur, are patients, slides or the like."""
    known = {*PATHS, *LABELS, *MASKS, *SPLIT_COLUMNS}
    named = [column for name, column in names.items() if name not in known and means_group(column)]
    candidates = [names["group"]] if "group" in names else named
    candidates += [names[name] for name in names if name in FOLDS]
    for column in candidates:
        distinct = set(values(rows, column)) - {""}
        if 1 < len(distinct) < len(rows):
            return column
    return None


def _classes(
    path: Path, header: list[str], others: list[str], rows: list[Row], options: Config, reasons: list[str]
) -> tuple[str | None, tuple[str, ...]]:
    """The column of the class, or those of 0 and 1 for each. Raises UserError where none or several may be."""
    if options.label_from:
        return _asked(path, header, options.label_from), ()
    named = _first(LABELS, {plain(column): column for column in reversed(others)})
    if named:
        return named, ()
    by_name = [column for column in others if means_class(column) and len(set(values(rows, column))) > 1]
    if by_name:
        return _one_of(path, by_name, rows), ()
    binary = tuple(column for column in others if is_binary(rows, column))
    if len(binary) >= FEWEST_OF_ONE_HOT:
        return None, _one_hot(path, others, binary, rows)
    candidates = [column for column in others if may_be_classes(rows, column)]
    if not candidates:
        raise UserError(_no_column(path, "label", header))
    chosen = _one_of(path, candidates, rows)
    reasons.append(f"the values of {chosen} recur as classes do")
    return chosen, ()


def _asked(path: Path, header: list[str], name: str) -> str:
    """The column that --label-from names."""
    column = next((c for c in header if name in (c, c.strip()) or plain(name) == plain(c)), None)
    if column is None:
        raise UserError(f"{path} has no column {name!r}, which --label-from names: it has {_listed(header)}")
    return column


def _one_of(path: Path, candidates: list[str], rows: list[Row]) -> str:
    """The only candidate; or, of those that say the same, the first in words. Raises UserError for others."""
    first = candidates[0]
    if any(not one_to_one(rows, first, other) for other in candidates[1:]):
        raise UserError(
            f"{path} has several columns that may be the class ({_listed(candidates)}): give --label-from with the name of one, such as "
            f"--label-from {_quoted(first)}"
        )
    in_words = [column for column in candidates if not all(map(is_number, values(rows, column)))]
    return (in_words or candidates)[0]


def _quoted(name: str) -> str:
    return name if name.isidentifier() else f"'{name}'"


def _one_hot(path: Path, others: list[str], binary: tuple[str, ...], rows: list[Row]) -> tuple[str, ...]:
    """The columns of 0 and 1 of which each row has one 1. Raises UserError where they are labels that may go together."""
    cells = [[value for column in binary if (value := (row[column] or "").strip())] for row in rows]
    whole = all(set(row) <= ONE_HOT and len(row) == len(binary) for row in cells)
    if whole and (len(binary) == len(others) or all(sum(map(float, row)) == 1 for row in cells)):
        return binary
    odd = [
        name
        for name, has in (
            ("several 1s", any(sum(v in ("1", "1.0") for v in row) > 1 for row in cells)),
            ("none", any(not {"1", "1.0"} & set(row) for row in cells)),
            ("-1", any({"-1", "-1.0"} & set(row) for row in cells)),
            ("blanks", any(len(row) < len(binary) for row in cells)),
        )
        if has
    ]
    raise UserError(
        f"{path} has several labels an image: the columns {_listed(binary)} hold 0 and 1, with {', '.join(odd)} in a row; eyespot trains one "
        "class an image: write one column label"
    )


def _no_column(path: Path, wanted: str, header: list[str]) -> str:
    if wanted == "mask":
        return f"{path} has no column mask; its columns are {_listed(header)}: rename the one that is meant"
    return (
        f"{path} has no column label or mask, and none whose values recur as classes do; its columns are {_listed(header)}: rename "
        "the one that is meant to label"
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name.strip() or "''" for name in names[:SHOWN])
    return f"{shown} and {count(len(names) - SHOWN, 'other')}" if len(names) > SHOWN else shown


def _guesses(columns: Columns) -> list[Guess]:
    """What is said of columns that do not have our names."""
    meant = {"path": columns.path, "label": columns.label, "mask": columns.mask, "split": columns.split}
    other = {ours: theirs.strip() for ours, theirs in meant.items() if theirs and theirs != ours}
    if columns.one_hot:
        other["label"] = f"the 1 in {', '.join(c.strip() for c in columns.one_hot[:6])}"
        other["label"] += ", ..." * (len(columns.one_hot) > 6)
    guesses = []
    if columns.group and columns.group != "group":
        is_fold = plain(columns.group) in FOLDS
        reason = "its name says so, and its values recur"
        if is_fold:
            reason = "folds keep recordings together"
        value = f"by the column {columns.group}, whose values stay on one side of the split"
        guesses.append(Guess("groups", value, reason, "--group '.+' for no groups"))
    if not other:
        return guesses
    value = "; ".join(f"{ours} is {theirs}" for ours, theirs in other.items())
    option = "a CSV with the columns path and label or mask"
    if columns.label and columns.label != "label":
        option = "--label-from COLUMN"
    return [*guesses, Guess("columns", value, " and ".join(columns.reasons) or BY_NAME, option)]
