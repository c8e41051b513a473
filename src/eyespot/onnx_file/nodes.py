"""Nodes and constants of an ONNX graph, written one after another."""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 18
PREFIX = "eyespot_"
"""Before the names of values, so that none is one of the network's."""


class Nodes:
    """A list of nodes that grows. Called with an operator and its inputs, it returns the name of the result.

    Inputs are names of values, or numbers and arrays, which become constants.
    """

    def __init__(self):
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._numbers: dict[tuple[Any, ...], str] = {}

    def __call__(self, operator: str, *inputs: Any, name: str | None = None, **attributes: Any) -> str:
        result = name or f"{PREFIX}{operator.lower()}_{len(self.nodes)}"
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self.nodes.append(helper.make_node(operator, names, [result], name=result, **attributes))
        return result

    def constant(self, value: Any) -> str:
        """The name of a constant; equal ones are stored once."""
        array = np.asarray(value)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._numbers:
            name = f"{PREFIX}constant_{len(self.constants)}"
            self.constants[name] = numpy_helper.from_array(array, name)
            self._numbers[key] = name
        return self._numbers[key]

    def cast(self, value: Any, dtype: Any) -> str:
        """In another type."""
        return self("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def vector(self, value: str) -> str:
        """A number () -> (1,), as shapes and places of slices are"""
        return self("Unsqueeze", value, np.array([0]))

    def shape(self, *sizes: str | int) -> str:
        """A shape of numbers that are known, and of names of int64 numbers ()."""
        parts = [np.array([size]) if isinstance(size, int) else self.vector(size) for size in sizes]
        return self("Concat", *parts, axis=0)

    def length(self, x: str, axis: int) -> str:
        """Samples along an axis: an int64 number ()"""
        return self("Gather", self("Shape", x), np.int64(axis))


def transposed(nodes: Nodes, x: str, order: list[int]) -> str:
    """The axes in another order; nothing where it is the same."""
    return x if order == sorted(order) else nodes("Transpose", x, perm=order)


def along(nodes: Nodes, x: str, matrix: Any, axis: int, rank: int) -> str:
    """The product of a matrix (out, n) and each row of n samples along an axis."""
    if axis == rank - 2:
        return nodes("MatMul", matrix, x)
    order = [*range(rank)]
    order[axis], order[-1] = order[-1], order[axis]
    turned = transposed(nodes, x, order)
    flipped = (
        nodes("Transpose", matrix, perm=[1, 0]) if isinstance(matrix, str) else np.ascontiguousarray(matrix.T)
    )
    return transposed(nodes, nodes("MatMul", turned, flipped), order)
