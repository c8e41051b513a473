"""`eyespot look`: what is in a folder, what is wrong with it, and what would be trained."""

import json
import os
from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from eyespot import pictures
from eyespot.console import count
from eyespot.data.pair_survey import PairSurvey, survey_any
from eyespot.data.preprocess.choose import Wishes
from eyespot.data.survey import ERROR, Survey
from eyespot.files import check_not_input

SHOWN = 3
"""Files named per finding on the terminal; --json names all."""


@dataclass(frozen=True)
class Look:
    """The findings about a data set. Prints itself as text; `as_dict` has every file."""

    survey: Survey
    sheet: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """Everything found, ready for JSON."""
        s = self.survey
        return {
            "name": s.source.name,
            "kind": s.word,
            "images": len(s.images.rows),
            "classes": list(s.classes),
            "counts": {split or "all": _counts(s, split) for split in s.source.splits},
            "sizes": _table(f.size for f in s.facts),
            "channels": _table(f.channels for f in s.facts),
            "depths": _table(f.depth for f in s.facts),
            "spacings": _table(" x ".join(f"{v:.4g}" for v in f.spacing) for f in s.facts if f.spacing),
            "formats": _table(f.kind for f in s.facts),
            "value_range": [float(s.images.low.min()), float(s.images.high.max())] if len(s.facts) else None,
            "unreadable": {
                str(s.source.samples[i].path): reason for i, reason in sorted(s.images.errors.items())
            },
            "problems": [{"level": p.level, "text": p.text, "files": list(p.files)} for p in s.problems],
            "reading": s.preprocessing.as_dict(),
            "reasons": s.reasons,
            "sheet": str(self.sheet) if self.sheet else None,
        } | (_of_masks(s) if isinstance(s, PairSurvey) else {})

    @property
    def errors(self) -> list[str]:
        """What makes training impossible."""
        return [p.text for p in self.survey.problems if p.level == ERROR]

    def as_json(self) -> str:
        return json.dumps(self.as_dict(), indent=2)

    def __str__(self) -> str:
        d, lines = self.as_dict(), []
        lines.append(
            f"{d['name']}: {count(d['images'], d['kind'])} in {count(len(d['classes']), 'class', 'classes')}"
        )
        lines += ["", *_count_lines(d)]
        for what in ("sizes", "channels", "depths", "formats"):
            lines.append(f"{what:<10}" + _short(d[what]))
        if d["spacings"]:
            lines.append(f"{'spacing':<10}{_short(d['spacings'])} {'s' if d['kind'] == 'signal' else 'mm'}")
        if d["value_range"]:
            low, high = d["value_range"]
            lines.append(f"{'values':<10}{low:g} to {high:g}")
        r = d["reading"]
        lines += [
            "",
            _of_crops(d)
            if "mapping" in d
            else f"would be trained at {' x '.join([str(r['size'])] * r['dim'])} ({d['reasons']['size']}), fit {r['fit']!r} ({d['reasons']['fit']}), "
            + (f"view {r['view']!r} ({d['reasons']['view']}), " if r["view"] != "samples" else "")
            + f"{count(r['channels'], 'channel')}, {r['depth']}",
            "",
        ]
        lines += [line for p in self.survey.problems for line in _problem_lines(p)] or [
            "nothing wrong was found"
        ]
        if self.sheet:
            lines += ["", f"contact sheet: {self.sheet}"]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre><img src='{pictures.embedded(contact_sheet(self.survey))}'>"


def look(
    data: str | os.PathLike,
    *,
    size: int | None = None,
    fit: str | None = None,
    dim: int | None = None,
    view: str | None = None,
    void: str | None = None,
    multilabel: bool = False,
    sheet: str | os.PathLike | None = None,
) -> Look:
    """Say what is in a data set before anything is trained.

    size, fit, dim, view, void, multilabel   as for `train`
    sheet       where to write a picture with images of each class (PNG), if anywhere
    """
    to = None if sheet is None else pictures.as_png(Path(sheet))
    found = survey_any(data, Wishes(size, fit, dim, view), void=void, multilabel=multilabel)
    if to is None:
        return Look(found)
    check_not_input(to, (Path(data), *(f for s in found.source.samples for f in (s.path, *s.mask_files))))
    pictures.save(contact_sheet(found), to)
    return Look(found, to)


