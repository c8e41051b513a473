"""Built-in images and volumes of touching cells, generated, so that their masks are exact."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.files import NewFolder

Float = NDArray[np.floating]


def cells(folder: NewFolder) -> None:
    """60 images of 128 x 128 pixels, 8-bit PNG: images/, masks/ (0 background, 255 cell), instances/ (16-bit ids)."""
    from PIL import Image

    def write(name: str, values: NDArray[Any]) -> None:
        with folder.open(f"{name}.png") as file:
            Image.fromarray(values).save(file, "PNG")

    _write(60, (128, 128), 24, 11.0, write, np.random.default_rng(3))


def cells3d(folder: NewFolder) -> None:
    """24 volumes of 24 x 48 x 48 voxels as TIFF stacks: images/, masks/ (0 background, 255 cell), instances/ (ids)."""
    import tifffile

    def write(name: str, values: NDArray[Any]) -> None:
        with folder.open(f"{name}.tif") as file:
            tifffile.imwrite(file, values, photometric="minisblack")

    _write(24, (24, 48, 48), 14, 8.0, write, np.random.default_rng(4))


def _write(n: int, shape: tuple[int, ...], most: int, radius: float, write: Any, rng: Any) -> None:
    for i in range(n):
        ids, depth = scene(shape, int(rng.integers(most // 2, most + 1)), radius, rng)
        write(f"images/{i:03}", photograph(ids, depth, rng))
        write(f"masks/{i:03}", np.where(ids > 0, 255, 0).astype(np.uint8))
        write(f"instances/{i:03}", ids.astype(np.uint16))


def scene(
    shape: tuple[int, ...], n: int, radius: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Float]:
    """Ids of about n cells (0 background, a line of it between any two), and how deep inside its cell a pixel is, 0-1.

    A cell lies where its distance is below 0. Where two overlap, a pixel is of the one in which it is deeper.
    """
    from scipy import ndimage

    grid = np.moveaxis(np.indices(shape), 0, -1).astype(float)
    distances = np.stack([_blob(grid - c, radius, rng) for c in _centres(shape, n, radius, rng)])
    nearest = distances.argmin(0) + 1
    distance = distances.min(0)
    ids = np.where(distance < 0, nearest, 0)
    ids[(ids > 0) & (ndimage.maximum_filter(ids, 3) != ids)] = 0  # the cell of lower id loses its border
    return _whole(ids, radius), np.clip(-distance, 0, 1)


def _centres(
    shape: tuple[int, ...], n: int, radius: float, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Points of which most lie about two radii from an earlier one: clumps, as cells grow."""
    size = np.array(shape)
    centres = [rng.uniform(0, shape)]
    for _ in range(50 * n):
        direction = rng.normal(size=len(shape))
        step = rng.uniform(1.45, 1.9) * radius * direction / np.linalg.norm(direction)
        new = centres[rng.integers(len(centres))] + step if rng.random() < 0.85 else rng.uniform(0, shape)
        apart = min(np.linalg.norm(new - c) for c in centres) >= 1.4 * radius
        if apart and (new > -1).all() and (new < size).all():
            centres.append(new)
        if len(centres) == n:
            break
    return centres


def _blob(offset: Float, radius: float, rng: np.random.Generator) -> Float:
    """A perturbed ellipse's distance from offsets (*S, dim): -1 in the middle, 0 on the border, above 0 outside"""
    dim = offset.shape[-1]
    turn, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    radii = radius * rng.uniform(0.8, 1.0) * rng.uniform(0.8, 1.3, dim)
    at = (offset @ (turn / radii)).astype(np.float32)
    length = np.sqrt((at**2).sum(-1))
    direction = at / np.maximum(length, 1e-9)[..., None]
    for frequency in (2, 3, 4):
        towards = rng.normal(size=dim).astype(np.float32)
        wave = frequency / np.linalg.norm(towards) * (direction @ towards) + rng.uniform(0, 6.28)
        length = length * (1 + 0.08 * np.sin(wave))
    return length - 1


def _whole(ids: NDArray[np.int64], radius: float) -> NDArray[np.int64]:
    """Ids from 1 on, each of one connected piece; slivers become background."""
    from scipy import ndimage

    out = np.zeros_like(ids)
    smallest = 0.25 * radius**ids.ndim
    last = 0
    for i in range(1, int(ids.max()) + 1):
        pieces, n = ndimage.label(ids == i)  # type: ignore[misc]
        if n:
            sizes = np.bincount(pieces.ravel())[1:]
            if sizes.max() >= smallest:
                last += 1
                out[pieces == sizes.argmax() + 1] = last
    return out


def photograph(ids: NDArray[np.int64], depth: Float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Cells as a fluorescence microscope shows them: uneven, blurred, noisy, and with debris that is no cell."""
    from scipy.ndimage import gaussian_filter

    def clouds(sigma: float) -> Float:
        noise = gaussian_filter(rng.normal(size=ids.shape), sigma, mode="nearest")
        return noise / noise.std()

    brightness = np.concatenate([[0.0], np.exp(rng.normal(0, 0.35, int(ids.max())))])
    body = (0.35 + 0.65 * np.sqrt(depth)) * (1 + 0.22 * clouds(1.6))
    light = brightness[ids] * body + _debris(ids.shape, rng)
    light = gaussian_filter(light, 0.9) + 0.35 * gaussian_filter(light, 6.0)  # in focus, and the haze around
    light *= np.exp(0.25 * clouds(min(ids.shape) / 3))
    photons = rng.poisson(np.clip(60 * light + 9, 0, None))
    grey = photons + rng.normal(0, 2, ids.shape)
    return np.clip(6 + 1.35 * grey, 0, 255).astype(np.uint8)


def _debris(shape: tuple[int, ...], rng: np.random.Generator) -> Float:
    """A few bright specks, much smaller than cells"""
    grid = np.indices(shape)
    light = np.zeros(shape)
    for _ in range(rng.integers(2, 7)):
        squares = sum((g - rng.uniform(0, n)) ** 2 for g, n in zip(grid, shape, strict=True))
        light += rng.uniform(0.5, 1.8) * np.exp(-squares / (2 * rng.uniform(0.7, 1.6) ** 2))
    return light
