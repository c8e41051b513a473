"""Whether images that look alike when they are small are the same photograph: judged on their grain, at full detail.

A fixed camera gives images of one scene that differ in a lamp or a scratch. Their thumbnails correlate, but each exposure
has noise of its own, while a copy that was saved again, mirrored or scaled a little has the noise of its original.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from eyespot.data.duplicates.pairs import LUMA
from eyespot.data.header import Array
from eyespot.data.store import Store

LARGE = 12
"""From so many images that look alike on, detail decides; a few of the same colours are taken as copies."""
SHARED = 0.8
"""Noise of the difference over noise of the image below which both have the same noise; independent noise gives 1.4."""
QUIET = 0.002
"""Noise, as a share of the range of 8-bit values, below which an image has none, and its content decides."""
QUIET_FINE = 1e-5
"""The same of values with more bits."""
CORRELATED = 0.3
"""Correlation of the grain of two images, without what all images of the scene share, from which they are copies."""
CHANCE = 6.0
"""Standard deviations of the correlation of noise within which it is chance, where there are few positions."""
SCENE = 64
"""Most images from which the grain of the scene is taken."""
LOCAL = 0.008
"""Difference of the means of two cells, as a share of the range, from which the content differs there."""
COLOURED = 0.2
"""The same from which two cells have different colours, also in strongly compressed images."""
GREY = 0.03
"""Difference of the channels of every cell, as a share of the range, up to which an image has no colours."""
POINTS = 4096
"""Most positions at which noise is compared."""
CELLS = 12
"""Cells along each axis whose means are compared."""
TURNS: tuple[Callable[[Array], Array], ...] = (
    lambda a: a,
    lambda a: a[:, ::-1],
    lambda a: a[::-1],
    lambda a: a[::-1, ::-1],
    lambda a: a.swapaxes(0, 1),
    lambda a: a.swapaxes(0, 1)[:, ::-1],
    lambda a: a.swapaxes(0, 1)[::-1],
    lambda a: a.swapaxes(0, 1)[::-1, ::-1],
)
"""The eight ways in which an image (H, W, C) can be mirrored and turned by right angles."""


class Detail:
    """The grain of an image, signal or volume (*S, C), and the means of its cells."""

    def __init__(self, image: Array):
        values = image.astype(np.float32)
        self.shape = values.shape
        self.range = (
            float(np.iinfo(image.dtype).max) if image.dtype.kind == "u" else float(np.ptp(values)) or 1.0
        )
        self.quiet = self.range * (QUIET if image.dtype == np.uint8 else QUIET_FINE)
        # Of the brightness: JPEG averages colours over 2 x 2 pixels, and with them their noise.
        grey = values @ LUMA if values.shape[-1] == 3 else values
        axes = range(image.ndim - 1)
        inner = grey[tuple(slice(1, -1) for _ in axes)]
        neighbours = [
            tuple(slice(1 + step * (a == k), grey.shape[a] - 1 + step * (a == k)) for a in axes)
            for k in axes
            for step in (-1, 1)
        ]
        around = sum(grey[shifted] for shifted in neighbours) / len(neighbours)
        grain = (inner - around).reshape(-1)
        self.grain = grain[:: max(1, len(grain) // POINTS)]
        self.cells = _cell_means(values) / self.range

    def is_copy_of(self, other: "Detail", scene: Array | None = None) -> bool:
        """Whether both are one photograph.

        scene   the grain that all images of the scene share; None if it is not known
        """
        if self.shape != other.shape:
            return False
        mine = self.own_grain(scene)
        theirs = other.own_grain(scene)
        noise = min(_typical(mine, mine != 0), _typical(theirs, theirs != 0))
        if noise < self.quiet:
            return bool(np.abs(self.cells - other.cells).max() < LOCAL)
        if _typical(mine - theirs, (mine != 0) | (theirs != 0)) < SHARED * noise:
            return True
        return scene is not None and _correlation(mine, theirs) > max(CORRELATED, CHANCE / len(mine) ** 0.5)

    def has_colours_of(self, other: "Detail") -> bool:
        """Whether no cell has another colour, however strongly the images were compressed.

        Where one of them is grey, as a grey copy is, the brightness is compared.
        """
        if self.cells.shape != other.cells.shape:
            return True
        mine = self.cells
        theirs = other.cells
        if self.is_grey != other.is_grey:
            mine = mine @ LUMA
            theirs = theirs @ LUMA
        return bool(np.abs(mine - theirs).max() < COLOURED)

    @property
    def is_grey(self) -> bool:
        """Whether no cell of an image with three channels has a colour."""
        return self.cells.shape[-1] == 3 and bool(np.ptp(self.cells, axis=-1).max() < GREY)

    def own_grain(self, scene: Array | None) -> Array:
        """The grain without that of the scene, at the image's brightness; edges that stay are cut to the noise."""
        if scene is None:
            return self.grain
        share = float(self.grain @ scene) / max(float(scene @ scene), 1e-12)
        own = self.grain - share * scene
        most = 3 * _typical(own, own != 0)
        return own.clip(-most, most)