def contact_sheet(found: Survey, per_class: int = 10, most: int = 40):
    """Some images of each class, as the network would see them; or some with their masks over them."""
    if isinstance(found, PairSurvey):
        rows = np.sort(np.random.default_rng(0).permutation(len(found.labels))[:12])
        pairs = [(found.images.pixels[i], found.images.labels[i]) for i in rows]
        shown = [pictures.overlay(image, found.as_shown(labels)) for image, labels in pairs]
        plain = [pictures.overlay(image, np.zeros_like(labels)) for image, labels in pairs]
        names = ", ".join(found.classes[:12])
        return pictures.sheet([(f"{found.word}s", plain), (f"masks: {names}", shown)], tile=144, columns=6)
    rows, rng = [], np.random.default_rng(0)
    for k, name in enumerate(found.source.classes[:most]):
        members = np.flatnonzero(found.labels == k)
        chosen = np.sort(rng.permutation(members)[:per_class])
        rows.append((f"{name} ({len(members):,})", [found.images.pixels[i] for i in chosen]))
    return pictures.sheet(rows)


def _of_masks(s: PairSurvey) -> dict[str, Any]:
    return {
        "mapping": s.mapping.as_dict(),
        "overlap": round(s.overlap, 6),
        "shares": dict(zip(s.classes, s.shares.mean(0).round(6).tolist(), strict=True)),
        "images_with": dict(zip(s.classes, (s.shares > 0).sum(0).tolist(), strict=True)),
    }


def _of_crops(d: dict[str, Any]) -> str:
    m = d["mapping"]
    void = "" if m["void"] is None else f"; {m['void']} is void"
    return f"would be trained on crops ({d['reasons']['classes']}{void}), {count(d['reading']['channels'], 'channel')}, {d['reading']['depth']}"


def _counts(s: Survey, split: str) -> dict[str, int]:
    if isinstance(s, PairSurvey):
        return {name: int((s.shares[s.splits == split, k] > 0).sum()) for k, name in enumerate(s.classes)}
    counts = Counter(s.labels[s.splits == split].tolist())
    return {name: counts[k] for k, name in enumerate(s.source.classes)}


def _table(values) -> dict[str, int]:
    return {str(k): n for k, n in Counter(values).most_common()}


def _short(table: dict[str, int], most: int = 4) -> str:
    shown = [f"{k} ({n:,})" if len(table) > 1 else k for k, n in list(table.items())[:most]]
    return ", ".join(shown) + (f" and {len(table) - most} others" if len(table) > most else "")


def _count_lines(d: dict[str, Any]) -> list[str]:
    splits, width = d["counts"], max(8, *(len(c) for c in d["classes"]))
    header = "class".ljust(width) + "".join(f"{s:>10}" for s in splits)
    if "shares" in d:
        values = d["mapping"]["values"] or ["nonzero"] * len(d["classes"])
        values = dict(zip(d["classes"], values, strict=True))
        header = "class".ljust(width) + f"{'value':>10}{'of pixels':>11}{'in ' + d['kind'] + 's':>12}"
        body = [
            f"{name.ljust(width)}{values[name]:>10}{d['shares'][name]:>11.1%}{d['images_with'][name]:>12,}"
            for name in d["classes"]
        ]
        return [header, *body, ""]
    body = [
        name.ljust(width) + "".join(f"{counts[name]:>10,}" for counts in splits.values())
        for name in d["classes"]
    ]
    return [header, *body, ""]


def _problem_lines(p) -> list[str]:
    more = f"    and {len(p.files) - SHOWN} more (--json lists all)"
    return [
        f"{p.level}: {p.text}",
        *(f"    {f}" for f in p.files[:SHOWN]),
        *([more] if len(p.files) > SHOWN else []),
    ]
