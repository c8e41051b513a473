"""What a server says of its model: classes, metrics with intervals, and what it can do."""

from pathlib import Path
from typing import Any

from eyespot import __version__
from eyespot.missing import has_torch
from eyespot.prediction.predictor import Predictor
from eyespot.serving.body import fields_of
from eyespot.serving.limits import Limits
from eyespot.serving.service import Service
from eyespot.serving.views import colours_of
from eyespot.weights.card import Card


def measured_on(card: Card) -> str | None:
    """The rows that the metrics were measured on: those of the test set where the run has one."""
    split = card.data.get("split", {})
    sets = {"test": "test set", "val": "validation set"}
    known = [name for key, name in sets.items() if split.get(key, {}).get("n")]
    return card.data.get("metrics") or next(iter(known), None)


def certificate(engine: Any) -> dict[str, Any]:
    """Whether the file has one that holds on this machine: `load` refuses a file whose certificate does not."""
    digest = getattr(engine, "name", "")
    if not digest:
        return {
            "holds": None,
            "sentence": "A run folder has no certificate: eyespot export writes a file that has one.",
        }
    return {
        "holds": True,
        "sha256": digest,
        "engine": engine.engine,
        "precision": engine.precision,
        "sentence": f"Certificate: this file gives on this machine what it gave when it was exported ({engine.engine}, "
        f"{engine.precision}, SHA-256 {digest[:12]}...).",
    }


def model_document(service: Service) -> dict[str, Any]:
    """The document of GET /v1/model."""
    predictor = service.predictor
    card = predictor.card
    read = predictor.preprocessing
    key, metric = predictor.output.metric
    overlapping = predictor.output.of_positions and predictor.output.multilabel
    document = {
        "name": Path(service.run).resolve().name,
        "task": card.task,
        "classes": card.classes,
        "network": card.preset,
        "input": {
            "axes": read.dim,
            "channels": read.channels,
            "fit": read.fit,
            "size": read.size,
            "fields": fields_of(read.channel_files),
        },
        "metric": {"key": key, "name": metric, "of": measured_on(card)},
        "scores": {name: value for name, value in card.scores.items() if isinstance(value, dict)},
        "certificate": certificate(predictor.engine),
        "limits": limits_document(service.limits),
        "versions": card.versions,
        "server": f"eyespot {__version__}",
    }
    if predictor.output.of_positions:
        document["colours"] = colours_of(card.classes, overlapping)
    return document | _on_demand(predictor)


def _on_demand(predictor: Predictor) -> dict[str, Any]:
    """The methods of explanations and the changes of images that this server has."""
    if not has_torch():
        return {"explanations": [], "changes": []}
    from eyespot.serving.change import as_document, catalogue
    from eyespot.serving.explain import methods_of

    return {
        "explanations": methods_of(predictor),
        "changes": [as_document(change) for change in catalogue(predictor)],
    }


def limits_document(limits: Limits) -> dict[str, Any]:
    """What one request may have."""
    return {
        "megabytes": limits.megabytes,
        "megapixels": limits.megapixels,
        "images": limits.images,
        "seconds": limits.seconds,
    }
