"""The networks by name. Importing this imports no torch: a network's file is read when it is created."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

from eyespot.errors import UserError, nearest

if TYPE_CHECKING:
    from eyespot.models.network import Network
    from eyespot.weights.start import Weights

SMALL, VGG, RESNET, DENSENET, UNET, FCDENSENET = (
    "eyespot.models.small:Small",
    "eyespot.models.vgg:VGG",
    "eyespot.models.resnet:ResNet",
    "eyespot.models.densenet:DenseNet",
    "eyespot.models.unet:UNet",
    "eyespot.models.fcdensenet:FCDenseNet",
)

VGG_DEPTHS = {"11": (1, 1, 2, 2, 2), "13": (2, 2, 2, 2, 2), "16": (2, 2, 3, 3, 3), "19": (2, 2, 4, 4, 4)}
CIFAR_RESNET = dict(stem=3, width=16, shortcut="identity", classes=10)
CIFAR_DENSENET = dict(stem=3, classes=10)
PLAIN = dict(squeeze=0, compression=1.0, width=16)

# name: (module:class, its arguments and the kit's)
PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "tiny": (SMALL, dict(classes=10, window=3)),
    "small_w16": (SMALL, dict(classes=10, widths=(16, 64, 64))),
    "small_w32": (SMALL, dict(classes=10, widths=(32, 128, 128))),
    "small": (SMALL, dict(classes=10)),
    "small_w96": (SMALL, dict(classes=10, widths=(96, 384, 384))),
    "small_w128": (SMALL, dict(classes=10, widths=(128, 512, 512))),
    **{f"vgg{d}": (VGG, dict(depths=depths, norm="none")) for d, depths in VGG_DEPTHS.items()},
    **{f"vgg{d}_bn": (VGG, dict(depths=depths)) for d, depths in VGG_DEPTHS.items()},
    "resnet18_w16": (RESNET, dict(depths=(2, 2, 2, 2), width=16)),
    "resnet18_w32": (RESNET, dict(depths=(2, 2, 2, 2), width=32)),
    "resnet18": (RESNET, dict(depths=(2, 2, 2, 2))),
    "resnet34": (RESNET, dict(depths=(3, 4, 6, 3))),
    "resnet50": (RESNET, dict(depths=(3, 4, 6, 3), block="bottleneck")),
    "resnet101": (RESNET, dict(depths=(3, 4, 23, 3), block="bottleneck")),
    "resnet152": (RESNET, dict(depths=(3, 8, 36, 3), block="bottleneck")),
    "resnet20": (RESNET, dict(depths=(3, 3, 3), **CIFAR_RESNET)),
    "resnet32": (RESNET, dict(depths=(5, 5, 5), **CIFAR_RESNET)),
    "resnet44": (RESNET, dict(depths=(7, 7, 7), **CIFAR_RESNET)),
    "resnet56": (RESNET, dict(depths=(9, 9, 9), **CIFAR_RESNET)),
    "resnet110": (RESNET, dict(depths=(18, 18, 18), **CIFAR_RESNET)),
    "densenet121": (DENSENET, dict(depths=(6, 12, 24, 16))),
    "densenet161": (DENSENET, dict(depths=(6, 12, 36, 24), growth=48, width=96)),
    "densenet169": (DENSENET, dict(depths=(6, 12, 32, 32))),
    "densenet201": (DENSENET, dict(depths=(6, 12, 48, 32))),
    "densenet40_12": (DENSENET, dict(depths=(12, 12, 12), growth=12, **PLAIN, **CIFAR_DENSENET)),
    "densenet100_12": (DENSENET, dict(depths=(32, 32, 32), growth=12, **PLAIN, **CIFAR_DENSENET)),
    "densenet100_24": (DENSENET, dict(depths=(32, 32, 32), growth=24, **PLAIN, **CIFAR_DENSENET)),
    "densenet_bc_100_12": (DENSENET, dict(depths=(16, 16, 16), growth=12, width=24, **CIFAR_DENSENET)),
    "densenet_bc_190_40": (DENSENET, dict(depths=(31, 31, 31), growth=40, width=80, **CIFAR_DENSENET)),
    "unet": (UNET, dict(norm="none", dropout=0.5, channels=1)),
    "unet_bn": (UNET, dict()),
    "unet_narrow": (UNET, dict(width=16)),
    "unet3d": (UNET, dict(dim=3, levels=4, cicek=True, affine=False, classes=3)),
    "fcdensenet56": (FCDENSENET, dict(depths=(4, 4, 4, 4, 4), bottom=4, growth=12)),
    "fcdensenet67": (FCDENSENET, dict(depths=(5, 5, 5, 5, 5), bottom=5, growth=16)),
    "fcdensenet103": (FCDENSENET, dict(depths=(4, 5, 7, 10, 12), bottom=15, growth=16)),
}

WHITENED = tuple(name for name, (place, _) in PRESETS.items() if place == SMALL)
"""Networks whose first layer is set from the data, and then fixed."""


def presets() -> list[str]:
    """The names that `create` knows."""
    return list(PRESETS)


def check_preset(name: str) -> None:
    """Raise UserError for a name that `create` does not know."""
    if name not in PRESETS:
        raise UserError(f"no preset is called {name!r}; {nearest(str(name), presets())}")


def create(
    name: str,
    *,
    classes: int | None = None,
    channels: int | None = None,
    dim: int | None = None,
    weights: Weights | None = None,
    **changes: Any,
) -> Network:
    """A new network by its preset's name: (B, channels, *S) -> logits.

    classes, channels, dim   the paper's if not given: 1000 classes, 3 channels, 2 axes for most
    weights                  to start from: a .safetensors or .pth file, a run folder, a state dict, or "imagenet"; the
                             first convolution is adapted to the channels, the head is new for other classes, and the
                             network's `started_from` tells what became of each tensor
    changes                  settings of the kit (norm, padding, blur, ...) or of the network (depths, width, ...)
    """
    check_preset(name)
    place, row = PRESETS[name]
    given = {"classes": classes, "channels": channels, "dim": dim}
    settings = {**row, **{k: v for k, v in given.items() if v is not None}, **changes}

    from eyespot.kit import Kit

    module, kind = place.split(":")
    network = getattr(import_module(module), kind)
    of_kit = [field.name for field in fields(Kit)]
    known = [*of_kit, *(p for p in signature(network).parameters if p != "kit")]
    for setting in settings:
        if setting not in known:
            raise UserError(f"{name} has no setting {setting!r}; {nearest(setting, known)}")
    kit = Kit(**{k: v for k, v in settings.items() if k in of_kit})
    made = network(kit=kit, **{k: v for k, v in settings.items() if k not in of_kit})
    if weights is not None:
        from eyespot.weights.start import start

        made.started_from = start(made, weights, name)
    return made
