"""Doubts that masks lie where their images show something: turned, shifted, or of another image."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyespot.data.surveys.survey import WARNING, PairSurvey, Problem, Survey
from eyespot.plurals import count

Ranks = NDArray[np.float64]
"""(*S) the rank of the image's gradient at each pixel, from -0.5 to 0.5: 0 is the mean."""
LOOKED_AT = 48
"""Most masks whose position is judged."""
FEWEST = 6
"""Masks below which another position is better by chance."""
SAMPLES = 1 << 16
"""Pixels of an image that are compared; of larger ones, every second or third along each axis."""
GAIN = 0.15
"""How much better the edges of masks must lie elsewhere, in ranks."""
AGREE = 0.9
"""Share of the masks that must agree."""
CERTAIN = 6
"""Standard errors of the mean that it must be better by, since many positions are tried."""
MOST_AGREE = 0.6
"""Share of the masks that fit another image, since the right one may not be among those looked at."""
DIFFERENT = 0.8
"""Share of these that fit different images; by chance, many fit the same."""
NEAR = 2.9
"""Distance in samples up to which a mask is drawn a little beside the edge, and not shifted."""
REACH = 8
"""A mask is searched as far away as its shortest side divided by this."""


@dataclass(frozen=True)
class Outline:
    """Where a mask has its edges, and how steep its image is there.

    ranks   of the image
    edges   (*S) 1 along the edges of the mask
    step    pixels of the file per sample
    """

    path: str
    ranks: Ranks
    edges: NDArray[np.float64]
    step: int

    def fit(self, edges: NDArray[np.float64]) -> float:
        """The mean rank of the image along edges."""
        return float((self.ranks * edges).sum() / edges.sum())


def masks_elsewhere(survey: Survey) -> Iterator[Problem]:
    """Masks whose edges would lie on those of images if they were turned, shifted, or given to other images."""
    if not isinstance(survey, PairSurvey):
        return
    outlines = _outlines(survey)
    if len(outlines) < FEWEST:
        return
    own = np.array([outline.fit(outline.edges) for outline in outlines])
    text = _turned(outlines, own) or _shifted(outlines, own) or _of_others(outlines, own)
    if text:
        yield Problem(
            WARNING,
            f"{text}: look at the contact sheet, and mend them if they lie wrong",
            tuple(o.path for o in outlines),
        )


def _outlines(survey: PairSurvey) -> list[Outline]:
    """Of the first masks that have edges."""
    outlines: list[Outline] = []
    for row in range(len(survey.labels)):
        labels = survey.images.labels[row]
        step = int(np.ceil((labels.size / SAMPLES) ** (1 / labels.ndim)))
        places = tuple(slice(None, None, step) for _ in labels.shape)
        edges = _edges(np.asarray(labels[places]))
        if 0 < edges.sum() < edges.size / 2:
            ranks = _ranks(np.asarray(survey.images.pixels[row][places]))
            outlines.append(Outline(survey.path(row), ranks, edges, step))
        if len(outlines) == LOOKED_AT:
            break
    return outlines


