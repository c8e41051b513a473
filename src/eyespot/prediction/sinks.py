"""Predictions on their way out: a table, CSV or JSON lines, written as they come."""

import contextlib
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from eyespot.console import say
from eyespot.errors import UserError, nearest, one_line
from eyespot.files import remove_files, writing
from eyespot.prediction.output import Written
from eyespot.prediction.predictions import Prediction
from eyespot.wrapping import width_of

FORMATS = ("table", "csv", "json", "jsonl")


def write_predictions(
    predictions: Iterable[Prediction], out: Path | None, form: str | None, force: bool = False
) -> Written:
    """Write each prediction as it comes. force   whether a file that exists is overwritten"""
    form = form or (_by_ending(out) if out else "table" if sys.stdout.isatty() else "csv")
    if form not in FORMATS:
        raise UserError(f"format is {form!r}; {nearest(form, FORMATS)}")
    unread: dict[str, str] = {}
    done = 0
    write = None
    with _opened(out, force) as file:
        for p in predictions:
            if p.error is not None:
                unread[p.path] = p.error
                continue
            write = write or {"table": _table, "csv": _csv, "json": _json, "jsonl": _jsonl}[form](file)
            write(p)
            done += 1
        if form == "json" and done:
            file.write("\n]\n")
    return Written(unread, done)


def _by_ending(out: Path) -> str:
    forms = {".csv": "csv", ".jsonl": "jsonl", ".json": "json", ".txt": "table"}
    if out.suffix.lower() not in forms:
        raise UserError(f"{out} ends in none of {', '.join(forms)}: name such a file, or say --format")
    return forms[out.suffix.lower()]


@contextlib.contextmanager
def _opened(out: Path | None, force: bool) -> Iterator[IO[str]]:
    """Standard output, or a file that takes its name only when it is whole, and only if anything was written.

    Predictions that were written before Ctrl-C or an error stay in NAME.partial.
    """
    if out is None:
        yield sys.stdout
        return
    partial = out.with_name(f"{out.name}.partial")
    try:
        with writing(out, text=True, keep_empty=False, replace=force, interrupted=partial) as file:
            yield file
    except BaseException:
        if partial.exists():
            say(f"the predictions so far are in {partial}")
        raise
    remove_files(partial)  # of a run before, which was stopped


def _csv(file: IO[str]):
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["path", "label", "probability"])
    return lambda p: writer.writerow([p.path, p.label, f"{p.probability:.6f}"])


def as_document(p: Prediction) -> dict[str, Any]:
    """A prediction for JSON."""
    rounded = {name: round(value, 6) for name, value in (p.probabilities or {}).items()}
    return {
        "path": p.path,
        "label": p.label,
        "probability": round(p.probability or 0, 6),
        "probabilities": rounded,
    }


def _json(file: IO[str]):
    """An array with a prediction in each line"""
    before = "[\n"

    def write(p: Prediction) -> None:
        nonlocal before
        file.write(before + json.dumps(as_document(p)))
        before = ",\n"

    return write


def _jsonl(file: IO[str]):
    return lambda p: file.write(json.dumps(as_document(p)) + "\n")


def _table(file: IO[str]):
    def write(p: Prediction) -> None:
        others = sorted((p.probabilities or {}).items(), key=lambda x: -x[1])[1:3]
        line = f"{p.label:<16} {100 * (p.probability or 0):5.1f}%  {one_line(p.path)}"
        rest = f"  ({', '.join(f'{n} {100 * v:.1f}%' for n, v in others)})"
        file.write(line + rest * (len(line + rest) <= width_of(file)) + "\n")

    return write
