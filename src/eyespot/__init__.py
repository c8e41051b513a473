"""eyespot: a folder of images in, a network that its owner can trust out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Read on first use: `import eyespot` and `eyespot --help` stay light.
_PUBLIC = {
    "ImageClassifier": "eyespot.estimator",
    "Kit": "eyespot.kit",
    "Look": "eyespot.looking",
    "Predictions": "eyespot.prediction.predictions",
    "Predictor": "eyespot.prediction.predictor",
    "Run": "eyespot.run",
    "UserError": "eyespot.errors",
    "augment_data": "eyespot.enlargement.augment_data",
    "create": "eyespot.models",
    "evaluate": "eyespot.run",
    "explain": "eyespot.explanation.explain",
    "export": "eyespot.onnx_file.export",
    "inspect": "eyespot.inspection",
    "invariance": "eyespot.invariances.measure",
    "load": "eyespot.prediction.load",
    "look": "eyespot.looking",
    "predict": "eyespot.run",
    "presets": "eyespot.models",
    "push": "eyespot.sharing.push",
    "register": "eyespot.models",
    "serve": "eyespot.serving.serve",
    "train": "eyespot.run",
    "verify": "eyespot.prediction.verification",
}
__all__ = [
    "ImageClassifier",
    "Kit",
    "Look",
    "Predictions",
    "Predictor",
    "Run",
    "UserError",
    "__version__",
    "augment",
    "augment_data",
    "convolution",
    "create",
    "datasets",
    "evaluate",
    "explain",
    "export",
    "inspect",
    "invariance",
    "load",
    "look",
    "predict",
    "presets",
    "push",
    "register",
    "serve",
    "train",
    "verify",
]

if TYPE_CHECKING:
    from eyespot import augment as augment
    from eyespot import convolution as convolution
    from eyespot import datasets as datasets
    from eyespot.enlargement.augment_data import augment_data as augment_data
    from eyespot.errors import UserError as UserError
    from eyespot.estimator import ImageClassifier as ImageClassifier
    from eyespot.explanation.explain import explain as explain
    from eyespot.inspection import inspect as inspect
    from eyespot.invariances.measure import invariance as invariance
    from eyespot.kit import Kit as Kit
    from eyespot.looking import Look as Look
    from eyespot.looking import look as look
    from eyespot.models import create as create
    from eyespot.models import presets as presets
    from eyespot.models import register as register
    from eyespot.onnx_file.export import export as export
    from eyespot.prediction.load import load as load
    from eyespot.prediction.predictions import Predictions as Predictions
    from eyespot.prediction.predictor import Predictor as Predictor
    from eyespot.prediction.verification import verify as verify
    from eyespot.run import Run as Run
    from eyespot.run import evaluate as evaluate
    from eyespot.run import predict as predict
    from eyespot.run import train as train
    from eyespot.serving.serve import serve as serve
    from eyespot.sharing.push import push as push


def __getattr__(name: str) -> Any:
    if name in ("augment", "convolution", "datasets"):
        return import_module(f"eyespot.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'eyespot' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
