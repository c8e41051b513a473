"""Maps of any size written as TIFF while they are made: readable at any time, and gone on with after a kill."""

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import product, repeat
from math import prod
from pathlib import Path
from types import TracebackType

import numpy as np

from eyespot.data.header import Array, Unreadable
from eyespot.errors import UserError
from eyespot.files import (
    move_file,
    open_to_update,
    remove_files,
    synchronise,
    write_errors,
    write_file,
    writing,
)
from eyespot.parallel import in_order

SIDE = 512
"""Of a tile in the file, in pixels."""
CLASSIC = 4_000_000_000
"""Bytes of values beyond which the file is a BigTIFF, whose offsets have 64 bits."""
CODES = {3: "=H", 4: "=I", 16: "=Q"}
"""Of numbers in a TIFF that we wrote, for `struct`."""
Place = tuple[int, str]


class TiledFile:
    """A map on its way into a compressed, tiled TIFF: NAME.partial, which takes its name when it is whole.

    The pages are there from the start, and tiles that are not yet written read as zeros. With a `key`, a run that was
    stopped is gone on with if its key was the same; NAME.partial.json holds the key and how much is done.

    shape       (H, W), or (D, H, W) for a stack of pages
    names       of the channels, each a page of its own (of every plane); none where there is no such axis
    spacing     the distance of samples along each axis, for the resolution tags; or `resolution`, tifffile's settings
    rows        rows, or planes, that are in the file already
    """

    def __init__(
        self,
        path: Path,
        shape: Sequence[int],
        dtype: np.dtype | type,
        *,
        names: Sequence[str] = (),
        spacing: Sequence[float] = (),
        resolution: dict | None = None,
        key: str = "",
    ):
        if len(shape) not in (2, 3):
            raise UserError(
                f"{path} cannot hold labels of shape {tuple(shape)}: a TIFF has two or three axes"
            )
        self.path = path
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.key = key
        self.flat = len(shape) == 2
        self.names = names
        self.pending = None
        self.side = tuple(min(SIDE, -(-n // 16) * 16) for n in shape[-2:])
        self.step = self.side[0] if self.flat else 1
        self.partial = path.with_name(f"{path.name}.partial")
        self.state = path.with_name(f"{path.name}.partial.json")
        with write_errors(self.path):
            self.rows, self.end = self._left()
            if not self.rows:
                tags = {"metadata": None} | (resolution or {}) | _scale(self.shape, names, spacing)
                self.end = self._begin(tags)
            self.places = self._places()
            self.file = open_to_update(self.partial)

    def add(self, top: int, band: Array) -> None:
        """Rows (rows, W) or planes (planes, H, W) from `top` on, with the channels before them where there are some."""
        band = band if self.names else band[None]
        have = self.rows + (0 if self.pending is None else self.pending.shape[1])
        band = band[:, max(0, have - top) :]
        pending = (
            band
            if self.pending is None or not self.pending.shape[1]
            else np.concatenate([self.pending, band], 1)
        )
        ends = self.rows + pending.shape[1] == self.shape[0]
        with write_errors(self.path):
            while pending.shape[1] >= (1 if ends else self.step):
                self._write(pending[:, : self.step])
                pending = pending[:, self.step :]
        self.pending = pending

    def __enter__(self) -> "TiledFile":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: TracebackType | None) -> None:
        with write_errors(self.path):
            if error is None:
                self.file.truncate(self.end)
            self.file.close()
            if error is None:
                move_file(self.partial, self.path)
            elif not self.key or isinstance(error, Unreadable):
                remove_files(self.partial)
            if not self.partial.exists():
                remove_files(self.state)

    def _left(self) -> tuple[int, int]:
        """The rows, and the end in bytes, of what a stopped run with this key left; zeros if there is nothing"""
        with suppress(OSError, ValueError, TypeError, KeyError):
            state = json.loads(self.state.read_text())
            if self.key and state["key"] == self.key and self.partial.stat().st_size >= state["end"]:
                return int(state["rows"]), int(state["end"])
        remove_files(self.state)
        return 0, 0

    def _begin(self, tags: dict) -> int:
        """All pages with empty tiles; the size of that in bytes"""
        shape = (*self.shape[:-2], *([len(self.names)] if self.names else []), *self.shape[-2:])
        empty = prod(shape[:-2]) * prod(-(-n // s) for n, s in zip(shape[-2:], self.side, strict=True))
        import tifffile

        with writing(self.partial) as file:
            tifffile.imwrite(
                file,
                repeat(b"", empty),
                shape=shape,
                dtype=self.dtype,
                tile=self.side,
                bigtiff=prod(shape) * self.dtype.itemsize > CLASSIC,
                photometric="minisblack",
                compression="zlib",
                software="eyespot",
                **tags,
            )
        return self.partial.stat().st_size

    def _places(self) -> list[tuple[Place, Place]]:
        """Of each page, where its table of offsets and its table of byte counts lie, and how numbers are written there"""
        import tifffile

        with tifffile.TiffFile(self.partial) as file:
            tags = [[p.aspage().tags[name] for name in ("TileOffsets", "TileByteCounts")] for p in file.pages]
            return [tuple((t.valueoffset, CODES[int(t.dtype)]) for t in pair) for pair in tags]  # type: ignore[misc]

    def _write(self, block: Array) -> None:
        """One row of tiles of every channel, or one plane; noted when it is on the disk."""
        for page, index, content in in_order(self._packed, self._tiles(block)):
            self._put(self.end, content + bytes(len(content) % 2))
            for (table, code), value in zip(self.places[page], (self.end, len(content)), strict=True):
                number = struct.pack(code, value)
                self._put(table + index * len(number), number)
            self.end += len(content) + len(content) % 2
        self.rows += block.shape[1]
        self.file.flush()
        if self.key:
            synchronise(self.file)
            write_file(self.state, json.dumps({"key": self.key, "rows": self.rows, "end": self.end}))

    def _tiles(self, block: Array) -> Iterator[tuple[int, int, Array]]:
        """(page, place in the page, tile)"""
        across = -(-block.shape[-1] // self.side[1])
        for c, rows in enumerate(block if self.flat else block[:, 0]):
            page = c if self.flat else self.rows * len(block) + c
            first = self.rows // self.side[0] * across if self.flat else 0
            corners = product(*(range(0, n, s) for n, s in zip(rows.shape, self.side, strict=True)))
            for k, (y, x) in enumerate(corners):
                yield page, first + k, rows[y : y + self.side[0], x : x + self.side[1]]

    def _packed(self, job: tuple[int, int, Array]) -> tuple[int, int, bytes]:
        page, index, block = job
        tile = np.zeros(self.side, self.dtype)
        tile[: block.shape[0], : block.shape[1]] = block
        return page, index, zlib.compress(tile.tobytes())

    def _put(self, at: int, content: bytes) -> None:
        self.file.seek(at)
        self.file.write(content)


def _scale(shape: Sequence[int], names: Sequence[str], spacing: Sequence[float]) -> dict:
    """The tags that ImageJ reads: samples per unit within a page, the distance of pages, and what pages are."""
    tags: dict = {}
    if spacing:
        tags |= {"resolution": (1 / spacing[-1], 1 / spacing[-2]), "resolutionunit": "NONE"}
    planes = shape[0] if len(shape) == 3 else 1
    lines = [f"images={planes * max(1, len(names))}"]
    lines += [f"channels={len(names)}"] if names else []
    lines += [f"slices={planes}"] if planes > 1 or not names else []
    lines += ["hyperstack=true", "mode=grayscale", f"classes={', '.join(names)}"] if names else []
    lines += [f"spacing={spacing[0]}"] if spacing and planes > 1 else []
    if names or len(shape) == 3:
        # As bytes, since tifffile refuses a text with other characters than those of ASCII, such as a class may have.
        tags["description"] = "\n".join(["ImageJ=1.54f", *lines, "loop=false", ""]).encode()
    return tags
