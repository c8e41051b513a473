"""The settings of a training run, each declared once.

The options of the shell, the signature and docstring of `eyespot.train`, the keys of plan.toml and the table on the
page docs/guide/settings.md are derived from the fields of `Config`. `python -m eyespot.config` prints that table.
"""

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypedDict, get_type_hints

from eyespot.errors import UserError, nearest
from eyespot.files import write_file
from eyespot.recipe import parse_recipe
from eyespot.renamed import report_renamed
from eyespot.setting import (
    ABOVE_0,
    AT_LEAST_2,
    AXES,
    FINITE,
    FRACTION,
    FROM_0,
    SEED,
    Setting,
    one_of,
    setting,
    type_problem,
    value_type,
)

PRECISIONS = ["float32", "bfloat16", "winograd", "im2col"]
NO_WEIGHTS = "none"
"""The value of start_from for a new network, where None leaves the choice to the plan."""
TABLES = ("reasons", "timed", "budget")
"""Tables of plan.toml that explain the settings. They are not settings, and are ignored when it is read."""


@dataclass(frozen=True)
class Config:
    """The settings of a training run; None leaves the choice to the plan."""

    data: str = setting("", "The data set: a folder, a CSV or a built-in set", shell=False)
    minutes: float | None = setting(
        None, "Time for the whole command, evaluation and report included", unit="min", check=ABOVE_0
    )
    epochs: float | None = setting(
        None, "Passes over the training set; with these and a seed a run can be repeated", check=ABOVE_0
    )
    model: str | None = setting(None, "A network by name, such as resnet18")
    task: str | None = setting(
        None,
        "What to train: classification, or segmentation of images that have masks",
        check=one_of("classification", "segmentation"),
        reads=True,
    )
    images: str | None = setting(
        None,
        "Which files are images, such as 'scans/*.tif', below DATA",
        metavar="PATTERN",
        reads=True,
        layout=True,
    )
    masks: str | None = setting(
        None,
        "Which files are their masks, such as 'truth/*.png', below DATA",
        metavar="PATTERN",
        reads=True,
        layout=True,
    )
    label_from: str | None = setting(
        None,
        "The class is the first group of this expression in a file's name (or in its path below DATA, if it has a /); of a CSV, the name of the column",
        metavar="REGEX",
        reads=True,
        layout=True,
    )
    size: int | None = setting(
        None, "Samples (pixels, voxels) along each axis", unit="samples", check=ABOVE_0, reads=True
    )
    fit: str | None = setting(
        None,
        "How files are fitted to that size: pad, crop or stretch",
        check=one_of("pad", "crop", "stretch", also=("own",)),  # images that have masks keep their own size
        reads=True,
    )
    dim: int | None = setting(
        None, "Read files as signals (1), images (2) or volumes (3)", check=one_of(1, 2, 3), reads=True
    )
    view: str | None = setting(
        None, "How sounds are read: spectrum or samples", check=one_of("spectrum", "samples"), reads=True
    )
    axes: str | None = setting(
        None,
        "Axes of TIFF files with several pages, in their order, such as TZCYX or ZYX",
        check=AXES,
        reads=True,
    )
    scaling: str | None = setting(
        None,
        "Where images of 8 and 16 bits are mixed: full multiplies 8 bits by 257, none keeps all values",
        check=one_of("full", "none"),
        reads=True,
    )
    background: str | None = setting(
        None,
        "What transparent pixels are laid on: white, black or grey",
        check=one_of("white", "black", "grey"),
        reads=True,
    )
    columns: str | None = setting(
        None, "Columns of tables that are channels, such as 2,4-6 or their names", reads=True
    )
    decimal: str | None = setting(
        None,
        "What commas in tables are, where both are possible: decimal comma or decimal point",
        check=one_of("comma", "point"),
        reads=True,
    )
    rate: float | None = setting(
        None, "Samples per second of tables and arrays of signals", unit="Hz", check=ABOVE_0, reads=True
    )
    objects: bool | None = setting(
        None,
        "Whether the values of masks number objects (--objects) or are classes (--classes)",
        reads=True,
        opposite="--classes",
    )
    void: str | None = setting(None, "Mask value to ignore, or none", reads=True)
    align: str | None = setting(
        None,
        "NIfTI masks with another affine than their image: affine places them by it, array pairs voxels of equal indices",
        check=one_of("affine", "array"),
        reads=True,
        layout=True,
    )
    nan: float | None = setting(
        None, "Value that replaces NaN and infinite values of images", check=FINITE, reads=True, layout=True
    )
    harden: bool | None = setting(
        None,
        "Pixels at soft edges of masks get the nearer value, or keep their own",
        reads=True,
        layout=True,
        opposite="--no-harden",
    )
    multilabel: bool = setting(False, "Masks have a channel per class, and classes may overlap", reads=True)
    loss: str | None = setting(
        None,
        "For masks: ce, dice, focal, tversky, border, or a sum: ce+dice; multi-label: bce, dice",
    )
    batch: int | None = setting(None, "Images per step", unit="images", check=ABOVE_0)
    lr: float | None = setting(
        None,
        "Peak learning rate: of Muon where the recipe has it, of the head in fine-tuning, else of AdamW",
        check=ABOVE_0,
    )
    weight_decay: float | None = setting(
        None, "Weight decay of AdamW; filters that Muon trains keep their norm", check=FROM_0
    )
    recipe: str | None = setting(
        None, "Parts of the training method, such as 'whiten|muon|ema'; none is plain AdamW"
    )
    augment: str | None = setting(
        None, "Transforms that keep the class, such as 'flip|shift(0.06)'; or trivial, auto, learn or none"
    )
    group: str | None = setting(
        None,
        "Files whose names match the same text stay on one side of the split",
        metavar="REGEX",
        layout=True,
    )
    duplicates: str = setting(
        "group",
        "What occurs twice: group (on one side of the split), keep (as independent) or drop (to one)",
        check=one_of("group", "keep", "drop"),
        reads=True,
    )
    val_fraction: float | None = setting(
        None,
        "Share of the validation set, if the data has none of its own",
        check=FRACTION,
        old_names=("held_out",),
    )
    folds: int | None = setting(
        None,
        "Cross-validation: so many networks, each validated on its own share of the images",
        unit="networks",
        check=AT_LEAST_2,
    )
    fold: int | None = setting(None, "Of a run in a cross-validation: its fold", check=ABOVE_0, shell=False)
    seed: int = setting(0, "For the split, the initial weights and the order of the images", check=SEED)
    precision: str | None = setting(
        None,
        f"Arithmetic of convolutions: {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}",
        check=one_of(*PRECISIONS),
        shell=False,
    )
    threads: int | None = setting(None, "Processor threads", check=ABOVE_0, shell=False)
    log: str | None = setting(
        None,
        "The history also as jsonl (history.jsonl) or for tensorboard; csv is history.csv, which is always written",
        check=one_of("csv", "jsonl", "tensorboard"),
    )
    device: str | None = setting(None, "cpu, cuda, cuda:1 or mps; by default a GPU if there is one")
    start_from: str | None = setting(
        None,
        "Weights to start from: a .safetensors or .pth file, a run folder, imagenet, or none",
        metavar="WEIGHTS",
    )
    fine_tune: bool = setting(False, "Train the head first, then all layers; needs weights to start from")

    def __post_init__(self):
        for name, f in DECLARED.items():
            value = getattr(self, name)
            declared = declaration(f)
            remedy = type_problem(value, TYPES[name])
            if remedy is None and value is not None and declared.check and not declared.check.passes(value):
                remedy = declared.check.remedy(value)
            if remedy:
                raise UserError(f"{name} is {value!r}; {remedy}")
        if self.fold is not None and (self.folds is None or self.fold > self.folds):
            raise UserError(f"fold is {self.fold}; give it with folds, and from 1 to that number")
        parse_recipe(self.recipe or "")
        if self.fine_tune and self.weights is None:
            raise UserError(
                "fine-tuning needs weights to start from: name them with start_from (--start-from)"
            )

    @property
    def weights(self) -> str | None:
        """The weights to start from; None for a new network."""
        return None if self.start_from == NO_WEIGHTS else self.start_from


