"""torchvision's published weights for ImageNet's 1,000 classes, by preset.

Of a file's SHA-256 only the first eight hex digits are published, in its name; they are what can be checked. The whole
sum is written beside the file when it is first fetched, and the file has to keep it.
"""

from pathlib import Path

from eyespot.errors import UserError, nearest
from eyespot.weights.download import fetch

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


def fetch_published(preset: str) -> Path:
    """The file of a preset's published weights, fetched on first use."""
    if preset not in DIGESTS:
        raise UserError(f"no weights are published for {preset!r}; {nearest(preset, list(DIGESTS))}")
    return fetch(f"{preset}-{DIGESTS[preset]}.pth", DIGESTS[preset])
