"""Networks by name. Importing this imports no torch: a network's file is read when it is created."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from inspect import Parameter, isclass, signature
from typing import TYPE_CHECKING, Any

from eyespot.errors import UserError, nearest
from eyespot.models.names import check_preset as check_preset
from eyespot.models.names import instead_of as instead_of
from eyespot.models.names import listing as listing
from eyespot.models.registry import PRESETS as PRESETS
from eyespot.models.registry import WHITENED as WHITENED
from eyespot.models.registry import presets as presets
from eyespot.models.registry import register as register
from eyespot.models.registry import unregister as unregister

if TYPE_CHECKING:
    from eyespot.models.network import Network
    from eyespot.weights.start import Weights


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
                             network's `started_from` lists what became of each tensor
    changes                  settings of the kit (norm, padding, blur, ...) or of the network (depths, width, ...)

    Raises UserError for an unknown name or setting, and for weights that do not fit.
    """
    check_preset(name)
    constructor, defaults = PRESETS[name]
    if isinstance(constructor, str):
        module, _, attribute = constructor.partition(":")
        constructor = getattr(import_module(module), attribute)
    given = {"classes": classes, "channels": channels, "dim": dim}
    settings = {**defaults, **{k: v for k, v in given.items() if v is not None}, **changes}

    from eyespot.models.network import Network

    ours = (
        isclass(constructor)
        and issubclass(constructor, Network)
        and "kit" in signature(constructor).parameters
    )
    network = (from_kit if ours else from_keywords)(name, constructor, settings)
    if weights is not None:
        from eyespot.weights.start import start

        network.started_from = start(network, weights, name, changes)
    return network


def from_kit(name: str, constructor: Callable[..., Any], settings: dict[str, Any]) -> Network:
    """A network that is built from a kit: settings of the kit's fields go to the kit, the others to the network."""
    from eyespot.kit import Kit

    of_kit = [field.name for field in fields(Kit)]
    known = [*of_kit, *(p for p in signature(constructor).parameters if p != "kit")]
    refuse_unknown(name, settings, known)
    kit = Kit(**{k: v for k, v in settings.items() if k in of_kit})
    return constructor(kit=kit, **{k: v for k, v in settings.items() if k not in of_kit})


def from_keywords(name: str, constructor: Callable[..., Any], settings: dict[str, Any]) -> Network:
    """Any torch module: it gets those of classes, channels and dim that it accepts, and all other settings."""
    from eyespot.models.foreign import ForeignNetwork

    shape = {"classes": 1000, "channels": 3, "dim": 2}
    shape |= {k: v for k, v in settings.items() if k in shape}
    parameters = signature(constructor).parameters
    takes_any = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    others = {k: v for k, v in settings.items() if k not in shape}
    if not takes_any:
        refuse_unknown(name, others, list(parameters))
    accepted = {k: v for k, v in shape.items() if takes_any or k in parameters}
    return ForeignNetwork(name, constructor(**accepted, **others), **shape)


def refuse_unknown(name: str, settings: dict[str, Any], known: list[str]) -> None:
    for setting in settings:
        if setting not in known:
            raise UserError(f"{name} has no setting {setting!r}; {nearest(setting, known)}")
