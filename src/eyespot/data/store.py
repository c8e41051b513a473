"""Arrays of a data set, asked for by row: one protocol for arrays of one size, of different sizes, and later of shards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array


class Store(Protocol):
    """Read-only arrays by row.

    `store[3]` is one array. `store[rows]`, with an integer array or a slice, holds those arrays in that order: stacked
    where all have one size, else as a list. A row that does not exist is an IndexError; negative ones count from the end.
    """

    @property
    def shapes(self) -> Sequence[tuple[int, ...]]:
        """The shape of each row's array."""
        ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def nbytes(self) -> int:
        """Of all arrays together."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any: ...


class ArrayStore:
    """Arrays of one size, stacked as (N, *shape)."""

    def __init__(self, arrays: Array):
        self.arrays = arrays

    @classmethod
    def open(cls, path: Path, dtype: str, shape: tuple[int, ...]) -> "ArrayStore":
        """Map a file of stacked arrays into memory. shape   (N, *shape)"""
        if not shape[0]:
            return cls(np.zeros(shape, dtype))
        return cls(np.memmap(path, dtype, "r", shape=shape))

    @property
    def shapes(self) -> Sequence[tuple[int, ...]]:
        return [self.arrays.shape[1:]] * len(self.arrays)

    @property
    def dtype(self) -> np.dtype:
        return self.arrays.dtype

    @property
    def nbytes(self) -> int:
        return self.arrays.nbytes

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, rows: Any, /) -> Array:
        return self.arrays[rows]


class RaggedStore:
    """Arrays of different sizes, one after the other in one file that is mapped into memory."""

    def __init__(self, path: Path, dtype: str, shapes: Sequence[tuple[int, ...]]):
        sizes = [int(np.prod(shape)) for shape in shapes]
        self.shapes = shapes
        self.starts = np.cumsum([0, *sizes])
        self.values = np.memmap(path, dtype, "r") if sizes else np.zeros(0, dtype)

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, rows: Any, /) -> Any:
        if np.ndim(rows) or isinstance(rows, slice):
            return [self[int(row)] for row in np.arange(len(self))[rows]]
        row = range(len(self))[int(rows)]
        return self.values[self.starts[row] : self.starts[row + 1]].reshape(self.shapes[row])


class ChosenRows:
    """Some rows of another store, in the order of their positions there."""

    def __init__(self, store: Store, rows: NDArray[np.int64]):
        self.store = store
        self.rows = rows
        self.shapes = [store.shapes[int(row)] for row in rows]

    @property
    def dtype(self) -> np.dtype:
        return self.store.dtype

    @property
    def nbytes(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.shapes) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any, /) -> Any:
        return self.store[self.rows[rows]]


class RowStore:
    """Some rows of a store, or of several one after the other, which are read when they are asked for."""

    def __init__(self, store: Store, rows: Sequence[int] | NDArray[np.int64]):
        self.pieces: list[tuple[Store, int]] = [(store, int(row)) for row in rows]

    @classmethod
    def joined(cls, stores: Sequence["RowStore"]) -> "RowStore":
        """The rows of several, in their order."""
        store = cls(stores[0], [])
        store.pieces = [piece for other in stores for piece in other.pieces]
        return store

    @property
    def shapes(self) -> Sequence[tuple[int, ...]]:
        return [self[row].shape for row in range(len(self))]

    @property
    def dtype(self) -> np.dtype:
        return self.pieces[0][0].dtype

    @property
    def nbytes(self) -> int:
        return sum(self[row].nbytes for row in range(len(self)))

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, rows: Any, /) -> Any:
        if np.ndim(rows) or isinstance(rows, slice):
            return [self[int(row)] for row in np.arange(len(self))[rows]]
        store, row = self.pieces[int(rows)]
        return store[row]