class Settings(TypedDict, total=False):
    """The same settings as keyword arguments, for type checkers. A test compares it with the fields of `Config`."""

    minutes: float | None
    epochs: float | None
    model: str | None
    task: str | None
    images: str | None
    masks: str | None
    label_from: str | None
    size: int | None
    fit: str | None
    dim: int | None
    view: str | None
    axes: str | None
    scaling: str | None
    background: str | None
    columns: str | None
    decimal: str | None
    rate: float | None
    objects: bool | None
    void: str | None
    align: str | None
    nan: float | None
    harden: bool | None
    multilabel: bool | None
    loss: str | None
    batch: int | None
    lr: float | None
    weight_decay: float | None
    recipe: str | None
    augment: str | None
    group: str | None
    duplicates: str | None
    val_fraction: float | None
    folds: int | None
    fold: int | None
    seed: int | None
    precision: str | None
    threads: int | None
    log: str | None
    device: str | None
    start_from: str | os.PathLike[str] | None
    fine_tune: bool | None


class LayoutSettings(TypedDict, total=False):
    """Those of the settings that say which files are samples or how they are read, as keyword arguments, for type checkers."""

    images: str | None
    masks: str | None
    label_from: str | None
    align: str | None
    nan: float | None
    harden: bool | None
    group: str | None