def _correlation(a: Array, b: Array) -> float:
    return float(a @ b) / max(float(np.sqrt((a @ a) * (b @ b))), 1e-12)


def _typical(grain: Array, where: NDArray[np.bool_]) -> float:
    """The median size, which edges hardly change"""
    return float(np.median(np.abs(grain[where]))) if where.any() else 0.0


def _cell_means(values: Array) -> Array:
    for axis, n in enumerate(values.shape[:-1]):
        edges = np.linspace(0, n, min(CELLS, n) + 1).astype(int)
        sums = np.add.reduceat(values, edges[:-1], axis)
        values = sums / np.diff(edges).reshape([-1 if k == axis else 1 for k in range(values.ndim)])
    return values


class Groups:
    """The details of rows as they are needed, and the grain of the scene that a group shows."""

    def __init__(self, groups: NDArray[np.int64], pixels: Store):
        self.groups = groups
        self.pixels = pixels
        self.details: dict[int, Detail] = {}
        self.scenes: dict[int, Array] = {}

    def detail(self, row: int) -> Detail:
        """Of a row, computed once."""
        if row not in self.details:
            self.details[row] = Detail(np.asarray(self.pixels[row]))
        return self.details[row]

    def scene(self, row: int) -> Array:
        """The median grain of a group, of those of its images that have the shape of this row's."""
        group = int(self.groups[row])
        if group not in self.scenes:
            members = np.flatnonzero(self.groups == group)
            chosen = members[np.linspace(0, len(members) - 1, min(SCENE, len(members))).astype(int)]
            own = self.detail(row).grain
            grains = [self.detail(int(i)).grain for i in chosen]
            self.scenes[group] = np.median([g for g in grains if g.shape == own.shape] or [own], axis=0)
        scene = self.scenes[group]
        return scene if scene.shape == self.detail(row).grain.shape else np.zeros_like(self.detail(row).grain)

    def are_copies(self, a: int, b: int, turned: bool) -> bool:
        """Whether two rows show one photograph, the second perhaps mirrored or turned."""
        first = self.detail(a)
        if not turned:
            return first.is_copy_of(self.detail(b), self.scene(a))
        image = np.asarray(self.pixels[b])
        return any(first.is_copy_of(Detail(turn(image)), self.scene(a)) for turn in TURNS[1:])


def confirmed(
    pairs: NDArray[np.int64], groups: NDArray[np.int64], pixels: Store, turned: bool
) -> NDArray[np.bool_]:
    """(P,) which pairs of rows are copies: by their colours in small groups of look-alikes, and by their detail in large ones.

    groups   (N,) equal for rows that are joined by the pairs
    pixels   (*S, C) of each row
    turned   whether the second of a pair may be mirrored or turned
    """
    sizes = np.bincount(groups, minlength=len(groups))[groups]
    details = Groups(groups, pixels)
    result = np.ones(len(pairs), bool)
    for k, (a, b) in enumerate(pairs.tolist()):
        if sizes[a] >= LARGE:
            result[k] = details.are_copies(a, b, turned)
        elif not turned:  # thumbnails are grey
            result[k] = details.detail(a).has_colours_of(details.detail(b))
    return result


def upright(thumbs: Array) -> Array:
    """(N, T) square thumbnails, each mirrored and turned into the same one of its eight positions; (0, T) if not square.

    The position is that in which the brightness lies to the right, below, and more to the right than below.
    """
    side = round(thumbs.shape[1] ** 0.5) if thumbs.ndim == 2 and len(thumbs) else 0
    if side < 2 or side * side != thumbs.shape[1]:
        return thumbs[:0]
    maps = thumbs.reshape(-1, side, side).copy()
    weight = np.linspace(-1, 1, side, dtype=np.float32)
    across = np.einsum("nij,j->n", maps, weight)
    down = np.einsum("nij,i->n", maps, weight)
    maps[across < 0] = maps[across < 0][:, :, ::-1]
    maps[down < 0] = maps[down < 0][:, ::-1]
    swapped = np.abs(down) > np.abs(across)
    maps[swapped] = maps[swapped].swapaxes(1, 2)
    return maps.reshape(thumbs.shape)
