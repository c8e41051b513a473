"""The convolution of two functions, by sampling them in the middle of the cells of a grid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from eyespot.convolution.operation import convolve
from eyespot.errors import UserError

Interval = tuple[float, float]


@dataclass(frozen=True)
class Sampled:
    """(f * g) on a grid: `points` per axis, `values` and the estimated `error` of each, both (*points)."""

    points: tuple[np.ndarray, ...]
    values: np.ndarray
    error: np.ndarray


def convolve_functions(
    f: Callable,
    g: Callable,
    f_on: Interval | Sequence[Interval],
    g_on: Interval | Sequence[Interval],
    cells: int = 256,
) -> Sampled:
    """(f * g)(t) = integral of f(s) g(t - s) ds, for f zero outside f_on and g zero outside g_on.

    f, g   take one array of coordinates per axis and return their values there
    f_on   (low, high), or one such pair per axis; `cells` cells lie along the shorter of f_on and g_on
    error  the change between a step h and h / 2: it bounds the rest three times over where both functions are smooth
           inside their intervals (the midpoint rule's error falls as h^2), and about once where they jump
    """
    f_box = box(f_on)
    g_box = box(g_on)
    if len(f_box) != len(g_box) or cells < 1:
        raise UserError(f"f on {f_on} and g on {g_on} need as many axes, and 1 cell or more, not {cells}")
    grids = [shared_step(a, b, cells) for a, b in zip(f_box, g_box, strict=True)]
    coarse, fine = (sampled(f, g, f_box, g_box, grids, split) for split in (1, 2))
    fine = fine[tuple(slice(1, None, 2) for _ in f_box)]
    points = tuple(
        a[0] + b[0] + step * np.arange(1, f_cells + g_cells)
        for a, b, (step, f_cells, g_cells) in zip(f_box, g_box, grids, strict=True)
    )
    return Sampled(points, fine, np.abs(fine - coarse))


def box(on) -> list[Interval]:
    """One interval per axis."""
    sides = [tuple(on)] if np.ndim(on[0]) == 0 else [tuple(side) for side in on]
    for side in sides:
        if len(side) != 2 or not side[0] < side[1]:
            raise UserError(f"an interval is (low, high) with low < high, not {side}")
    return sides


def shared_step(f_on: Interval, g_on: Interval, cells: int) -> tuple[float, int, int]:
    """A step that divides both intervals, and the cells in each."""
    f_length = f_on[1] - f_on[0]
    g_length = g_on[1] - g_on[0]
    short, long = sorted((f_length, g_length))
    for short_cells in range(cells, 2 * cells + 1):
        long_cells = short_cells * long / short
        if abs(long_cells - round(long_cells)) < 1e-9 * long_cells:
            step = short / short_cells
            return step, round(f_length / step), round(g_length / step)
    raise UserError(
        f"no step divides both {f_on} and {g_on} into whole cells; widen one of them (it is zero outside)"
    )


def sampled(f, g, f_box, g_box, grids, split: int) -> np.ndarray:
    """The midpoint rule with every cell split: values at low + low' + step (m + 1) / split for m = 0, 1, ..."""
    steps = [step / split for step, _, _ in grids]
    values = []
    for position, function, sides in ((1, f, f_box), (2, g, g_box)):
        axes = [
            low + step * (np.arange(grid[position] * split) + 0.5)
            for (low, _), step, grid in zip(sides, steps, grids, strict=True)
        ]
        mesh = np.meshgrid(*axes, indexing="ij")
        values.append(np.broadcast_to(np.asarray(function(*mesh)), mesh[0].shape))
    return convolve(*values) * np.prod(steps)
