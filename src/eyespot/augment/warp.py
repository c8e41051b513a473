"""Where each pixel of an image comes from, as one matrix per image and a smooth displacement, applied at once.

A matrix whose last row is not 0 ... 0 1 is one of perspective: positions are divided by what that row gives.

Positions are offsets from the middle of the image in pixels along its axes. Outside its edges an image is continued
by reflection about its outermost pixels: [1 2 3] goes on with 2 1. Maps of whole pixels to whole pixels (flips, quarter
turns, shifts) copy values; everything else interpolates, once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from eyespot.kit import sent

HORIZON = 0.05
"""The least that positions in perspective are divided by: what is nearer to the horizon is further than any image."""


@dataclass(frozen=True)
class Warp:
    """The origin of each pixel: `matrix` times its own position, plus the displacement there.

    matrix         (B, dim + 1, dim + 1), homogeneous, times a pixel's position and a 1
    displacements  (B, dim, 3, ..., 3) pixels at both ends and in the middle of each axis, cubic in between; or None
    """

    matrix: Tensor
    displacements: Tensor | None = None

    def apply(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Images (B, C, *S), with linear interpolation, and label maps (B, *S), each pixel with the nearest label."""
        exact = self.copies(x.shape[2:])
        if exact.all():
            index = source_index(self.matrix, x.shape[2:], x.device)
            return take(x, index), None if labels is None else take(labels[:, None], index)[:, 0]
        places = self.places(x)
        moved = interpolate(x, places)
        moved_labels = None if labels is None else nearest_labels(labels, places)
        if exact.any():  # these images lose nothing because of the others
            rows = sent(exact.nonzero()[:, 0], x.device)
            index = source_index(self.matrix[exact], x.shape[2:], x.device)
            moved[rows] = take(x[rows], index)
            if labels is not None and moved_labels is not None:
                moved_labels[rows] = take(labels[rows][:, None], index)[:, 0]
        return moved, moved_labels

    def of(self, rows: slice) -> "Warp":
        """That of some of the images."""
        return Warp(self.matrix[rows], None if self.displacements is None else self.displacements[rows])

    def points(self, points: Tensor, shape: Sequence[int]) -> Tensor:
        """Where points (B, N, dim) are afterwards, in samples from the first along each axis; without displacements.

        An image is asked where each of its pixels comes from; points go the other way, so by the inverse matrix.
        """
        middle = (torch.tensor(shape, dtype=torch.float64) - 1) / 2
        inverse = torch.linalg.inv(self.matrix.double())
        centred = functional.pad(points.double() - middle, (0, 1), value=1.0)
        moved = centred @ inverse.mT
        return (moved[..., :-1] / moved[..., -1:] + middle).to(points.dtype)

    def copies(self, shape: torch.Size) -> Tensor:
        """(B,) whether the map takes whole pixels to whole pixels, so that values are copied and not interpolated."""
        if self.displacements is not None:
            return torch.zeros(len(self.matrix), dtype=torch.bool)
        linear = self.matrix[:, :-1, :-1]
        affine = (self.matrix[:, -1, :-1] == 0).all(1)
        ones = linear.abs() == 1
        signed = (ones | (linear == 0)).flatten(1).all(1)
        permutation = (ones.sum(1) == 1).all(1) & (ones.sum(2) == 1).all(1)
        starts = first_source(self.matrix, shape)
        return affine & signed & permutation & (starts == starts.round()).all(1)

    def _depths(self, sizes: torch.Size, device: torch.device) -> Tensor:
        """(B, *S, 1) what the positions in perspective are divided by, where that is far enough from the horizon"""
        row = sent(self.matrix[:, -1], device)
        depths = row[:, -1].view(-1, *[1] * (len(sizes) + 1))
        for axis, n in enumerate(sizes):
            along = (torch.arange(n, device=device) - (n - 1) / 2) * row[:, axis, None]
            depths = depths + along.view(len(row), *[n if k == axis else 1 for k in range(len(sizes))], 1)
        return depths.clamp_min(HORIZON)

    def places(self, x: Tensor) -> Tensor:
        """(B, *S, dim) where each pixel of images (B, C, *S) comes from, as grid_sample has it.

        There -1 and 1 are the outermost pixels, and the last axis comes first.
        """
        sizes = x.shape[2:]
        to_places = torch.tensor([2 / max(1, n - 1) for n in sizes])[:, None]
        rows = sent((self.matrix[:, :-1] * to_places).flip(1), x.device)  # (B, dim, dim + 1)
        places = rows[:, :, -1].view(len(rows), *[1] * len(sizes), len(sizes))
        for axis, n in enumerate(
            sizes
        ):  # sums and no matrix product, which some devices round to fewer digits
            along = (torch.arange(n, device=x.device) - (n - 1) / 2)[:, None] * rows[:, None, :, axis]
            places = places + along.view(len(rows), *[n if k == axis else 1 for k in range(len(sizes))], -1)
        if self.matrix[:, -1, :-1].any():
            places = places / self._depths(sizes, x.device)
        if self.displacements is None:
            return places
        points = self.displacements * to_places.view(-1, *[1] * len(sizes))
        field = sent(points.flip(1), x.device)
        for axis, n in enumerate(sizes, start=2):
            field = (field.movedim(axis, -1) @ cubic_weights(n, field).T).movedim(-1, axis)
        return places + field.movedim(1, -1)


