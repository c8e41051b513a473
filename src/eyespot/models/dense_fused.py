"""The steps of a dense block by compiled passes (eyespot.fast.fused), where there are some; else those of `dense_steps.py`.

Norm and ReLU are one pass over the maps where they lie, and so are the mask, the sums and the gradient on the way back.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from eyespot.fast.compiled import Passes, passes
from eyespot.fast.norms import rows
from eyespot.models.dense_steps import NEAR, FirstStep, Maps, PointStep, SecondStep


def first_step(maps: Maps, room: Tensor, norm: Any, conv: Any, tensors: Sequence[Tensor]) -> FirstStep:
    """The quickest form that suits"""
    point = {*conv.kernel_size} == {1} and conv.bias is None
    if passes(maps.values.dtype):
        return (FusedPointStep if point else FusedStep)(maps, room, norm, conv, tensors)
    exact = maps.values.dtype == maps.mean.dtype
    return (PointStep if point and exact else FirstStep)(maps, room, norm, conv, tensors)


def second_step(x: Tensor, norm: Any, conv: Any, tensors: Sequence[Tensor]) -> SecondStep:
    return (FusedSecondStep if passes(x.dtype) else SecondStep)(x, norm, conv, tensors)


def compiled(maps: Tensor) -> Passes:
    found = passes(maps.dtype)
    assert found is not None
    return found


class FusedStep(FirstStep):
    """Norm with known statistics, ReLU, convolution, a few images at a time: (B, cin, *S) -> (B, cout, *S)"""

    def __init__(self, maps: Maps, room: Tensor, norm: Any, conv: Any, tensors: Sequence[Tensor]):
        super().__init__(maps, room, norm, conv, tensors)
        self.passes, known = compiled(maps.values), torch.empty(5, len(maps.mean))
        self.known = self.passes.given(maps.mean, maps.var, self.scale, self.shift, self.eps, known)

    def count(self, norm: Any) -> None:
        self.passes.count(norm, self.maps.mean, self.maps.var, self.maps.count)

    def activation(self, part: slice) -> tuple[Tensor, Tensor]:
        x = self.maps.values[part]
        last = x.movedim(1, -1)
        a = self.room[1, : x.numel()].view(last.shape).movedim(-1, 1)
        self.passes.apply(rows(x), self.known, rows(a))
        return x, a

    def backward(self, dy: Tensor, gradient: Maps) -> list[Tensor | None]:
        found = torch.zeros(2, len(self.maps.mean))
        weight, bias = torch.zeros_like(self.conv.weight), None
        for part in self.parts():
            x, a = self.activation(part)
            da, dweight, dbias = self.conv.backward(dy[part], a)
            values, mean, var = gradient
            added = (rows(values[part]), mean, var)
            found += self.passes.sums_given(rows(da), rows(x), self.known, *added)
            weight += dweight
            bias = dbias if bias is None else bias + dbias
        return [found[1], found[0], weight, bias]


class FusedPointStep(FusedStep):
    """The same for a 1-wide convolution: products of matrices, some positions (N, cin) at a time"""

    def split(self, *maps: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """The step's maps and others (B, *, *S), the same positions of each"""
        whole = [rows(part) for part in (self.maps.values, *maps)]
        most = min(NEAR // whole[0].itemsize, self.room.shape[1]) // whole[0].shape[1] or 1
        # All alike where that can be: for every shape of a product oneDNN keeps a program.
        n = next((n for n in range(most, most // 2, -1) if len(whole[0]) % n == 0), most)
        return zip(*(part.split(n) for part in whole), strict=True)

    def seen(self, x: Tensor) -> Tensor:
        """What the convolution sees of maps (N, cin), until the next are seen"""
        return self.passes.apply(x, self.known, self.room[0, : x.numel()].view(x.shape))

    def fill(self, y: Tensor) -> None:
        weight = self.conv.weight.flatten(1)
        for x, part in self.split(y):
            torch.mm(self.seen(x), weight.T, out=part)

    def backward(self, dy: Tensor, gradient: Maps) -> list[Tensor | None]:
        weight = self.conv.weight.flatten(1)
        dweight, sums = torch.zeros(weight.shape), torch.zeros(2, weight.shape[1])
        for x, back, dx in self.split(dy, gradient.values):
            da = torch.mm(back, weight, out=self.room[1, : x.numel()].view(x.shape))
            dweight += back.T @ self.seen(x)
            sums += self.passes.sums_given(da, x, self.known, dx, gradient.mean, gradient.var)
        return [sums[1], sums[0], dweight.view(self.conv.weight.shape), None]


class FusedSecondStep(SecondStep):
    """Norm, ReLU, convolution of maps that no other layer sees: (B, cin, *S) -> (B, cout, *S)"""

    def forward(self, norm: Any) -> tuple[Tensor, Tensor]:
        x, passes = rows(self.x), compiled(self.x)
        known = passes.known(x)
        passes.count(norm, known[0], known[1], len(x))
        passes.prepare(known, self.scale, self.shift, self.eps)
        return self.conv.forward(self.activation(passes, known)), known

    def activation(self, passes: Passes, known: Tensor) -> Tensor:
        a = torch.empty_like(self.x)
        passes.apply(rows(self.x), known, rows(a))
        return a

    def backward(self, dy: Tensor, known: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        x, passes = rows(self.x), compiled(self.x)
        a = self.activation(passes, known)
        da, *rest = self.conv.backward(dy, a)
        found = passes.sums(rows(da), x, known)
        passes.through(rows(da), x, known, found, False, rows(a))
        return a, [found[1], found[0], *rest]
