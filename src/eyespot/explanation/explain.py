"""`eyespot.explain`: what a network looked at in images."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from eyespot.console import track
from eyespot.data.header import Unreadable
from eyespot.errors import UserError, nearest
from eyespot.explanation import trust
from eyespot.explanation.constant import is_constant
from eyespot.explanation.methods import (
    WITHOUT_GRADIENTS,
    Method,
    Values,
    Work,
    baseline_of,
    blurred,
    method_of,
)
from eyespot.explanation.occlusion import refuse_patch
from eyespot.explanation.places import Place, choose_layer, named_layer, places
from eyespot.explanation.result import Explanation, Explanations
from eyespot.explanation.score import (
    has_gradients,
    incremental_score,
    logits_of,
    normalised,
    refuse_without_gradients,
    score_of,
)
from eyespot.explanation.subject import Subject, read_subject
from eyespot.explanation.target import (
    Target,
    class_position,
    predicted_positions,
    read_region,
    region_target,
    whole_target,
)
from eyespot.explanation.tiled import TiledScore, predicted_in_tiles
from eyespot.plurals import count
from eyespot.prediction.load import load
from eyespot.prediction.output import MEMORY_MB
from eyespot.prediction.predictor import Predictor
from eyespot.prediction.tiles import Plan
from eyespot.prediction.tiles import plan as plan_tiles

KEPT = 4
"""How many times the memory of a prediction a gradient takes, since every layer's output is kept."""
COPIES = 4
"""Of an image that is explained in tiles: itself, what covers it, its gradient and the sum of the gradients."""
MANY = 10
"""Images from which progress is over images, also where each of them takes long."""


class Options(TypedDict, total=False):
    """The optional arguments of `explain`."""

    region: str | None
    baseline: str
    patch: int | None
    check: bool
    seed: int
    device: str | None


@dataclass(frozen=True)
class Request:
    """What is to be explained and how: the arguments of `explain`."""

    method: str = "grad-cam"
    target: str | int | None = None
    against: str | int | None = None
    layer: str | None = None
    region: str | None = None
    baseline: str = "mean"
    patch: int | None = None
    check: bool = True
    seed: int = 0
    device: str | None = None


def explain(
    run: Any,
    image: Any,
    *,
    method: str = "grad-cam",
    target: str | int | None = None,
    against: str | int | None = None,
    layer: str | None = None,
    **options: Unpack[Options],
) -> Explanation | Explanations:
    """What a network looked at: a map for one image, a list of maps for a list of images.

    run       a run folder or model file, a `Run` or a `Predictor`
    image     a path, a Pillow or nibabel image or an array, or a list of these
    method    grad-cam, grad-cam++, gradient, smoothgrad, integrated-gradients, guided-backprop, deconvnet, occlusion or rise
    target    the class to explain; the predicted one if not given
    against   another class: the map explains why the target and not this one
    layer     that Grad-CAM looks at; without it the last with a grid of 7 or more places along each axis, or the last on
              the coarsest grid of a network for masks
    region    for masks: START:END for each axis, where the mask is explained
    baseline  what covers a place and where integrated gradients start: mean (of the training images), black or blur
    patch     samples along each axis of occlusion's patch
    check     whether the map is compared with an edge filter, the distance from the centre and a random order
    seed      of what is random
    device    where the network of a folder runs

    Raises UserError for what does not exist, naming the nearest that does, and for an image that cannot be read.
    """
    names = [f.name for f in fields(Request)]
    for name in options:
        if name not in names:
            raise UserError(f"explain has no argument {name!r}; {nearest(name, names)}")
    request = Request(method, target, against, layer, **options)
    name = str(run) if isinstance(run, str | os.PathLike) else "RUN"
    explainer = Explainer(predictor_of(run, request.device), request, name)
    several = isinstance(image, list | tuple)
    results = Explanations(explainer.of_image(one) for one in (image if several else [image]))
    return results if several else results[0]


def predictor_of(run: Any, device: str | None = None) -> Predictor:
    """The predictor of a run folder, a model file, a `Run` or a `Predictor`."""
    if isinstance(run, str | os.PathLike):
        return load(run, device=device)
    return run if isinstance(run, Predictor) else run.predictor


