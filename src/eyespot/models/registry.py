"""The networks by name: ours, and those that a user registers. Importing this imports no torch."""

from collections.abc import Callable
from typing import Any, NamedTuple

from eyespot.errors import UserError

SMALL = "eyespot.models.small:Small"
VGG = "eyespot.models.vgg:VGG"
RESNET = "eyespot.models.resnet:ResNet"
DENSENET = "eyespot.models.densenet:DenseNet"
UNET = "eyespot.models.unet:UNet"
FCDENSENET = "eyespot.models.fcdensenet:FCDenseNet"

VGG_DEPTHS = {"11": (1, 1, 2, 2, 2), "13": (2, 2, 2, 2, 2), "16": (2, 2, 3, 3, 3), "19": (2, 2, 4, 4, 4)}
CIFAR_RESNET = dict(stem=3, width=16, shortcut="identity", classes=10)
CIFAR_DEPTHS = {n: ((n - 2) // 6,) * 3 for n in (20, 32, 44, 56, 110)}
CIFAR_DENSENET = dict(stem=3, classes=10)
PLAIN = dict(squeeze=0, compression=1.0, width=16)

# name: (module:class, its arguments and the kit's)
OURS: dict[str, tuple[str, dict[str, Any]]] = {
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
    **{f"resnet{n}": (RESNET, dict(depths=depths, **CIFAR_RESNET)) for n, depths in CIFAR_DEPTHS.items()},
    **{
        f"resnet{n}_centred": (
            RESNET,
            dict(depths=depths, **CIFAR_RESNET | dict(shortcut="identity_centred")),
        )
        for n, depths in CIFAR_DEPTHS.items()
    },
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


class Preset(NamedTuple):
    """How a network is made: a class or function, or "module:class" to import when it is needed; and its settings."""

    constructor: Callable[..., Any] | str
    defaults: dict[str, Any]


PRESETS: dict[str, Preset] = {}

WHITENED = tuple(name for name, (place, _) in OURS.items() if place == SMALL)
"""Networks whose first layer is set from the data, and then fixed."""


def register(name: str, constructor: Callable[..., Any] | str, **defaults: Any) -> None:
    """Make a network known by name, for `create`, `train` and for loading its model files.

    constructor  a class or function that returns a torch.nn.Module: (B, channels, *S) -> logits (B, classes), or
                 (B, classes, *S) for masks. It is called with those of the keywords classes, channels and dim that it
                 accepts, and with the defaults. "module:name" is imported when it is first needed.
    defaults     other keywords for it

    The module may say more of itself in attributes: of_positions (True if it has logits for each position),
    total_stride and smallest (the shortest axis that it takes), each with a default. Register the network again before
    its model file is loaded in another process. Raises UserError for the name of a network of eyespot's own.
    """
    if not isinstance(name, str) or not name.strip():
        raise UserError(f"a network cannot be called {name!r}: give a name, such as 'mine'")
    if not callable(constructor) and not isinstance(constructor, str):
        raise UserError(f"the constructor of {name!r} is {constructor!r}: give a class or a function")
    if name in OURS and name in PRESETS:
        raise UserError(f"{name!r} is a network of eyespot's own: register yours under another name")
    PRESETS[name] = Preset(constructor, defaults)


def unregister(name: str) -> None:
    """Forget a network that was registered."""
    if name in OURS or name not in PRESETS:
        raise UserError(f"no network was registered as {name!r}")
    del PRESETS[name]


def presets() -> list[str]:
    """The names that `create` knows."""
    return list(PRESETS)


for own_name, (place, settings) in OURS.items():
    register(own_name, place, **settings)
