"""One list of checks that every store passes."""

import numpy as np
import pytest

from eyespot.data.store import ArrayStore, RaggedStore

SHAPES = {
    "arrays": [(4, 5, 3)] * 6,
    "ragged": [(4, 5, 3), (2, 9, 3), (1, 1, 3), (7, 3, 3), (4, 5, 3), (6, 2, 3)],
}


@pytest.fixture(params=["arrays", "ragged"])
def store(request, tmp_path):
    """A store and the arrays that are in it."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, shape).astype(np.uint8) for shape in SHAPES[request.param]]
    path = tmp_path / "pixels"
    path.write_bytes(b"".join(array.tobytes() for array in arrays))
    if request.param == "arrays":
        return ArrayStore.open(path, "uint8", (6, 4, 5, 3)), arrays
    return RaggedStore(path, "uint8", SHAPES["ragged"]), arrays


def test_length_shapes_dtype_and_bytes(store):
    opened, arrays = store
    assert len(opened) == 6 and opened.dtype == np.uint8
    assert [tuple(shape) for shape in opened.shapes] == [array.shape for array in arrays]
    assert opened.nbytes == sum(array.nbytes for array in arrays)


@pytest.mark.parametrize("kind", [int, np.int64])
def test_a_row_is_an_array(store, kind):
    opened, arrays = store
    for row, array in enumerate(arrays):
        np.testing.assert_array_equal(opened[kind(row)], array)
        np.testing.assert_array_equal(opened[kind(row - 6)], array)


@pytest.mark.parametrize(
    "rows", [np.array([4, 0, 4]), np.array([], int), slice(1, 5, 2), slice(None)], ids=str
)
def test_rows_keep_their_order_and_may_repeat(store, rows):
    opened, arrays = store
    expected = [arrays[row] for row in np.arange(6)[rows]]
    got = opened[rows]
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_iteration_ends(store):
    opened, arrays = store
    assert sum(1 for _ in opened) == len(arrays)


@pytest.mark.parametrize("row", [6, -7])
def test_a_row_that_does_not_exist_is_an_error(store, row):
    with pytest.raises(IndexError):
        store[0][row]


def test_arrays_are_read_only(store):
    with pytest.raises(ValueError, match="read-only"):
        store[0][0][:] = 0


def test_an_empty_store_is_one(tmp_path):
    for empty in (
        ArrayStore.open(tmp_path / "none", "uint8", (0, 4)),
        RaggedStore(tmp_path / "none", "uint8", []),
    ):
        assert len(empty) == 0 and list(empty) == [] and len(empty[:]) == 0
