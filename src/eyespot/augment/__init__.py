"""Random transforms of images and of the labels of their pixels, in one to three dimensions.

>>> import torch, eyespot
>>> pipeline = eyespot.augment.Pipeline(eyespot.augment.parse("flip|rotate(degrees=15)", dim=2))
>>> images, labels = torch.rand(4, 3, 32, 32), torch.zeros(4, 32, 32).long()
>>> parameters = pipeline.sample(torch.Generator().manual_seed(0), images.shape)
>>> images, labels = pipeline.apply(images, parameters), pipeline.apply_labels(labels, parameters)

`register(name, transform)` makes a transform of your own known to `parse` and to `eyespot train --augment`.
"""

from importlib import import_module

from eyespot.augment.colour import Linear
from eyespot.augment.geometry import Geometric
from eyespot.augment.mixing import Mixing
from eyespot.augment.pipeline import Pipeline, augment, augment_pair, parse
from eyespot.augment.transform import Transform, register

for _module in ("views", "photo", "quality", "signals", "policies"):
    import_module(f"eyespot.augment.{_module}")  # each registers its transforms

__all__ = [
    "Geometric",
    "Linear",
    "Mixing",
    "Pipeline",
    "Transform",
    "augment",
    "augment_pair",
    "parse",
    "register",
]
