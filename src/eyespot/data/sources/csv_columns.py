"""What the columns of a CSV mean: by the names that eyespot knows, or by others whose meaning is plain."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eyespot.config import Config
from eyespot.data.guesses import Guess
from eyespot.data.sources.samples import SPLITS
from eyespot.errors import UserError, nearest

PATHS = (
    "path file filename file_name filepath file_path fname image image_path imagepath image_file image_name imagename image_id "
    "imageid img img_path img_name img_id id_code"
).split()
LABELS = "label class category class_name classname label_name species category_name".split()
MASKS = "mask mask_path mask_file mask_name segmentation".split()
SPLIT_COLUMNS = "split set subset partition dataset".split()
GROUP_WORDS = frozenset(
    "group patient subject participant person individual donor animal mouse rat case study speaker writer slide specimen scan "
    "session plate well site hospital family".split()
)
"""Words in the names of columns that say which images belong together."""
BOXES = frozenset("xmin ymin xmax ymax x_min y_min x_max y_max x1 y1 x2 y2 bbox box width_box".split())
MASK_OF = "mask:"
"""Before the name of a class: the column of its masks in a CSV."""
OURS = ("path", "label", "mask", "split")
Row = dict[str, str | None]
ONE_HOT = {"0", "1", "0.0", "1.0"}
FEWEST_OF_ONE_HOT = 2


@dataclass(frozen=True)
class Columns:
    """The columns with the path of an image, its class or mask, its split and group; classes where each has a column."""

    path: str
    label: str | None = None
    mask: str | None = None
    split: str | None = None
    group: str | None = None
    mask_of: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()
    guesses: list[Guess] = field(default_factory=list, compare=False)


def understand(path: Path, header: list[str], rows: list[Row], options: Config) -> Columns:
    """The meaning of the columns. Raises UserError where it is not plain, or where the task needs another column."""
    names = {_plain(column): column for column in reversed(header)}
    mask_of = tuple(column for column in header if column.startswith(MASK_OF))
    of_path, of_label, of_mask = (_first(kind, names) for kind in (PATHS, LABELS, MASKS))
    of_split = _split_column(names, rows)
    of_group = _group_column(names, rows)
    boxes = BOXES & names.keys()
    if len(boxes) > 1:
        raise UserError(
            f"{path} lists boxes (its columns {', '.join(sorted(names[b] for b in boxes))}), and eyespot trains on classes of whole images or on masks: "
            "give a CSV with the columns path and label, or path and mask"
        )
    if of_path is None:
        raise UserError(_no_column(path, "path", header))
    one_hot = () if of_label or of_mask or mask_of else _one_hot(header, {of_path, of_split, of_group}, rows)
    masked = bool(of_mask or mask_of)
    if masked and of_label and options.task is None:
        raise UserError(
            f"{path} has the columns {of_label} and {of_mask or mask_of[0]}: give --task classification or --task segmentation"
        )
    if options.task == "classification":
        of_mask, mask_of, masked = None, (), False
    if options.task == "segmentation":
        of_label, one_hot = None, ()
    if not (of_label or masked or one_hot):
        wanted = {"classification": "label", "segmentation": "mask"}.get(options.task or "", "label or mask")
        raise UserError(_no_column(path, wanted, header))
    columns = Columns(of_path, of_label, of_mask, of_split, of_group, mask_of, one_hot)
    columns.guesses.extend(_guesses(columns))
    return columns


def _plain(column: str) -> str:
    return re.sub(r"[\s\-]+", "_", column.strip().lower())


def _first(kind: Sequence[str], names: dict[str, str]) -> str | None:
    return next((names[name] for name in kind if name in names), None)


def _split_column(names: dict[str, str], rows: list[Row]) -> str | None:
    """The column `split`, or one of a similar name that holds splits only."""
    if "split" in names:
        return names["split"]
    for name in SPLIT_COLUMNS:
        column = names.get(name)
        if column and all((row[column] or "").strip().lower() in SPLITS for row in rows):
            return column
    return None


def _group_column(names: dict[str, str], rows: list[Row]) -> str | None:
    """The column `group`, or the first whose name says that its values, which recur, are patients, slides or the like."""
    known = {*PATHS, *LABELS, *MASKS, *SPLIT_COLUMNS}
    named = [names[name] for name in names if name not in known and GROUP_WORDS & set(name.split("_"))]
    candidates = [names["group"]] if "group" in names else named
    for column in candidates:
        values = {(row[column] or "").strip() for row in rows} - {""}
        if 1 < len(values) < len(rows):
            return column
    return None


def _one_hot(header: list[str], others: set[str | None], rows: list[Row]) -> tuple[str, ...]:
    """Columns of 0 and 1, if all but the others are and each row has one 1."""
    columns = tuple(column for column in header if column not in others)
    values = [[(row[column] or "").strip() for column in columns] for row in rows]
    plain = len(columns) >= FEWEST_OF_ONE_HOT and all(set(row) <= ONE_HOT for row in values)
    return columns if plain else ()


def _no_column(path: Path, wanted: str, header: list[str]) -> str:
    offer = ""
    if wanted == "path" and len(header) > 1:
        offer = f" ({nearest('path', header)})" if "path" in " ".join(header).lower() else ""
    return f"{path} has no column {wanted}{offer}; its header is {','.join(header)}: rename the one that is meant"


def _guesses(columns: Columns) -> list[Guess]:
    """What is said of columns that do not have our names."""
    meant = {"path": columns.path, "label": columns.label, "mask": columns.mask, "split": columns.split}
    other = {ours: theirs for ours, theirs in meant.items() if theirs and theirs != ours}
    if columns.one_hot:
        other["label"] = f"the 1 in {', '.join(columns.one_hot[:6])}" + ", ..." * (len(columns.one_hot) > 6)
    guesses = []
    if columns.group and columns.group != "group":
        reason = "its name says so, and its values recur"
        value = f"the column {columns.group}: images of one value stay on one side of the split"
        guesses.append(Guess("groups", value, reason, "--group '.+' for no groups"))
    if not other:
        return guesses
    value = "; ".join(f"{ours} is {theirs}" for ours, theirs in other.items())
    return [
        *guesses,
        Guess(
            "columns",
            value,
            "the names of the columns say so",
            "a CSV with the columns path and label or mask",
        ),
    ]
