"""Explanations as one page that needs nothing else: images in their own colours beside their maps, on one scale."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from eyespot.explanation.colours import gradient_css, pictures, scale_of, strongest_slice
from eyespot.explanation.constant import is_constant
from eyespot.explanation.methods import METHODS
from eyespot.explanation.trust import NAMES, signed
from eyespot.pages.page import template, whole
from eyespot.pictures import embedded
from eyespot.plurals import count
from eyespot.short_names import short_names

if TYPE_CHECKING:
    from eyespot.explanation.result import Explanation

CAPTIONS = {"image": "the file", "map": "the map", "both": "map over the image"}


def page(explanations: Sequence["Explanation"], title: str, mean_maps: Sequence[Any] = ()) -> str:
    """The whole page."""
    body = template("explanation", "page.html.j2").render(mean_maps=mean_maps, **content(explanations))
    return whole(title, body)


def fragment(explanations: Sequence["Explanation"]) -> str:
    """What a notebook shows."""
    return template("explanation", "fragment.html.j2").render(**content(explanations))


def content(explanations: Sequence["Explanation"]) -> dict[str, Any]:
    """What the templates show."""
    limit = scale_of(e.map for e in explanations)
    first = explanations[0] if explanations else None
    common = [n for n in first.notes if all(n in e.notes for e in explanations)] if first else []
    names = short_names([e.path for e in explanations])
    items = [item(e, limit, name) for e, name in zip(explanations, names, strict=True)]
    own_notes = [[n for n in e.notes if n not in common] for e in explanations]
    return {
        "items": [shown | {"notes": notes} for shown, notes in zip(items, own_notes, strict=True)],
        "common": common,
        "limit": f"{limit:.3g}",
        "has_ends": not all(is_constant(e.map) for e in explanations),
        "gradient": gradient_css(),
        "method": METHODS[first.method].title if first else "",
        "meaning": first.meaning if first else "",
        "together": "this map" if len(explanations) == 1 else f"these {len(explanations)} maps",
        "trust": trust_rows(explanations),
    }


def item(explanation: "Explanation", limit: float, name: str = "") -> dict[str, Any]:
    """One image on the page."""
    drawn = pictures(explanation.image, explanation.map, limit)
    name = name or Path(explanation.path).name
    if explanation.map.ndim == 1:
        drawn = {"both": drawn["both"]}
    alts = {
        "image": f"{name}, predicted {explanation.predicted}",
        "map": f"map of {name}: {described(explanation)}",
        "both": f"{name} with its map: {described(explanation)}",
    }
    below = f"the file above its map, {count(explanation.map.size, 'sample')} from left to right"
    captions = CAPTIONS | ({"both": below} if explanation.map.ndim == 1 else {})
    if explanation.map.ndim == 3:
        k = strongest_slice(explanation.map)
        captions = {key: f"{text}, slice {k} of {len(explanation.map)}" for key, text in captions.items()}
    return {
        "e": explanation,
        "name": name,
        "wide": explanation.map.ndim == 1,
        "pictures": [
            {"src": embedded(picture), "alt": alts[key], "caption": captions[key], "small": is_small(picture)}
            for key, picture in drawn.items()
        ],
    }


def is_small(picture: Image.Image) -> bool:
    return max(picture.size) < 400


def described(explanation: "Explanation") -> str:
    """Where the map is largest, in words."""
    values = explanation.map
    if not np.any(values):
        return "zero everywhere"
    if is_constant(values):
        return "the same everywhere"
    top = np.unravel_index(int(values.argmax()), values.shape)
    places = {2: (("top", "middle", "bottom"), ("left", "centre", "right")), 1: (("start", "middle", "end"),)}
    words = places.get(values.ndim, (("first slices", "middle slices", "last slices"), *places[2]))
    thirds = [w[min(2, 3 * int(i) // n)] for w, i, n in zip(words, top, values.shape, strict=True)]
    return f"largest at the {' '.join(thirds)}"


def trust_rows(explanations: Sequence["Explanation"]) -> list[tuple[str, str, bool]]:
    """The mean gain of the maps and of each baseline: name, number, whether it is at least the maps'."""
    measured = [e.trust for e in explanations if e.trust is not None]
    if not measured:
        return []
    gains = {"the maps" if len(measured) > 1 else "the map": [t.curves.gain for t in measured]}
    for key, name in NAMES.items():
        gains[name] = [t.baselines[key].gain for t in measured]
    own = float(np.mean(next(iter(gains.values()))))
    return [
        (name, signed(float(np.mean(values))), k > 0 and float(np.mean(values)) >= own)
        for k, (name, values) in enumerate(gains.items())
    ]


def summary(explanations: Sequence["Explanation"]) -> str:
    """What a terminal shows: a line for each map, and how many of them should not be trusted."""
    lines = [
        f"{e.path}  predicted {e.predicted}, explained {e.target}"
        + f" at layer {e.layer}" * bool(e.layer)
        + f"; map: {e.label}"
        for e in explanations
    ]
    unlike = [e for e in explanations if e.warnings]
    constant = [e for e in explanations if is_constant(e.map)]
    if len(explanations) == 1:
        lines += [f"warning: {text}" for e in unlike for text in e.warnings]
        return "\n".join(lines)
    if constant:
        lines.append(
            f"warning: {count(len(constant), 'map')} of {len(explanations)} the same everywhere, so nothing is said about places"
        )
    if len(unlike) > len(constant):
        lines.append(
            f"warning: {count(len(unlike) - len(constant), 'map')} of {len(explanations)} no better than an order that knows nothing of the "
            "network; the page names them"
        )
    return "\n".join(lines)


def as_document(explanations: Sequence["Explanation"], folder: Path) -> dict[str, Any]:
    """The same for JSON."""
    documents = [
        {
            "path": e.path,
            "predicted": e.predicted,
            "target": e.target,
            "method": e.method,
            "layer": e.layer,
            "label": e.label,
            "why": e.why,
            "warnings": e.warnings,
            "notes": list(e.notes),
            "trust": None if e.trust is None else e.trust.as_dict(),
            "sensitivity": None if e.trust is None else e.trust.sensitivity,
        }
        for e in explanations
    ]
    return {"folder": str(folder), "maps": documents}
