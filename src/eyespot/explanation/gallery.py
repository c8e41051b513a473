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
from eyespot.data.masks.multilabel import unpack
from eyespot.evaluation.evaluation import Evaluation
from eyespot.evaluation.masks import shown_cases
from eyespot.explanation.colours import coloured, gradient_css, pictures, scale_of, shown, strongest_slice
from eyespot.explanation.constant import CONSTANT, is_constant
from eyespot.explanation.explain import Explainer, Request
from eyespot.explanation.result import Explanation
from eyespot.explanation.subject import Subject
from eyespot.explanation.trust import relevance_mass, relevance_rank
from eyespot.explanation.watermark import suspicion
from eyespot.explanation.write import PAGE, refuse_taken
from eyespot.files import make_folder, write_file
from eyespot.guard import as_sentence, report_bug
from eyespot.pages.page import template, whole
from eyespot.pictures import SMALL_FILE, embedded, to_display
from eyespot.prediction.predictor import Predictor
from eyespot.report.classes import uncertain_rows, worst_rows
from eyespot.report.masks import WORST
from eyespot.short_names import short_names

SHOWN = 12
"""Images of each gallery that have a map."""
OF_CLASS = 40
"""Images of each class in its mean map."""


@dataclass(frozen=True)
class ClassMap:
    """The mean map (*S) of a class over images that are predicted as it; `suspect` says where a small place decides."""

    name: str
    mean: NDArray[np.float64]
    image: NDArray[np.float64]
    n: int
    suspect: str


def explained(predictor: Predictor, arrays: Iterable[tuple[str, Array]], total: int) -> list[Explanation]:
    """Grad-CAM of images that were read before, (*S, C) as the network gets them"""
    explainer = Explainer(predictor, Request(check=False))
    results = []
    for path, array in track(arrays, total, "explaining, images"):
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
            "src": embedded(picture, SMALL_FILE),
            "alt": f"map for {explanation.target}",
            "of": f"map for {explanation.target}",
        }
    return drawn


def shown_images(evaluation: Evaluation) -> list[tuple[str, Array]]:
    """The images of the galleries: (path, array)"""
    details = evaluation.details
    if not hasattr(details, "probabilities"):  # masks
        return [(case.path, np.asarray(case.image)) for case in shown_cases(details, WORST)]
    rows = dict.fromkeys([*worst_rows(details, SHOWN).tolist(), *uncertain_rows(details, SHOWN).tolist()])
    return [(details.paths[row], details.pixels[row]) for row in rows]


def class_maps(predictor: Predictor, evaluation: Evaluation) -> list[ClassMap]:
    """The mean map of each class; none for masks, where each image has places of its own."""
    details = evaluation.details
    if not hasattr(details, "probabilities"):
        return []
    predicted = details.probabilities.argmax(1)
    results = []
    for k, name in enumerate(details.classes):
        rows = spread(np.flatnonzero(predicted == k))
        if not len(rows):
            continue
        images = np.stack([details.pixels[row] for row in rows])
        made = explained(
            predictor, [(details.paths[r], x) for r, x in zip(rows, images, strict=True)], len(rows)
        )
        mean = np.asarray(np.mean(np.stack([e.map for e in made]), 0), np.float64)
        others = [details.pixels[row] for row in spread(np.flatnonzero(predicted != k))]

        def predict(batch: Array) -> NDArray[np.int64]:
            return predictor.logits(batch).argmax(1)

        suspect = suspicion(predict, k, name, mean, images, np.stack(others)) if others else ""
        results.append(ClassMap(name, mean, images.mean(0), len(rows), suspect))
    return results


def spread(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most OF_CLASS of them, evenly spread"""
    return rows[:: max(1, -(-len(rows) // OF_CLASS))]


def write_evaluation(
    predictor: Predictor, evaluation: Evaluation, folder: Path, force: bool, run: str
) -> list[str]:
    """Write a page of the worst and the most uncertain images with their maps, and the mean map of each class.

    run   the name of the run, for the title

    Returns a sentence for each class that a small place away from the middle is enough for. Raises UserError where the page exists.
    """
    refuse_taken(folder, [], force, "--explain")
    chosen = shown_images(evaluation)
    made = explained(predictor, chosen, len(chosen))
    limit = scale_of(e.map for e in made)
    of_classes = class_maps(predictor, evaluation)
    make_folder(folder)
    body = template("explanation", "evaluation.html.j2").render(
        limit=f"{limit:.3g}",
        images=[
            drawn(e, limit, name, truth_sentence(e, evaluation.details, predictor))
            for e, name in zip(made, short_names([e.path for e in made]), strict=True)
        ],
        classes=[mean_pictures(c, scale_of(m.mean for m in of_classes)) for c in of_classes],
        gradient=gradient_css(),
        class_limit=f"{scale_of(m.mean for m in of_classes):.3g}",
    )
    title = f"What the run {run} looked at where it was wrong or uncertain"
    write_file(folder / PAGE, whole(title, body))
    return [c.suspect for c in of_classes if c.suspect]


def truth_sentence(explanation: Explanation, details: Any, predictor: Predictor) -> str:
    """How much of a map lies where the mask has the class (Arras et al. 2022); empty without a mask, or without the class in it."""
    case = next((c for c in getattr(details, "cases", []) if c.path == explanation.path), None)
    if case is None or case.truth is None or explanation.position is None:
        return ""
    if predictor.output.multilabel:
        truth = unpack(case.truth, len(predictor.classes))[explanation.position]
    else:
        truth = case.truth == explanation.position
    values = explanation.map
    name = predictor.classes[explanation.position]
    if truth.shape != values.shape or not truth.any():
        return ""
    if not (values > 0).any():
        return f"nothing of this map speaks for {name}"
    if is_constant(values):
        return CONSTANT
    share = relevance_mass(values, truth)
    return (
        f"The mask has {name} in {truth.mean():.0%} of the image, and {share:.0%} of all that the map counts for {name} lies there"
        f"{', less than by chance' if share < truth.mean() else ''}. If as many places as the mask has are taken, those with the "
        f"highest values, {relevance_rank(values, truth):.0%} of them lie there"
    )


def drawn(explanation: Explanation, limit: float, name: str, truth: str = "") -> dict[str, Any]:
    made = pictures(explanation.image, explanation.map, limit)
    keys: Sequence[str] = ("both",) if explanation.map.ndim == 1 else ("image", "both")
    text = f"Predicted {explanation.predicted}; explained: {explanation.target}"
    return {
        "name": name,
        "text": ". ".join(filter(None, [text, truth])),
        "pictures": [
            (embedded(made[key]), name, "with its map" if key == "both" else "as it is") for key in keys
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
        mean = mean[k]
        image = image[k]
    if mean.ndim == 1:
        mean = np.repeat(mean[None], max(1, len(mean) // 8), 0)
    return {
        "name": of_class.name,
        "n": of_class.n,
        "suspect": of_class.suspect,
        "image": embedded(shown(to_display(image))),
        "map": embedded(shown(Image.fromarray(coloured(mean, limit)))),
    }