def _edges(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    edges = np.zeros(labels.shape)
    for axis in range(labels.ndim):
        differs = np.diff(labels.astype(np.int16), axis=axis) != 0
        before = np.moveaxis(edges, axis, 0)
        moved = np.moveaxis(differs, axis, 0)
        before[:-1][moved] = 1
        before[1:][moved] = 1
    return edges


def _ranks(image: NDArray[np.generic]) -> Ranks:
    from scipy import ndimage

    steep = ndimage.gaussian_gradient_magnitude(image.astype(np.float64).mean(-1), 1.0)
    ordered = np.sort(steep, axis=None)
    low = np.searchsorted(ordered, steep, "left")
    high = np.searchsorted(ordered, steep, "right")
    return (low + high) / 2 / steep.size - 0.5


def _better(own: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    gains = other - own
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    return bool(gains.mean() >= max(GAIN, CERTAIN * error) and (gains > 0).mean() >= AGREE)


def _in_numbers(own: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    return f"({other.mean() + 0.5:.2f} against {own.mean() + 0.5:.2f}, where 0.5 is chance)"


def _turned(outlines: list[Outline], own: NDArray[np.float64]) -> str:
    """The sentence about masks that are mirrored or turned."""
    dim = outlines[0].edges.ndim
    axes = range(dim)
    ways = {f"mirrored along axis {axis}": (axis,) for axis in axes}
    if dim == 2:
        ways = {"upside down": (0,), "mirrored left to right": (1,), "turned by 180 degrees": (0, 1)}
    turned = {name: [np.flip(o.edges, way) for o in outlines] for name, way in ways.items()}
    if dim == 2 and all(o.edges.shape[0] == o.edges.shape[1] for o in outlines):
        turned["turned by 90 degrees"] = [np.rot90(o.edges) for o in outlines]
        turned["turned by -90 degrees"] = [np.rot90(o.edges, -1) for o in outlines]
        turned["transposed"] = [o.edges.T for o in outlines]
    fits = {
        name: np.array([o.fit(e) for o, e in zip(outlines, edges, strict=True)])
        for name, edges in turned.items()
    }
    name = max(fits, key=lambda name: fits[name].mean())
    if not _better(own, fits[name]):
        return ""
    return f"{name}, the edges of masks would lie on edges of their images {_in_numbers(own, fits[name])}"


def _shifted(outlines: list[Outline], own: NDArray[np.float64]) -> str:
    """The sentence about masks that are all shifted by as much."""
    reach = min(min(o.edges.shape) for o in outlines) // REACH
    step = outlines[0].step
    if reach <= NEAR or any(o.step != step for o in outlines):
        return ""
    maps = np.array([_fit_of_shifts(o, reach) for o in outlines])
    place = np.unravel_index(maps.mean(0).argmax(), maps.shape[1:])
    shift = np.array(place) - reach
    other = maps[(slice(None), *place)]
    if np.hypot.reduce(shift) <= NEAR or not _better(own, other):
        return ""
    pixels = " and ".join(str(int(n)) for n in shift * step)
    return f"shifted by {pixels} pixels along their axes, the edges of masks would lie on edges of their images {_in_numbers(own, other)}"


def _fit_of_shifts(outline: Outline, reach: int) -> NDArray[np.float64]:
    """The fit with edges shifted by -reach to reach along each axis; beyond the image it is 0."""
    shape = [n + 2 * reach for n in outline.edges.shape]
    axes = tuple(range(len(shape)))
    edges = np.fft.rfftn(outline.edges, shape, axes)
    sums = np.fft.irfftn(np.fft.rfftn(outline.ranks, shape, axes) * edges.conj(), shape, axes)
    around = np.roll(sums, [reach] * sums.ndim, range(sums.ndim))
    return around[tuple(slice(0, 2 * reach + 1) for _ in shape)] / outline.edges.sum()


def _of_others(outlines: list[Outline], own: NDArray[np.float64]) -> str:
    """The sentence about masks that fit other images."""
    fits = np.full((len(outlines), len(outlines)), -1.0)
    for i, mask in enumerate(outlines):
        for j, image in enumerate(outlines):
            if i != j and image.edges.shape == mask.edges.shape:
                fits[i, j] = image.fit(mask.edges)
    best = fits.argmax(1)
    fitting = np.flatnonzero(fits.max(1) - own >= GAIN)
    if len(fitting) < max(FEWEST, MOST_AGREE * len(outlines)):
        return ""
    if len(set(best[fitting])) < DIFFERENT * len(fitting):
        return ""
    i = int(fitting[0])
    return (
        f"{count(len(fitting), 'mask')} of {len(outlines)} fit another image better than their own "
        f"{_in_numbers(own[fitting], fits.max(1)[fitting])}, such as that of {outlines[i].path} the image {outlines[best[i]].path}"
    )
