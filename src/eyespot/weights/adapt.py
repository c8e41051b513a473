"""Weights of one network loaded into another of the same kind, with other channels or classes."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd as Conv

from eyespot.errors import UserError
from eyespot.plurals import count
from eyespot.weights.card import load_strict
from eyespot.weights.names import root, torchvision_names


@dataclass(frozen=True)
class LoadedWeights:
    """What became of each tensor, by name.

    kept      as in the source
    adapted   the first convolution's, to another number of channels
    new       the head's, initialised at random, for other classes
    unused    of the source, such as a second head
    """

    source: str
    kept: tuple[str, ...]
    adapted: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def __str__(self) -> str:
        sentences = [f"{count(len(self.kept), 'tensor')} of {self.source}"]
        changes = {
            "adapted to other channels": self.adapted,
            "new for other classes": self.new,
            "not used": self.unused,
        }
        for what, names in changes.items():
            if names:
                sentences.append(f"{what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}")
        return "; ".join(sentences)


def fit(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> LoadedWeights:
    """Load the tensors, whose dict stays as it is. Raises UserError where they are of another network, or not all."""
    own = network.state_dict()
    given = torchvision_names(tensors, own)
    first, head = ends(network)
    stem = f"{first}.weight"
    refuse_axes(network, given, own, stem, source)
    adapted = {}
    new = {}
    if stem in given and given[stem].shape != own[stem].shape and alike(given[stem], own[stem], but=1):
        adapted = {stem: to_channels(given[stem], own[stem].shape[1])}
    if other_classes(given.get(f"{head}.weight"), own[f"{head}.weight"]):
        new = {name: own[name] for name in own if within(head, name)}
    counters = {
        name: own[name] for name in own if name.endswith("num_batches_tracked")
    }  # old files lack them
    complete = counters | given | adapted | new
    unused = [name for name in given if name not in own and can_be_ignored(name, own, head)]
    if all(name in complete for name in own):  # else their names may say which network they are of
        complete = {name: tensor for name, tensor in complete.items() if name not in unused}
    refuse_infinite(complete, source)
    load_strict(network, complete, source)
    kept = [name for name in own if name in given and name not in adapted | new]
    return LoadedWeights(source, tuple(kept), tuple(adapted), tuple(new), tuple(unused))


def ends(network: nn.Module) -> tuple[str, str]:
    """The names of the first convolution and of the head, the layer that gives the logits."""
    layers = [name for name, m in network.named_modules() if isinstance(m, Conv | nn.Linear)]
    return layers[0], layers[-1]


def to_channels(weight: Tensor, channels: int) -> Tensor:
    """(cout, cin, *S) -> (cout, channels, *S); an image that is the same in all channels gets the same response.

    To more channels, the given ones are repeated in turn, each shared by its copies; to fewer, all get the mean.
    """
    cin = weight.shape[1]
    if channels < cin:
        return weight.mean(1, keepdim=True).repeat_interleave(channels, 1) * (cin / channels)
    source = torch.arange(channels) % cin
    copies = torch.bincount(source)[source].to(weight.dtype)
    return weight[:, source] / copies.view(-1, *[1] * (weight.dim() - 2))


def alike(a: Tensor, b: Tensor, but: int) -> bool:
    """Whether the shapes are the same but for one axis."""
    return a.shape[:but] == b.shape[:but] and a.shape[but + 1 :] == b.shape[but + 1 :]


def other_classes(given: Tensor | None, own: Tensor) -> bool:
    """Whether the source's head tells another number of classes, or is not there."""
    return given is None or (given.shape != own.shape and alike(given, own, but=0))


def can_be_ignored(name: str, own: Mapping[str, Tensor], head: str) -> bool:
    """Whether this tensor may be left unused: it is of a module that the network does not have, or of a head.

    More layers in a module that it has are those of another network, such as ResNet-34's beside ResNet-18's.
    """
    return root(name) not in {root(mine) for mine in own} or within(head, name)


def within(module: str, name: str) -> bool:
    """Whether a tensor belongs to a module."""
    return name.startswith(f"{module}.")


def refuse_axes(
    network: nn.Module, given: Mapping[str, Tensor], own: Mapping[str, Tensor], first: str, source: str
) -> None:
    """Raise UserError for weights of images with another number of axes."""
    if first in given and given[first].dim() != own[first].dim():
        shape = tuple(given[first].shape)
        dim = given[first].dim() - 2
        raise UserError(
            f"the weights of {source} are for images of {dim} axes ({first} {shape}), and this "
            f"{type(network).__name__} sees {own[first].dim() - 2}: create it with dim={dim}"
        )


def refuse_infinite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise UserError for weights that are not numbers, as of a training that went wrong."""
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(f"{name} in {source} has infinite or undefined values: give another file")
