"""`eyespot inspect`: a network by name, or the one in a run, described."""

import os
from typing import Any

from eyespot.anatomy import Description, describe
from eyespot.anatomy.gradients import GradientNorms, measure_gradients
from eyespot.errors import UserError
from eyespot.models import PRESETS, WHITENED, create, instead_of
from eyespot.plurals import count
from eyespot.weights.hub import local

OWN_SIZES = {**dict.fromkeys(WHITENED, 32), "tiny": 16, "unet": 572, "unet_bn": 256, "unet3d": 128}
"""Samples along each axis, where they are not 32 for a CIFAR form (stem 3) and 224 for the others."""


def own_size(name: str) -> int:
    """The size that a preset is made for."""
    return OWN_SIZES.get(name, 32 if PRESETS[name][1].get("stem") == 3 else 224)


def inspect(
    name_or_run: str | os.PathLike,
    *,
    size: int | tuple[int, ...] | None = None,
    classes: int | None = None,
    channels: int | None = None,
    dim: int | None = None,
    effective: bool = False,
    **changes: Any,
) -> Description:
    """Describe a network: layers, parameters, multiply-adds, memory, stride, receptive field.

    name_or_run  a preset's name, a run folder or a model file
    size         samples along each axis, or one number per axis; the preset's or the run's own if not given
    effective    measure the effective receptive field as well, which takes values and time
    changes      settings of the preset, as for `create`
    """
    if str(name_or_run) in PRESETS:
        settings = {"classes": classes, "channels": channels, "dim": dim, **changes}
        return of_preset(str(name_or_run), size, effective, settings)
    given = {"classes": classes, "channels": channels, "dim": dim, **changes}
    return of_run(name_or_run, size, effective, [k for k, v in given.items() if v is not None])


def inspect_gradients(
    name_or_run: str | os.PathLike, *, size: int | tuple[int, ...] | None = None, **changes: Any
) -> GradientNorms:
    """How large the gradient is at each depth, with and without skip connections and norms: see `inspect`."""
    if str(name_or_run) in PRESETS:
        network: Any = create(str(name_or_run), **{k: v for k, v in changes.items() if v is not None})
        axes = axes_of(own_size(str(name_or_run)) if size is None else size, network.kit.dim)
        return measure_gradients(network, (network.channels, *axes), str(name_or_run), trained=False)
    predictor, shape = trained_network(name_or_run, size, [k for k, v in changes.items() if v is not None])
    name = f"{name_or_run} ({predictor.card.preset})"
    return measure_gradients(predictor.network, shape, name, trained=True)


def of_preset(name: str, size: Any, effective: bool, settings: dict[str, Any]) -> Description:
    import torch

    with torch.device("cpu" if effective else "meta"):
        network: Any = create(name, **settings)
    shape = (network.channels, *axes_of(own_size(name) if size is None else size, network.kit.dim))
    return describe(network, shape, name=name, effective=effective)


def of_run(run: str | os.PathLike, size: Any, effective: bool, given: list[str]) -> Description:
    predictor, shape = trained_network(run, size, given)
    return describe(predictor.network, shape, name=f"{run} ({predictor.card.preset})", effective=effective)


def trained_network(run: str | os.PathLike, size: Any, given: list[str]) -> tuple[Any, tuple[int, ...]]:
    """The predictor of a run, and the shape of an image. Raises UserError where settings are to be changed."""
    from eyespot.prediction.load import load

    if not local(run).exists():
        raise UserError(f"{str(run)!r} is neither a network nor a run that exists; {instead_of(str(run))}")
    predictor = load(run)
    if given:
        raise UserError(
            f"{', '.join(given)} cannot be changed: the network of {run} is trained; give a size only"
        )
    network: Any = predictor.network
    size = predictor.card.preprocessing["side"] if size is None else size
    return predictor, (network.channels, *axes_of(size, network.kit.dim))


def axes_of(size: Any, dim: int) -> tuple[int, ...]:
    axes = tuple(size) if isinstance(size, list | tuple) else (size,) * dim
    if len(axes) != dim:
        raise UserError(
            f"size has {count(len(axes), 'number')}; this network takes images of {count(dim, 'axis', 'axes')}"
        )
    if any(not isinstance(n, int) or n < 1 for n in axes):
        raise UserError(f"size is {size!r}; an image has a whole number of samples, from 1, along each axis")
    return axes