DECLARED: dict[str, Field] = {f.name: f for f in fields(Config)}
TYPES: dict[str, Any] = get_type_hints(Config)
RENAMED = {old: name for name, f in DECLARED.items() for old in f.metadata["setting"].old_names}
Settle = Callable[[str, Any, str], Any]
"""settle(name, value, reason): the value that the user gave, or else this one; the reason is kept."""


def declaration(f: Field) -> Setting:
    """Help, unit and check of a field of `Config`."""
    return f.metadata["setting"]


def given_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are not None, by their present names; paths as text.

    Raises TypeError for a name that is no setting.
    """
    given: dict[str, Any] = {}
    for key, value in _present_names(settings):
        if key not in DECLARED:
            raise TypeError(f"{key!r} is not a setting; {nearest(key, list(DECLARED))}")
        if value is not None:
            given[key] = os.fspath(value) if isinstance(value, os.PathLike) else value
    return given


def _present_names(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if key in RENAMED:
            report_renamed("setting", key, RENAMED[key])
        yield RENAMED.get(key, key), value


def read_config(path: Path, given: dict[str, Any]) -> Config:
    """The settings of a TOML file, such as the plan.toml of a run; `given` takes precedence.

    Raises UserError if the file cannot be read, is not TOML or has an unknown key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; give the plan.toml of a run, or your own"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from error
    settings = dict(_present_names({k: v for k, v in content.items() if k not in TABLES}))
    for key in settings:
        if key not in DECLARED:
            raise UserError(f"{path} has the unknown key {key!r}; {nearest(key, list(DECLARED))}")
    return replace(Config(**settings), **given)


def write_plan(path: Path, settings: Config, tables: dict[str, Any]) -> None:
    """The resolved settings, and tables that explain them: a file that repeats the run."""
    import tomli_w

    content: dict[str, Any] = {k: v for k, v in asdict(settings).items() if v is not None}
    write_file(path, tomli_w.dumps(content | tables))


def help_text(name: str) -> str:
    """The help of a setting as a sentence."""
    return declaration(DECLARED[name]).help + "."


def option(name: str) -> str:
    """The option of a setting on the command line, such as "--start-from"."""
    return "--" + name.replace("_", "-")


def reading_settings() -> list[str]:
    """The settings that say how data are read: the options of `eyespot look`."""
    return [name for name, f in DECLARED.items() if declaration(f).reads]


def layout_settings() -> list[str]:
    """The settings that say which files are samples, or how those of another data set are read: the options of `eyespot evaluate RUN DATA`."""
    return [name for name, f in DECLARED.items() if declaration(f).layout]


def on_shell() -> list[str]:
    """The settings that are options of `eyespot train`."""
    return [name for name, f in DECLARED.items() if declaration(f).shell]


def as_table() -> str:
    """The settings as a Markdown table."""
    lines = ["| setting | option | value | what it is |", "| --- | --- | --- | --- |"]
    for name, f in DECLARED.items():
        declared = declaration(f)
        kind = value_type(TYPES[name])
        typed = f"`{option(name)}`" if declared.shell else "`DATA`" if name == "data" else ""
        words = {str: "text", int: "whole number", float: "number", bool: "true or false"}
        value = f"{words[kind]}{f' ({declared.unit})' if declared.unit else ''}"
        old = f" (before: {', '.join(f'`{old}`' for old in declared.old_names)})"
        text = declared.help.replace("|", "\\|")
        lines.append(f"| `{name}` | {typed} | {value} | {text}{old * bool(declared.old_names)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(as_table())