def first_source(matrix: Tensor, shape: torch.Size) -> Tensor:
    """(B, dim) the indices that the first pixel comes from"""
    middle = (torch.tensor(shape, dtype=matrix.dtype, device=matrix.device) - 1) / 2
    return matrix[:, :-1, -1] + middle - matrix[:, :-1, :-1] @ middle


def source_index(matrix: Tensor, shape: torch.Size, device: torch.device) -> Tensor:
    """(B, *S) which value of the whole batch, its images flattened, each pixel is a copy of"""
    linear = matrix[:, :-1, :-1]
    orders = linear.abs().argmax(2)  # (B, dim) the output's axis along which each input axis runs
    signs = linear.gather(2, orders[:, :, None])[:, :, 0]
    images = torch.arange(len(matrix)) * shape.numel()
    sources = torch.stack([first_source(matrix, shape), signs], 1)
    every_order = orders.unique(dim=0)
    if len(every_order) == 1:
        return _index_of(sources, images, every_order[0].tolist(), shape, device)
    index = torch.empty((len(matrix), *shape), dtype=torch.long, device=device)
    for order in every_order:
        rows = (orders == order).all(1)
        index[sent(rows, device)] = _index_of(sources[rows], images[rows], order.tolist(), shape, device)
    return index


def _index_of(
    sources: Tensor, images: Tensor, order: list[int], shape: torch.Size, device: torch.device
) -> Tensor:
    """(B, *S) for images whose axes are in the same order: `sources` (B, 2, dim) where each axis starts, and its sign"""
    index = images.view(-1, *[1] * len(shape)).to(device)
    for axis, along in enumerate(order):
        starts, signs = sources[:, :, axis, None].unbind(1)  # (B, 1)
        line = reflected((starts + signs * torch.arange(shape[along])).long(), shape[axis])
        strided = line * shape[axis + 1 :].numel()
        index = index + sent(strided, device).view(
            len(line), *[-1 if k == along else 1 for k in range(len(shape))]
        )
    return index


def reflected(index: Tensor, n: int) -> Tensor:
    """Indices of an axis of n pixels, continued by reflection about the outermost ones"""
    return (n - 1) - ((n - 1) - index.remainder(max(1, 2 * (n - 1)))).abs()


def take(x: Tensor, index: Tensor) -> Tensor:
    """(B, C, *S) -> the same shape, with the pixels of a `source_index`"""
    channels_last = x.movedim(1, -1)
    flat = channels_last.reshape(-1, x.shape[1])
    return flat.index_select(0, index.flatten()).view(channels_last.shape).movedim(-1, 1)


def interpolate(x: Tensor, places: Tensor) -> Tensor:
    """(B, C, *S) with linear interpolation at the places (B, *S, dim)"""
    return _grid_sample(x, places, "bilinear")


def nearest_labels(labels: Tensor, places: Tensor) -> Tensor:
    """(B, *S) with the nearest label at the places (B, *S, dim), never one in between"""
    return _grid_sample(labels[:, None].to(places.dtype), places, "nearest")[:, 0].to(labels.dtype)


def _grid_sample(x: Tensor, places: Tensor, mode: str) -> Tensor:
    places = places.to(x.dtype)
    if x.dim() == 3:  # a signal is an image of one row
        places = functional.pad(places, (0, 1))[:, None]
        return functional.grid_sample(x[:, :, None], places, mode, "reflection", align_corners=True)[:, :, 0]
    return functional.grid_sample(x, places, mode, "reflection", align_corners=True)


def cubic_weights(n: int, like: Tensor) -> Tensor:
    """(n, 3) weights of the values at both ends and in the middle, by cubic interpolation"""
    points = torch.eye(3, device=like.device, dtype=like.dtype)[None, None]
    return functional.interpolate(points, (n, 3), mode="bicubic", align_corners=True)[0, 0]
