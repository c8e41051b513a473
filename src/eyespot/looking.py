"""`eyespot look`: what is in a data set, what is wrong with it, and what would be trained."""

import json
import os
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from itertools import count as numbers
from pathlib import Path
from typing import Any, Unpack

from eyespot import pictures
from eyespot.config import (
    Config,
    Settings,
    given_settings,
    reading_settings,
)
from eyespot.console import MANY, long_table
from eyespot.contact_sheets import contact_sheet
from eyespot.data.surveys.survey import ERROR, Problem, Survey
from eyespot.data.surveys.survey_data import survey_data
from eyespot.files import check_not_input, refuse_existing
from eyespot.notebook import html, images
from eyespot.plurals import count
from eyespot.signature import with_settings

SOFTWARE = "eyespot look"
"""In the metadata of a contact sheet, which the next one may replace."""
SHEET_CLASSES = 10
"""Classes of which a notebook shows images."""
SHOWN = 3
"""Files named per finding on the terminal; --json names all."""


@dataclass(frozen=True)
class Look:
    """The findings about a data set. Prints itself as text; `as_dict` has every file."""

    survey: Survey
    sheet: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """All findings, ready for JSON."""
        s = self.survey
        headers = s.headers
        samples = s.source.samples
        return {
            "name": s.source.name,
            "kind": s.word,
            "task": s.task,
            "objects": s.mapping is not None and s.mapping.objects,
            "guesses": [guess.as_dict() for guess in s.guesses],
            "images": len(headers),
            "classes": list(s.classes),
            "counts": {split or "all": s.counts(split) for split in s.source.splits},
            "sizes": _table(h.size for h in headers),
            "channels": _table(h.channels for h in headers),
            "depths": _table(h.depth for h in headers),
            "spacings": _table(" x ".join(f"{v:.4g}" for v in h.spacing) for h in headers if h.spacing),
            "rates": _table(f"{1 / h.spacing[0]:.6g}" for h in headers if h.spacing and h.dim == 1),
            "formats": _table(h.kind for h in headers),
            "value_range": [float(s.images.low.min()), float(s.images.high.max())] if headers else None,
            "unreadable": {str(samples[i].path): reason for i, reason in sorted(s.images.errors.items())},
            "dropped": s.dropped,
            "checks": list(s.checks),
            "problems": [{"level": p.level, "text": p.text, "files": list(p.files)} for p in s.problems],
            "preprocessing": s.preprocessing.as_dict(),
            "reasons": s.reasons,
            "sheet": str(self.sheet) if self.sheet else None,
        } | s.mask_summary()

    @property
    def errors(self) -> list[str]:
        """What makes training impossible."""
        return [p.text for p in self.survey.problems if p.level == ERROR]

    def as_json(self) -> str:
        return json.dumps(self.as_dict(), indent=2)

    def __str__(self) -> str:
        d = self.as_dict()
        samples = count(d["images"], d["kind"])
        lines = [f"{d['name']}: {samples} in {count(len(d['classes']), 'class', 'classes')}", ""]
        lines += [*_count_lines(d), *_header_lines(d), "", _training_line(d), ""]
        lines += [f"guess: {guess}" for guess in self.survey.guesses]
        problems = self.survey.problems
        lines += [line for problem in problems[:MANY] for line in _problem_lines(problem)]
        lines += [f"and {count(len(problems) - MANY, 'other problem')} (--json lists all)"] * (
            len(problems) > MANY
        )
        if not problems:
            lines.append(f"no problems; {count(len(self.survey.checks), 'plausibility check')} passed")
        if self.sheet:
            lines += ["", f"contact sheet: {self.sheet}"]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        d = self.as_dict()
        problems = [line for problem in self.survey.problems[:MANY] for line in _problem_lines(problem)]
        shown = contact_sheet(self.survey, per_class=10, most_classes=SHEET_CLASSES)
        alt = f"contact sheet: {self.survey.word}s of {', '.join(d['classes'][:SHEET_CLASSES])}"
        return html.result(
            html.line(
                f"{d['name']}: {count(d['images'], d['kind'])} in {count(len(d['classes']), 'class', 'classes')}",
                strong=True,
            ),
            html.text("\n".join([*_count_lines(d), *_header_lines(d)])),
            html.lines([_training_line(d), *(f"guess: {guess}" for guess in self.survey.guesses)]),
            html.text("\n".join(problems)) if problems else html.line("no problems"),
            images.sheet(shown, alt),
        )


