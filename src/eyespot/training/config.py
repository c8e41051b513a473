"""What a user may ask of `train`, as one frozen object that validates itself and reads and writes TOML."""

import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import tomli_w

from eyespot.errors import UserError, nearest
from eyespot.files import write_file
from eyespot.training.recipe import parse_recipe

PRECISIONS = ["float32", "bfloat16", "winograd", "im2col"]
TABLES = ("reasons", "timed", "budget")
"""Tables of plan.toml that explain the settings; they are not settings, and are passed over when it is read."""


@dataclass(frozen=True)
class Config:
    """The settings of a training run; None leaves the choice to the plan.

    minutes     wall-clock time of the whole command, decoding, evaluation and report included
    epochs      passes over the training images; with it and a seed a run can be repeated exactly
    model       a preset: see `eyespot.presets()`
    size        samples along each axis that the network is trained at; frames of a spectrum
    fit         how a file comes to that size: pad, crop or stretch
    dim         1 to take the files as signals, 2 as images, 3 as volumes
    view        of sounds: "spectrum" over time, or their "samples"
    void        of masks: the value of pixels that do not count, or "none"
    multilabel  each mask has a channel per class; where classes have masks of their own, this need not be said
    loss        for masks: "ce", "dice", "focal", "tversky", "border" (multi-label: "bce", "dice"), or sums: "ce+dice"
    batch       images per step
    recipe      parts of training, e.g. "whiten|muon|average": see `eyespot.training.recipe`; "none" for plain AdamW
    augment     changes that must not change the class, e.g. "flip|shift(0.06)"; "none" for none
    group       regular expression; files whose names match the same text stay on one side of the split
    held_out    share of each class that is held out, where the data has no val folder: a fifth, and of many images beside a
                test folder less
    precision   "float32", "bfloat16" (products only; weights and sums stay float32), or these with quicker gradients on
                a processor: "winograd" (float32) and "im2col" (bfloat16); see `eyespot.fast`
    threads     processor threads; with --minutes they may change while training, with epochs alone they do not
    device      "cpu", "cuda", "cuda:1", "mps"
    start_from  weights to start from: a .safetensors or .pth file, a run folder, or "imagenet" for published ones
    fine_tune   the head learns first, then all layers, the early ones least; needs start_from
    """

    data: str = ""
    minutes: float | None = None
    epochs: float | None = None
    model: str | None = None
    size: int | None = None
    fit: str | None = None
    dim: int | None = None
    view: str | None = None
    void: str | None = None
    multilabel: bool = False
    loss: str | None = None
    batch: int | None = None
    recipe: str | None = None
    augment: str | None = None
    group: str | None = None
    held_out: float | None = None
    seed: int = 0
    precision: str | None = None
    threads: int | None = None
    device: str | None = None
    start_from: str | None = None
    fine_tune: bool = False

    def __post_init__(self):
        for f in fields(self):
            value = getattr(self, f.name)
            kinds = KINDS[f.name]
            if value is not None and (
                not isinstance(value, kinds) or isinstance(value, bool) != (kinds is bool)
            ):
                raise UserError(f"{f.name} is {value!r}; give {WORDS[kinds]}")
        for name in ("minutes", "epochs", "size", "batch", "threads"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UserError(f"{name} is {value}; give a number above 0")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"seed is {self.seed}; give a whole number from 0 on")
        if self.held_out is not None and not 0 < self.held_out < 1:
            raise UserError(f"held_out is {self.held_out}; give a share between 0 and 1, such as 0.2")
        if self.precision not in (None, *PRECISIONS):
            raise UserError(f"precision is {self.precision!r}; {nearest(self.precision or '', PRECISIONS)}")
        parse_recipe(self.recipe or "")
        if self.fine_tune and self.start_from is None:
            raise UserError(
                "fine-tuning needs weights to start from: name them with start_from (--start-from)"
            )


Settle = Callable[[str, Any, str], Any]
"""settle(name, value, reason): the value that was typed, or this one; the reason is kept."""
NUMBER = (int, float)
KINDS: dict[str, Any] = {
    **dict.fromkeys(
        ("data", "model", "fit", "view", "void", "loss", "recipe", "augment", "group", "precision", "device"),
        str,
    ),
    "start_from": str,
    **dict.fromkeys(("fine_tune", "multilabel"), bool),
    **dict.fromkeys(("minutes", "epochs", "held_out"), NUMBER),
    **dict.fromkeys(("size", "dim", "batch", "threads", "seed"), int),
}
WORDS = {bool: "true or false", str: "a text", NUMBER: "a number", int: "a whole number"}


def read_config(path: Path, typed: dict[str, Any]) -> Config:
    """The settings of a TOML file, a run's plan.toml or one's own; what was typed beside it wins."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; give the plan.toml of a run, or your own"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from error
    known = [f.name for f in fields(Config)]
    settings = {k: v for k, v in content.items() if k not in TABLES}
    for key in settings:
        if key not in known:
            raise UserError(f"{path} has the unknown key {key!r}; {nearest(key, known)}")
    return replace(Config(**settings), **typed)


def write_plan(path: Path, settings: Config, tables: dict[str, Any]) -> None:
    """The resolved settings, and tables that explain them: a file that repeats the run."""
    content: dict[str, Any] = {k: v for k, v in asdict(settings).items() if v is not None}
    write_file(path, tomli_w.dumps(content | tables))
