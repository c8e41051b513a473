"""Run a network without values and write down, module by module, what it makes and what it costs."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call
from torch.nn.modules.conv import _ConvNd as Conv
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakIdKeyDictionary

from eyespot.anatomy.axes import LOST
from eyespot.anatomy.description import Description, Layer, dense_parameters
from eyespot.anatomy.effective import effective_field
from eyespot.anatomy.follow import Follower, tensors
from eyespot.anatomy.state import mode, named_modules, state
from eyespot.errors import UserError


class Meter(TorchDispatchMode):
    """Within it, multiply-adds are counted, and the bytes of all tensors alive at once; `apart` is not counted."""

    def __init__(self, image: Tensor, apart: set[int]):
        super().__init__()
        self.multiply_adds = 0
        self.now = 0
        self.peak = 0
        self.apart = apart
        self.users = {}
        self.known = WeakIdKeyDictionary()
        self._hold(image)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count:
            self.multiply_adds += count(*args, **(kwargs or {}), out_val=out) // 2
        for tensor in tensors(out):
            self._hold(tensor)
        return out

    def _hold(self, tensor: Tensor) -> None:
        key = storage(tensor)
        if key in self.apart or tensor in self.known:
            return
        self.known[tensor] = True
        if not self.users.get(key):
            self.now += tensor.untyped_storage().nbytes()
            self.peak = max(self.peak, self.now)
        self.users[key] = self.users.get(key, 0) + 1
        weakref.finalize(tensor, self._drop, key, tensor.untyped_storage().nbytes())

    def _drop(self, key: int, size: int) -> None:
        self.users[key] -= 1
        self.now -= 0 if self.users[key] else size


def storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


class Record:
    """The layers of one run, written by hooks on every module."""

    def __init__(self, model: nn.Module, follower: Follower | None = None, meter: Meter | None = None):
        self.names = {module: name for name, module in named_modules(model).items()}
        self.follower = follower
        self.meter = meter
        self.layers: list[Layer] = []
        self.open: list[tuple[int, int]] = []  # (place among the layers, multiply-adds before)
        self.counted: set[int] = set()

    def enter(self, module: nn.Module, args: tuple) -> None:
        own = [p for p in module.parameters(recurse=False) if id(p) not in self.counted]
        self.counted |= {id(p) for p in own}
        name = self.names[module]
        kind = type(module).__name__
        layer = Layer(
            name, kind, len(self.open), name.removeprefix(f"{self.running}.") if self.running else name
        )
        layer.own_parameters = sum(p.numel() for p in own)
        layer.input_shape = next((tuple(t.shape[1:]) for t in tensors(args)), ())
        self.open.append((len(self.layers), self.meter.multiply_adds if self.meter else 0))
        self.layers.append(layer)
        self._note_place()

    def leave(self, module: nn.Module, args: tuple, out: Any) -> None:
        place, before = self.open.pop()
        layer = self.layers[place]
        within = self.layers[place + 1 :]
        layer.parameters = layer.own_parameters + sum(x.own_parameters for x in within)
        if self.meter:
            layer.multiply_adds = self.meter.multiply_adds - before
            layer.own_multiply_adds = layer.multiply_adds - sum(x.own_multiply_adds for x in within)
        made = list(tensors(out))
        layer.forward_bytes = sum(t.numel() // max(len(t), 1) * t.element_size() for t in made if t.dim())
        layer.output_shape = tuple(made[0].shape[1:]) if made else ()
        if self.follower and made:
            layer.seen = self.follower.seen.get(made[0]) or LOST
        if isinstance(module, Conv):
            layer.dense = dense_parameters(layer.input_shape, layer.output_shape, module.bias is not None)
        self._note_place()

    @property
    def running(self) -> str:
        return self.layers[self.open[-1][0]].name if self.open else ""

    def _note_place(self) -> None:
        if self.follower:
            self.follower.where = self.running

    @contextmanager
    def of(self, model: nn.Module) -> Iterator[None]:
        hooks = []
        for module in self.names:
            hooks.append(module.register_forward_pre_hook(self.enter))
            hooks.append(module.register_forward_hook(self.leave))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def run_as_predicting(
    model: nn.Module, shape: tuple[int, ...], device: Any
) -> tuple[Record, Follower, Meter, Any]:
    weights = state(model, device)
    image = torch.zeros(1, *shape, device=device)
    follower = Follower(image)
    meter = Meter(image, {storage(t) for t in weights.values()})
    record = Record(model, follower, meter)
    with torch.no_grad(), mode(model, False), record.of(model), meter, follower:
        out = functional_call(model, weights, (image,))
    return record, follower, meter, out


def run_as_training(model: nn.Module, shape: tuple[int, ...], device: Any) -> list[tuple[str, float]]:
    """What autograd keeps, per image: (module, bytes), tensors that several keep with the first.

    Two images, since a batch norm refuses one that ends as a single value; half of the bytes is one's share.
    """
    weights = state(model, device)
    image = torch.zeros(2, *shape, device=device)
    seen: set[int] = {storage(t) for t in weights.values()}
    kept: list[tuple[str, float]] = []
    record = Record(model)

    def keep(tensor: Tensor) -> Tensor:
        if storage(tensor) not in seen and record.open:
            seen.add(storage(tensor))
            kept.append((record.running, tensor.untyped_storage().nbytes() / 2))
        return tensor

    with torch.enable_grad(), mode(model, True), record.of(model), saved_tensors_hooks(keep, lambda t: t):
        out = functional_call(model, weights, (image,))  # held, so that no storage is used again
    del out
    return kept


def on_some_device(model: nn.Module, run: Callable, shape: tuple[int, ...]) -> Any:
    """Run without values; with them if some layer needs them."""
    devices: list[Any] = ["meta", next((p.device for p in model.parameters()), torch.device("cpu"))]
    for device in devices:
        try:
            return run(model, shape, device)
        except UserError:
            raise
        except Exception as error:
            if device is devices[-1]:
                reason = str(error).strip().split("\n")[0]
                raise UserError(
                    f"this {type(named_modules(model)['']).__name__} cannot take an image of shape {shape}: {reason}"
                ) from error
    raise AssertionError


def describe(
    model: nn.Module, shape: tuple[int, ...], *, name: str | None = None, effective: bool = False
) -> Description:
    """Measure a network for one image of `shape` (channels, *S), S of one to three axes.

    The receptive field is exact through every path of the layers in rules.py's table, which is most of torch's;
    through attention, Fourier transforms, rolls and the like it is not followed, and the notes say so. The
    statistics of group and instance norm, which depend on all the image, are taken as constants. The model is left
    as it was.

    effective   measure the effective receptive field as well (Luo et al. 2016), with the weights that are there
    """
    shape = tuple(shape)
    if not 2 <= len(shape) <= 4 or any(not isinstance(n, int) or n < 1 for n in shape):
        raise UserError(f"the shape of an image is (channels, *S) with one to three axes, not {shape}")
    record, follower, meter, out = on_some_device(model, run_as_predicting, shape)
    layers = record.layers
    notes = list(follower.notes)
    kept: list[tuple[str, float]] | None = None
    try:
        kept = on_some_device(model, run_as_training, shape)
    except UserError as error:
        notes.append(f"memory for training is not known: {error}")
    spread(layers, kept or [])
    return Description(
        name=name or type(model).__name__,
        shape=shape,
        output_shape=next((tuple(t.shape[1:]) for t in tensors(out)), ()),
        parameters=sum(p.numel() for p in model.parameters()),
        multiply_adds=meter.multiply_adds,
        forward_bytes=meter.peak,
        training_bytes=None if kept is None else round(sum(size for _, size in kept)),
        field=follower.last,
        layers=layers,
        notes=notes,
        effective=effective_field(model, shape) if effective else None,
    )


def spread(layers: list[Layer], kept: list[tuple[str, float]]) -> None:
    """Give each module what autograd keeps within it."""
    totals: dict[str, float] = {}
    for name, size in kept:
        parts = name.split(".") if name else []
        for k in range(len(parts) + 1):
            outer = ".".join(parts[:k])
            totals[outer] = totals.get(outer, 0) + size
    for layer in layers:  # a module called twice has it all at its first call
        layer.training_bytes = round(totals.pop(layer.name, 0))
