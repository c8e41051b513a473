"""Maps beside the images that an evaluation shows, and the mean map of each class, in which a watermark can be seen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyespot.console import say, track
from eyespot.data.header import Array
from eyespot.evaluation.evaluation import Evaluation
from eyespot.explanation.colours import coloured, pictures, scale_of, shown, strongest_slice
from eyespot.explanation.explain import Explainer, Request
from eyespot.explanation.page import template
from eyespot.explanation.result import Explanation
from eyespot.explanation.subject import Subject
from eyespot.explanation.write import PAGE, refuse_taken
from eyespot.files import make_folder, write_file
from eyespot.guard import as_sentence, report_bug
from eyespot.pictures import embedded, to_display
from eyespot.prediction.predictor import Predictor
from eyespot.report.classes import uncertain_rows, worst_rows

SHOWN = 12
"""Images of each gallery that have a map."""
OF_CLASS = 40
"""Images of each class in its mean map."""
WINDOW = 4
"""The window that is looked at for a watermark is this share of each axis."""
SUSPECT = 0.3
"""Share of what speaks for a class that makes a window away from the middle suspect."""


@dataclass(frozen=True)
class ClassMap:
    """The mean map (*S) of a class over images that are predicted as it; `suspect` says where it looks like a watermark."""

    name: str
    mean: NDArray[np.float64]
    image: NDArray[np.float64]
    n: int
    suspect: str


def explained(predictor: Predictor, arrays: Iterable[tuple[str, Array]], total: int) -> list[Explanation]:
    """Grad-CAM of images that were read before, (*S, C) as the network gets them"""
    explainer = Explainer(predictor, Request(check=False))
    results = []
    for path, array in track(arrays, total, "explaining"):
        results.append(explainer.of_subject(Subject(path, array, array, None)))
    return results


def maps_beside(predictor: Predictor, evaluation: Evaluation) -> dict[str, dict[str, str]]:
    """For the worst and the most uncertain images of an evaluation: the picture and its description, by path.

    Empty where none can be made: a report is written all the same, and says nothing of maps.
    """
    chosen = shown_images(evaluation)
    try:
        made = explained(predictor, chosen, len(chosen))
    except Exception as error:  # training is done, and its report is written in any case
        sentence = as_sentence(error)
        if sentence is None:
            report_bug(error)
        say(f"the report has no maps{f': {sentence}' if sentence else ''}")
        return {}
    limit = scale_of(e.map for e in made)
    drawn = {}
    for explanation in made:
        picture = pictures(explanation.image, explanation.map, limit)["both"]
        picture.thumbnail((240, 240))
        drawn[explanation.path] = {
            "src": embedded(picture),
            "alt": f"map for {explanation.target}",
            "of": f"map for {explanation.target}",
        }
    return drawn


def shown_images(evaluation: Evaluation) -> list[tuple[str, Array]]:
    """The images of the galleries: (path, array)"""
    details = evaluation.details
    if not hasattr(details, "probabilities"):  # masks
        return [(case.path, case.image) for case in details.cases[:8] if case.image is not None]
    rows = dict.fromkeys([*worst_rows(details)[:SHOWN].tolist(), *uncertain_rows(details)[:SHOWN].tolist()])
    return [(details.paths[row], details.pixels[row]) for row in rows]


def class_maps(predictor: Predictor, evaluation: Evaluation) -> list[ClassMap]:
    """The mean map of each class; none for masks, where each image has places of its own."""
    details = evaluation.details
    if not hasattr(details, "probabilities"):
        return []
    predicted = details.probabilities.argmax(1)
    results = []
    for k, name in enumerate(details.classes):
        rows = np.flatnonzero(predicted == k)
        rows = rows[:: max(1, -(-len(rows) // OF_CLASS))]
        if not len(rows):
            continue
        made = explained(predictor, [(details.paths[r], details.pixels[r]) for r in rows], len(rows))
        mean = np.asarray(np.mean(np.stack([e.map for e in made]), 0), np.float64)
        others = np.flatnonzero(predicted != k)
        others = others[:: max(1, -(-len(others) // OF_CLASS))]
        alike = (
            sameness(details.pixels[rows], details.pixels[others]) if len(others) else np.zeros(mean.shape)
        )
        image = np.mean(details.pixels[rows], 0)
        results.append(ClassMap(name, mean, image, len(rows), suspicion(mean, alike)))
    return results


def sameness(images: Array, others: Array) -> NDArray[np.float64]:
    """(*S) by how much the images (N, *S, C) of a class differ from others, less how much they differ from each other

    A tag is the same in nearly all images of a class and not there in others: positive. Objects differ among themselves.
    """
    median = np.median(images, 0)
    spread = np.median(np.abs(images - median), 0)
    return (np.abs(median - np.median(others, 0)) - 4 * spread).mean(-1)


def suspicion(mean: NDArray[Any], alike: NDArray[np.float64]) -> str:
    """Where much of a class's map lies in a small window away from the middle, and the images are alike there; else empty.

    alike   see `sameness`
    """
    positive = np.clip(mean, 0, None)
    total = np.abs(mean).sum()
    window = [max(1, round(n / WINDOW)) for n in mean.shape]
    sums = positive
    for axis, n in enumerate(window):
        sums = np.lib.stride_tricks.sliding_window_view(sums, n, axis).sum(-1)
    corner = np.unravel_index(int(sums.argmax()), sums.shape)
    share = float(sums[corner] / total) if total > 0 else 0.0
    middle = [(int(c) + n / 2) / m for c, n, m in zip(corner, window, mean.shape, strict=True)]
    place = tuple(slice(int(c), int(c) + n) for c, n in zip(corner, window, strict=True))
    if share < SUSPECT or all(1 / 4 < m < 3 / 4 for m in middle) or alike[place].mean() <= 0:
        return ""
    words = {1: (("start", "middle", "end"),), 2: (("top", "middle", "bottom"), ("left", "centre", "right"))}
    known = words.get(mean.ndim, (("first slices", "middle slices", "last slices"), *words[2]))
    where = " ".join(w[min(2, int(3 * m))] for w, m in zip(known, middle, strict=True))
    area = float(np.prod([n / m for n, m in zip(window, mean.shape, strict=True)]))
    return (
        f"{share:.0%} of its map lies in the same {area:.0%} of the image, at the {where}, where its images are alike and "
        "unlike those of other classes: look for a tag, a watermark or a border there"
    )


def write_evaluation(predictor: Predictor, evaluation: Evaluation, folder: Path, force: bool) -> list[str]:
    """Write a page of the worst and the most uncertain images with their maps, and the mean map of each class.

    Returns a sentence for each class whose maps look like a watermark. Raises UserError where the page exists.
    """
    refuse_taken(folder, [], force)
    chosen = shown_images(evaluation)
    made = explained(predictor, chosen, len(chosen))
    limit = scale_of(e.map for e in made)
    of_classes = class_maps(predictor, evaluation)
    make_folder(folder)
    html = template("evaluation.html.j2").render(
        title=f"{predictor.card.preset}: what it looked at where it was wrong or uncertain",
        limit=f"{limit:.3g}",
        images=[drawn(e, limit) for e in made],
        classes=[mean_pictures(c, scale_of(m.mean for m in of_classes)) for c in of_classes],
        class_limit=f"{scale_of(m.mean for m in of_classes):.3g}",
    )
    write_file(folder / PAGE, html)
    return [f"class {c.name}: {c.suspect}" for c in of_classes if c.suspect]


def drawn(explanation: Explanation, limit: float) -> dict[str, Any]:
    made = pictures(explanation.image, explanation.map, limit)
    name = Path(explanation.path).name
    keys: Sequence[str] = ("both",) if explanation.map.ndim == 1 else ("image", "both")
    return {
        "name": name,
        "text": f"predicted {explanation.predicted}; explained: {explanation.target}",
        "pictures": [
            (embedded(made[key]), f"{name}, {'with its map' if key == 'both' else 'as it is'}")
            for key in keys
        ],
    }


def mean_pictures(of_class: ClassMap, limit: float) -> dict[str, Any]:
    mean = of_class.mean
    image = (
        of_class.image.round().astype(np.uint8)
        if of_class.image.max() <= 255 and of_class.image.min() >= 0
        else of_class.image.astype(np.float32)
    )
    if mean.ndim == 3:
        k = strongest_slice(mean)
        mean, image = mean[k], image[k]
    if mean.ndim == 1:
        mean = np.repeat(mean[None], max(1, len(mean) // 8), 0)
    return {
        "name": of_class.name,
        "n": of_class.n,
        "suspect": of_class.suspect,
        "image": embedded(shown(to_display(image))),
        "map": embedded(shown(Image.fromarray(coloured(mean, limit)))),
    }
