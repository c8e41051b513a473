"""What a server says of its model: classes, metrics with intervals, and what it can do."""

from pathlib import Path
from typing import Any

from eyespot import __version__
from eyespot.serving.limits import Limits
from eyespot.serving.service import Service


def model_document(service: Service) -> dict[str, Any]:
    """The document of GET /v1/model."""
    predictor = service.predictor
    card = predictor.card
    read = predictor.preprocessing
    key, metric = predictor.output.metric
    return {
        "name": Path(service.run).resolve().name,
        "task": card.task,
        "classes": card.classes,
        "network": card.preset,
        "input": {"axes": read.dim, "channels": read.channels, "fit": read.fit, "size": read.size},
        "metric": {"key": key, "name": metric, "of": card.data.get("metrics")},
        "scores": {name: value for name, value in card.scores.items() if isinstance(value, dict)},
        "certificate": getattr(predictor, "certificate", None),
        "limits": limits_document(service.limits),
        "versions": card.versions,
        "server": f"eyespot {__version__}",
    }


def limits_document(limits: Limits) -> dict[str, Any]:
    """What one request may have."""
    return {
        "megabytes": limits.megabytes,
        "megapixels": limits.megapixels,
        "images": limits.images,
        "seconds": limits.seconds,
    }