class Explainer:
    """Makes maps with one predictor, by one request. Raises UserError for a request that cannot be met.

    run   the folder of the predictor, for what is said of it
    """

    def __init__(self, predictor: Predictor, request: Request, run: str = "RUN"):
        self.predictor = predictor
        self.request = request
        self.engine = predictor.engine
        self.preprocessing = predictor.preprocessing
        self.of_positions: bool = predictor.output.of_positions
        self.multilabel: bool = self.of_positions and predictor.output.multilabel
        self.method: Method = method_of(request.method)
        if self.method.gradients:
            refuse_without_gradients(self.engine, self.method.name, WITHOUT_GRADIENTS, run)
        for name in filter(None, (request.target, request.against)):
            class_position(name, predictor.classes)
        self.region = read_region(request.region)
        if self.region and not self.of_positions:
            raise UserError(
                "a region is for runs that predict masks, and this one predicts the class of the whole image"
            )
        if request.layer and not self.method.layered:
            raise UserError(
                f"{self.method.name} looks at the image and not at a layer: leave out layer, or use grad-cam"
            )
        if request.patch is not None and (self.method.name != "occlusion" or request.patch < 1):
            raise UserError(
                f"patch is {request.patch} with {self.method.name}: it is the side of occlusion's patch, 1 sample or more"
            )
        self.shows_images = False
        self._places: dict[tuple[int, ...], list[Place]] = {}
        self.place_for_training_size()

    def place_for_training_size(self) -> None:
        """Refuse a layer before any image is read."""
        if self.method.layered:
            side = self.predictor.card.preprocessing["side"]
            self.place((side,) * self.preprocessing.dim)

    def place(self, size: tuple[int, ...]) -> Place:
        """The layer that Grad-CAM looks at for a network's input of this size."""
        network = self.predictor.network
        shown = size if self.of_positions else (self.engine.side,) * len(size)
        shown = tuple(max(n, network.smallest) for n in shown)
        if shown not in self._places:
            self._places[shown] = places(network, (network.channels, *shown))
        known = self._places[shown]
        if self.request.layer:
            return named_layer(network, known, self.request.layer)
        return choose_layer(known, self.of_positions)

    def of_image(self, image: Any) -> Explanation:
        """The map of one image. Raises UserError for one that cannot be read."""
        try:
            subject = read_subject(image, self.preprocessing)
        except Unreadable as reason:
            name = str(image) if isinstance(image, str | Path) else "the image"
            raise UserError(f"{name} cannot be explained: {reason}") from reason
        return self.of_subject(subject)

    def stream(self, images: Sequence[Any], unread: dict[str, str]) -> Iterator[Explanation]:
        """Maps one by one, with progress; images that cannot be read are noted with the reason."""
        self.shows_images = len(images) > 1 and (self.method.gradients or len(images) >= MANY)
        for image in (
            track(images, len(images), f"{self.method.name}, images") if self.shows_images else images
        ):
            try:
                yield self.of_subject(read_subject(image, self.preprocessing))
            except Unreadable as reason:
                unread[str(image)] = str(reason)

    def of_subject(self, subject: Subject) -> Explanation:
        """The map of an image that was read."""
        plan = self.plan_of(subject)
        target, predicted = self.target_of(subject, plan)
        work = self.work(subject, target, plan)
        values = self.method.compute(work)
        flat = self.flat(values.values)
        return Explanation(
            map=subject.back(flat, self.preprocessing),
            values=values.values.astype(np.float32),
            method=self.method.name,
            target=str(target),
            label=values.label,
            why=values.why,
            meaning=self.method.meaning,
            path=subject.name,
            image=subject.shown,
            predicted=predicted,
            layer=work.place.name if work.place else None,
            trust=self.trust_of(work, target, flat) if self.has_check(flat, plan) else None,
            notes=(*subject.notes, *self.notes(work, values)),
            position=target.position,
        )

    def has_check(self, flat: NDArray[Any], plan: Plan | None) -> bool:
        """Whether the order of a map is compared with others: not of one that has none, nor in tiles."""
        return self.request.check and plan is None and not is_constant(flat)

    def plan_of(self, subject: Subject) -> Plan | None:
        """The tiles of an image with masks whose gradient does not fit in memory at once; None for all others.

        Raises UserError where tiles would not be equal to the whole.
        """
        if not self.of_positions:
            return None
        shape = subject.array.shape[:-1]
        facts = replace(self.engine.facts, bytes_per_sample=KEPT * self.engine.facts.bytes_per_sample)
        if facts.memory(shape) <= MEMORY_MB << 20:
            return None
        copies = COPIES * 4 * subject.array.size
        planned = plan_tiles(facts, shape, max(0, (MEMORY_MB << 20) - copies))
        if planned.why:
            size = " x ".join(map(str, shape))
            raise UserError(
                f"{subject.name} has {size} samples, whose map takes about {facts.memory(shape) / 2**20:,.0f} MB, and tiles would "
                f"not be equal to it, since {planned.why}: explain a smaller piece, or set EYESPOT_MEMORY_MB"
            )
        return planned

    def target_of(self, subject: Subject, plan: Plan | None) -> tuple[Target, str]:
        """What is explained, and what is predicted, for people."""
        if plan:
            return self.region_of(predicted_in_tiles(self.engine, subject.array, plan, self.multilabel))
        logits = self.engine.logits(subject.array[None])[0]
        if self.of_positions:
            return self.region_of(predicted_positions(logits, self.multilabel))
        from scipy.special import softmax

        classes = self.predictor.classes
        target = whole_target(logits, classes, self.request.target, self.request.against)
        p = softmax(logits.astype(np.float64) / self.predictor.card.temperature)
        best = int(p.argmax())
        return target, f"{classes[best]} ({p[best]:.0%})"

    def region_of(self, predicted: NDArray[np.bool_]) -> tuple[Target, str]:
        """The same of a mask: (classes, *S) where each class is predicted"""
        classes = self.predictor.classes
        request = self.request
        target = region_target(
            predicted, classes, request.target, request.against, self.region, self.multilabel
        )
        shares = predicted.reshape(len(classes), -1).mean(1)
        present = [f"{name} in {s:.0%}" for name, s in zip(classes, shares, strict=True) if s > 0]
        return target, ", ".join(present[:6]) + ", ..." * (len(present) > 6) or "nothing"

    def work(self, subject: Subject, target: Target, plan: Plan | None = None) -> Work:
        x = normalised(self.engine, self.preprocessing, subject.array)
        refuse_patch(self.request.patch, subject.name, tuple(x.shape[2:]))
        mean = self.preprocessing.mean
        std = self.preprocessing.std
        baseline, called = baseline_of(x, self.request.baseline, mean, std)
        place = self.place(tuple(x.shape[2:])) if self.method.layered else None
        score = score_of(self.engine, self.preprocessing, target)
        if plan:
            score = TiledScore(logits_of(self.engine, self.preprocessing), target, plan)
            if not self.method.adds_up and len(score.tiles) > 1:
                raise UserError(
                    f"{subject.name} is larger than memory, and {self.method.name} does not add up over tiles: "
                    "use gradient, name a smaller region, or set EYESPOT_MEMORY_MB"
                )

        def progress(items: Iterable[int], total: int) -> Iterator[int]:
            if self.shows_images:
                return iter(items)
            return track(items, total, f"{self.method.name} of {subject.name}, steps")

        return Work(
            score,
            x,
            baseline,
            called,
            self.engine,
            place,
            incremental_score(self.engine, target),
            self.request.patch,
            self.request.seed,
            progress,
        )

    def flat(self, values: NDArray[Any]) -> NDArray[Any]:
        """(C, *S) or (*S) -> (*S), summed over channels"""
        return values.sum(0) if values.ndim > self.preprocessing.dim else values

    def trust_of(self, work: Work, target: Target, flat: NDArray[Any]) -> trust.Trust:
        temperature = 1.0 if self.of_positions else self.predictor.card.temperature
        probability = score_of(
            self.engine, self.preprocessing, _Probability(target, self.multilabel, temperature)
        )
        measured = trust.measure(probability, work.x, work.baseline, blurred(work.x), flat, self.request.seed)
        if self.method.name not in trust.REPEATED:
            return measured

        def of(x: Tensor) -> NDArray[Any]:
            return self.flat(self.method.compute(replace(work, x=x)).values)

        return replace(
            measured,
            randomised=self.randomised(work, target, flat),
            sensitivity=trust.sensitivity(of, work.x, seed=self.request.seed),
        )

    def randomised(self, work: Work, target: Target, flat: NDArray[Any]) -> float:
        """The rank correlation of a map with that of random parameters."""
        engine = self.random_engine
        score = score_of(engine, self.preprocessing, target)
        other = self.method.compute(replace(work, score=score, engine=engine))
        return trust.rank_correlation(flat, self.flat(other.values))

    @cached_property
    def random_engine(self) -> Any:
        """The engine around a copy of the network with random parameters."""
        return self.engine.with_network(trust.randomised(self.predictor.network, self.request.seed))

    def notes(self, work: Work, values: Values) -> list[str]:
        notes = []
        if isinstance(work.score, TiledScore):
            notes.append(
                f"computed in {count(len(work.score.tiles), 'tile')}, equal to the whole image; too large to be compared with an edge "
                "filter, which takes about 200 predictions of it"
            )
        views = getattr(self.engine, "views", [1])
        if len(views) > 1:
            notes.append(
                f"the score is the mean over the {len(views)} mirrored or moved views that a prediction uses"
            )
        if getattr(self.engine, "precision", "float32") != "float32" and has_gradients(self.engine):
            notes.append("predictions of this run are computed in bfloat16, and the map in float32")
        if not np.any(values.values):
            notes.append(
                "the map is zero everywhere: nothing of this image, seen through this method, moves the score"
            )
        return notes


@dataclass(frozen=True)
class _Probability:
    """A target whose number is the probability, for insertion and deletion."""

    target: Target
    multilabel: bool
    temperature: float

    def of(self, logits: Any) -> Any:
        return self.target.probability(logits, self.multilabel, self.temperature)
