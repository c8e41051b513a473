"""Data sets that need no download. They become ordinary folders of images in the cache, and are read like any."""

from collections.abc import Callable
from pathlib import Path

from eyespot.environment import cache_folder
from eyespot.files import NewFolder, new_folder


def _digits(folder: NewFolder) -> None:
    """1,797 handwritten digits, 8x8 grey values 0-16 (Alpaydin & Kaynak 1998, CC BY 4.0), as 8-bit PNG."""
    import numpy as np
    from PIL import Image

    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as digits:
        images = digits["images"]
        labels = digits["labels"]
    grey = np.rint(images * (255 / 16)).astype(np.uint8)
    for i, (image, label) in enumerate(zip(grey, labels, strict=True)):
        with folder.open(f"{label}/{i:04}.png") as file:
            Image.fromarray(image).save(file, "PNG")


def _waves(folder: NewFolder) -> None:
    """1,200 signals of 200 samples in two channels: sine, square, triangle or sawtooth of any period and phase, noisy."""
    import numpy as np
    from scipy import signal

    shapes: dict[str, Callable] = {
        "sine": np.sin,
        "square": signal.square,
        "triangle": lambda t: signal.sawtooth(t, 0.5),  # type: ignore[arg-type]
        "sawtooth": signal.sawtooth,
    }
    rng = np.random.default_rng(1)
    time = np.arange(200)
    for name, shape in shapes.items():
        for i in range(300):
            turns = time / rng.uniform(16, 50) + rng.uniform()
            pair = np.stack([shape(2 * np.pi * turns), shape(2 * np.pi * (turns + 0.25))])
            noisy = rng.uniform(0.5, 2) * pair + rng.normal(0, 0.4, pair.shape)
            with folder.open(f"{name}/{i:04}.npy") as file:
                np.save(file, noisy.astype(np.float32))


def _solids(folder: NewFolder) -> None:
    """400 volumes of 16 x 16 x 16 voxels: ball, box, cylinder or ring, turned and placed anyhow, noisy; TIFF stacks."""
    import numpy as np
    import tifffile
    from scipy.spatial.transform import Rotation

    solids: dict[str, Callable] = {
        "ball": lambda x, y, z: np.sqrt(x**2 + y**2 + z**2) - 4.2,
        "box": lambda x, y, z: np.maximum(np.maximum(abs(x), abs(y)), abs(z)) - 3.5,
        "cylinder": lambda x, y, z: np.maximum(np.hypot(x, y) - 2.6, abs(z) - 5.2),
        "ring": lambda x, y, z: np.hypot(np.hypot(x, y) - 4.2, z) - 1.8,
    }
    rng = np.random.default_rng(2)
    grid = np.indices((16, 16, 16)).reshape(3, -1).T - 7.5
    for name, distance in solids.items():
        for i in range(100):
            turned = Rotation.random(rng=rng).apply(grid - rng.uniform(-1.5, 1.5, 3)) / rng.uniform(0.8, 1.2)
            inside = 1 / (1 + np.exp(2 * distance(*turned.T)))  # soft edges, as a microscope has
            values = 60 + 120 * inside + rng.normal(0, 25, len(grid))
            volume = values.clip(0, 255).astype(np.uint8).reshape(16, 16, 16)
            with folder.open(f"{name}/{i:04}.tif") as file:
                tifffile.imwrite(file, volume, photometric="minisblack")


def _cells(folder: NewFolder) -> None:
    """60 images of touching cells with their masks and instances."""
    from eyespot.data.sources.cells import cells

    cells(folder)


def _cells3d(folder: NewFolder) -> None:
    """24 volumes of touching cells with their masks and instances."""
    from eyespot.data.sources.cells import cells3d

    cells3d(folder)


BUILTIN: dict[str, Callable[[NewFolder], None]] = {
    "digits": _digits,
    "waves": _waves,
    "solids": _solids,
    "cells": _cells,
    "cells3d": _cells3d,
}


def unpack(name: str) -> Path:
    """The folder of a built-in set, written on first use."""
    target = cache_folder() / "sets" / f"{name}-1" / name
    if not target.exists():
        with new_folder(target) as folder:
            BUILTIN[name](folder)
    return target
