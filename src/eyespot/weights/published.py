"""torchvision's published weights for ImageNet's 1,000 classes, by preset.

Of a file's SHA-256 only the first eight hex digits are published, in its name; they are what can be checked. The whole
sum is written beside the file when it is first fetched, and the file has to keep it.
"""

from functools import partial
from pathlib import Path

from eyespot.errors import UserError, nearest
from eyespot.weights.attempt import MOST, in_time
from eyespot.weights.download import cached, fetch, place
from eyespot.weights.progress import Unavailable as Unavailable

IMAGENET = "imagenet"
"""What a user writes for these weights."""

# The first that were published of each network, all by one recipe.
DIGESTS = {
    **{"resnet18": "f37072fd", "resnet34": "b627a593", "resnet50": "0676ba61", "resnet101": "63fe2227"},
    **{"resnet152": "394f9c45", "vgg11": "8a719046", "vgg13": "19584684", "vgg16": "397923af"},
    **{"vgg19": "dcbb9e9d", "vgg11_bn": "6002323d", "vgg13_bn": "abd245e5", "vgg16_bn": "6c64b313"},
    **{"vgg19_bn": "c79401a0", "densenet121": "a639ec97", "densenet161": "8d451a50"},
    **{"densenet169": "b2777c0a", "densenet201": "c1103571"},
}
MEGABYTES = {
    **{"resnet18": 45, "resnet34": 83, "resnet50": 98, "resnet101": 171, "resnet152": 230},
    **{"vgg11": 507, "vgg13": 508, "vgg16": 528, "vgg19": 548},
    **{"vgg11_bn": 507, "vgg13_bn": 508, "vgg16_bn": 528, "vgg19_bn": 548},
    **{"densenet121": 31, "densenet161": 110, "densenet169": 55, "densenet201": 77},
}
"""Sizes of the files, each of 2^20 bytes, before a server says them."""


def file_name(preset: str) -> str:
    """The name under which a preset's weights are published. Raises UserError where there are none."""
    if preset not in DIGESTS:
        raise UserError(f"no weights are published for {preset!r}; {nearest(preset, list(DIGESTS))}")
    return f"{preset}-{DIGESTS[preset]}.pth"


def fetch_published(preset: str) -> Path:
    """The file of a preset's published weights, fetched on first use."""
    return fetch(file_name(preset), DIGESTS[preset])


def fetch_in_time(preset: str, most: float = MOST) -> Path:
    """The same, if that takes no longer than a few seconds: `most` of them. Raises UserError."""
    name = file_name(preset)
    size = MEGABYTES.get(preset, 0) * 2**20
    return in_time(partial(fetch, name, DIGESTS[preset]), size, most)


def place_of(preset: str) -> Path:
    """Where the file of a preset's published weights lies in the cache, or would."""
    return place(file_name(preset))


def location(preset: str) -> Path | None:
    """The file of a preset's published weights, if it is in our cache or in torchvision's, as it was published."""
    return cached(file_name(preset), DIGESTS[preset])
