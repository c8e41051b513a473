"""Batches of images that equal one image but for a box in each, as torch functions take them."""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor

from eyespot.anatomy.rules import POINTWISE
from eyespot.explanation.boxes import Corner, crops, paste

WHOLE = 0.8
"""A box of so much of the output is computed as a whole."""
RULES: dict[str, Callable[[Any, Any, Any], "Changed | None"]] = {}
"""By the name of a function, without underscores and rank: what computes it in boxes. None where it cannot."""
POINTWISE_RULE = "pointwise"
"""The rule of every function that computes each position on its own."""


class Kept:
    """What is computed from the first image: the result, and values by what they are computed from."""

    def __init__(self, image: Tensor, result: Tensor):
        self.image = image
        self.result = result
        self.values: dict[Any, Tensor] = {}

    def value(self, key: tuple, compute: Callable[[], Tensor]) -> Tensor:
        """The value of a function of values that are kept, or of parameters: `key` has their identities."""
        if key not in self.values:
            self.values[key] = compute()
        return self.values[key]


def key_of(func: Any, args: Any, kwargs: Any) -> tuple:
    """The identity of a call with the first image in the place of each batch."""
    return (str(getattr(func, "__name__", func)), _identity(args), _identity(kwargs))


def _identity(value: Any) -> Any:
    if isinstance(value, Changed):
        return id(value.base)
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else id(value)
    if isinstance(value, dict):
        return tuple((name, _identity(v)) for name, v in value.items())
    return tuple(map(_identity, value)) if isinstance(value, list | tuple) else repr(value)


class Changed:
    """A batch (B, C, *S) that equals `base` but for a box in each image. Torch functions take it like a tensor.

    base     (1, C, *S)
    boxes    (B, C, *s) the values in the boxes
    corners  for each image the box's position
    kept     what is computed from the base
    """

    def __init__(self, base: Tensor, boxes: Tensor, corners: list[Corner], kept: Kept):
        self.base = base
        self.boxes = boxes
        self.corners = corners
        self.kept = kept

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.boxes), *self.base.shape[1:]))

    @property
    def size_of_box(self) -> Corner:
        return tuple(self.boxes.shape[2:])

    def whole(self) -> Tensor:
        """(B, C, *S)"""
        whole = self.base.expand(self.shape).clone(memory_format=torch.preserve_format)
        paste(whole, self.boxes, self.corners)
        return whole

    def like(self, key: tuple, function: Callable[[Tensor], Tensor]) -> "Changed":
        """Of a function that computes each position on its own."""
        base = self.kept.value(key, lambda: function(self.base))
        return Changed(base, function(self.boxes), self.corners, self.kept)

    def cut(self, corners: list[Corner], size: Corner) -> Tensor:
        """(B, C, *size) the values in larger boxes, or in the same"""
        if size == self.size_of_box and corners == self.corners:
            return self.boxes
        return crops(self.base, self.boxes, self.corners, corners, size)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = str(getattr(func, "__name__", func))
        plain = name.strip("_")
        plain = plain[:-2] if plain[-2:] in ("1d", "2d", "3d") else plain
        rule = RULES.get(POINTWISE_RULE if plain in POINTWISE else plain)
        result = rule(func, args, kwargs) if rule else None
        if result is None:
            return func(*wholes(args), **wholes(kwargs))
        result = result if is_small(result) else result.whole()
        return _in_place(name, args, kwargs, result)

    def __getattr__(self, name: str) -> Any:
        if name in ("dtype", "device", "layout", "is_sparse", "is_quantized"):
            return getattr(self.base, name)
        if name in ("dim", "is_floating_point"):
            return getattr(self.base, name)
        method = getattr(Tensor, name)
        if not callable(method):
            return getattr(self.whole(), name)
        return lambda *args, **kwargs: Changed.__torch_function__(method, (), (self, *args), kwargs)

    requires_grad = False
    ndim = property(lambda self: self.base.ndim)

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def __len__(self) -> int:
        return len(self.boxes)

    def is_contiguous(self, **_: Any) -> bool:
        return False


def _operator(name: str) -> Callable[..., Any]:
    method = getattr(Tensor, name)
    return lambda self, *args: Changed.__torch_function__(method, (), (self, *args), {})


for _name in "add radd iadd sub rsub isub mul rmul imul truediv neg getitem".split():
    setattr(Changed, f"__{_name}__", _operator(f"__{_name}__"))


def _in_place(name: str, args: Any, kwargs: Any, result: Any) -> Any:
    """The result, which replaces the values of the first argument where a function works in place."""
    works_in_place = (name.endswith("_") and not name.endswith("__")) or name.startswith("__i")
    if not (works_in_place or kwargs.get("inplace")) or not isinstance(args[0], Changed):
        return result
    if isinstance(result, Changed):
        args[0].base = result.base
        args[0].boxes = result.boxes
        args[0].corners = result.corners
        return args[0]
    args[0].boxes = result  # the whole image is a box
    args[0].corners = [(0,) * (result.dim() - 2)] * len(result)
    return result


def wholes(value: Any) -> Any:
    """The same arguments with whole tensors."""
    if isinstance(value, Changed):
        return value.whole()
    if isinstance(value, dict):
        return {name: wholes(v) for name, v in value.items()}
    return type(value)(map(wholes, value)) if isinstance(value, list | tuple) else value


def is_small(changed: Changed) -> bool:
    """Whether the boxes are small enough to go on with."""
    return prod(changed.size_of_box) < WHOLE * prod(changed.base.shape[2:])
