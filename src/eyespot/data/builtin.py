"""Data sets that need no download. They become ordinary folders of images in the cache, and are read like any."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eyespot.files import cache_folder


def _digits(folder: Path) -> None:
    """1,797 handwritten digits, 8x8 grey values 0-16 (Alpaydin & Kaynak 1998, in scikit-learn), as 8-bit PNG."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    for label in range(10):
        (folder / str(label)).mkdir()
    grey = np.rint(data.images * (255 / 16)).astype(np.uint8)
    for i, (image, label) in enumerate(zip(grey, data.target, strict=True)):
        Image.fromarray(image).save(folder / str(label) / f"{i:04}.png")


BUILTIN: dict[str, Callable[[Path], None]] = {"digits": _digits}


def unpack(name: str) -> Path:
    """The folder of a built-in set, written on first use."""
    target = cache_folder() / "sets" / f"{name}-1" / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        working = Path(tempfile.mkdtemp(dir=target.parent))
        try:
            BUILTIN[name](working)
            working.chmod(0o755)
            working.replace(target)
        except OSError:
            if not target.exists():  # another process may have been first, which is as good
                raise
        finally:
            shutil.rmtree(working, ignore_errors=True)
    return target