@with_settings(*reading_settings())
def look(
    data: str | os.PathLike,
    *,
    sheet: str | os.PathLike | None = None,
    force: bool = False,
    **settings: Unpack[Settings],
) -> Look:
    """Report what is in a data set before anything is trained.

    sheet         where to write a picture with images of each class (PNG); None for no picture
    force         overwrite a file of that name that is not a contact sheet of eyespot
    """
    to = None if sheet is None else pictures.as_png(Path(sheet))
    if to and not to.resolve().is_relative_to(Path(data).resolve()):  # which may be an input
        _refuse_foreign(to, force)
    survey = survey_data(data, Config(**given_settings({"data": data, **settings})))
    if to is None:
        return Look(survey)
    check_not_input(to, (Path(data), *(f for s in survey.source.samples for f in (s.path, *s.mask_files))))
    _refuse_foreign(to, force)
    pictures.write_png(contact_sheet(survey), to, SOFTWARE)
    return Look(survey, to)


def free_sheet(data: str | os.PathLike) -> Path:
    """Where the contact sheet goes if no name is given: NAME-look.png, or NAME-look-2.png if the first is not ours."""
    return free_picture(data, "look", SOFTWARE)


def free_picture(data: str | os.PathLike, command: str, software: str) -> Path:
    """NAME-COMMAND.png, or NAME-COMMAND-2.png if a file of the first name was written by other software."""
    path = Path(data)
    name = path.resolve().stem if path.exists() else str(data)
    names = chain([f"{name}-{command}.png"], (f"{name}-{command}-{i}.png" for i in numbers(2)))
    return next(p for p in map(Path, names) if not os.path.lexists(p) or pictures.software_of(p) == software)


def _is_own(sheet: Path) -> bool:
    return pictures.software_of(sheet) == SOFTWARE


def _refuse_foreign(sheet: Path, force: bool) -> None:
    """Raises UserError where a file exists that is not a contact sheet, unless forced."""
    if not _is_own(sheet):
        refuse_existing(sheet, force)


def _table(values) -> dict[str, int]:
    return {str(k): n for k, n in Counter(values).most_common()}


def _header_lines(d: dict[str, Any]) -> list[str]:
    lines = [f"{what:<10}{_short(d[what])}" for what in ("sizes", "channels", "depths", "formats")]
    if d["rates"]:
        lines.append(f"{'rate':<10}{_short(d['rates'])} Hz")
    elif d["spacings"]:
        lines.append(f"{'spacing':<10}{_short(d['spacings'])} mm")
    if d["value_range"]:
        low, high = d["value_range"]
        lines.append(f"{'values':<10}{low:g} to {high:g}")
    return lines


def _training_line(d: dict[str, Any]) -> str:
    """What `train` would use."""
    p = d["preprocessing"]
    reasons = d["reasons"]
    values = f"{count(p['channels'], 'channel')}, {p['depth']}"
    if "mapping" in d:
        void = d["mapping"]["void"]
        ignored = "" if void is None else f"; {void} is void"
        return f"would be trained on crops ({reasons['classes']}{ignored}), {values}"
    size = " x ".join([str(p["size"])] * p["dim"])
    view = f"view {p['view']!r} ({reasons['view']}), " if p["view"] != "samples" else ""
    return (
        f"would be trained at {size} ({reasons['size']}), fit {p['fit']!r} ({reasons['fit']}), {view}{values}"
    )


def _short(table: dict[str, int], most: int = 4) -> str:
    entries = [f"{k} ({n:,})" if len(table) > 1 else k for k, n in list(table.items())[:most]]
    rest = len(table) - most
    return ", ".join(entries) + (f" and {count(rest, 'other')}" if rest > 0 else "")


def _count_lines(d: dict[str, Any]) -> list[str]:
    if "shares" in d:
        return [*_mask_count_lines(d), ""]
    splits = d["counts"]
    names = d["classes"]
    if len(names) > MANY:
        names = sorted(names, key=lambda name: -sum(counts[name] for counts in splits.values()))
    rows = [[name, *(f"{counts[name]:,}" for counts in splits.values())] for name in names]
    return [*long_table(["class", *splits], rows, "class"), ""]


def _mask_count_lines(d: dict[str, Any]) -> list[str]:
    values = d["mapping"]["values"] or ["nonzero"] * len(d["classes"])
    rows = [
        [name, value, f"{d['shares'][name]:.1%}", f"{d['images_with'][name]:,}"]
        for name, value in zip(d["classes"], values, strict=True)
    ]
    return long_table(["class", "value", "of pixels", f"in {d['kind']}s"], rows, "class")


def _problem_lines(problem: Problem) -> list[str]:
    lines = [f"{problem.level}: {problem.text}", *(f"    {file}" for file in problem.files[:SHOWN])]
    rest = len(problem.files) - SHOWN
    return lines + ([f"    and {rest:,} more (--json lists all)"] if rest > 0 else [])
