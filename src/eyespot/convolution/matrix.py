"""The operation as a matrix on the raveled image: Toeplitz (circulant, where the image is a circle), one level per axis."""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple, Unpack

import numpy as np

from eyespot.convolution.direct import entries
from eyespot.convolution.operation import adjoint, convolve, correlate
from eyespot.convolution.windows import How, Windows, windows_of
from eyespot.errors import UserError, nearest

FORMS = ("sparse", "operator")


def as_matrix(
    kernel: Any,
    shape: Sequence[int],
    *,
    operation: str = "correlate",
    form: str = "sparse",
    **how: Unpack[How],
) -> Any:
    """The matrix A with A @ x.ravel() == operation(x, kernel, **how).ravel() for an image x of `shape`.

    form  "sparse": a SciPy CSR array; "operator": a LinearOperator that stores nothing and has the adjoint as .H
    """
    kernel = to_numpy(kernel)
    w = one_image(kernel.shape, shape, operation, how)
    if form not in FORMS:
        raise UserError(f"form is {form!r}; {nearest(str(form), FORMS)}")
    size = (prod(w.y_shape), prod(shape))
    if form == "sparse":
        return sparse(kernel, w, size)
    import scipy.sparse.linalg

    linear_operator: Any = scipy.sparse.linalg.LinearOperator
    apply = convolve if w.flip else correlate
    return linear_operator(
        size,
        matvec=lambda x: apply(x.reshape(shape), kernel, **how).ravel(),
        rmatvec=lambda y: adjoint(y.reshape(w.y_shape), kernel, shape, operation=operation, **how).ravel(),
        dtype=np.result_type(kernel.dtype, np.float16) if kernel.dtype.kind in "biu" else kernel.dtype,
    )


def one_image(kernel: Sequence[int], shape: Sequence[int], operation: str, how: How) -> Windows:
    w = windows_of(shape, kernel, operation, how)
    if w.x_shape[0] != 1:
        raise UserError(
            f"a matrix is of one image, without batch axes: image {tuple(shape)} and kernel {tuple(kernel)}"
        )
    return w


def sparse(kernel: np.ndarray, w: Windows, size: tuple[int, int]):
    """The CSR array; taps that meet the same sample are summed."""
    from scipy.sparse import coo_array

    met = entries(w)
    row, tap = np.nonzero(met >= 0)
    g, o, c = w.kernel_shape[:3]
    weights = kernel.reshape(w.kernel_shape)[w.turned].reshape(g, o, c, -1)[..., tap]
    group, out, into = np.ogrid[:g, :o, :c]
    rows = (group * o + out)[..., None] * prod(w.out) + row
    columns = (group * c + into)[..., None] * prod(w.size) + met[row, tap]
    places = [np.broadcast_to(i, weights.shape).ravel() for i in (rows, columns)]
    return coo_array((weights.ravel(), tuple(places)), shape=size).tocsr()


def matrix_text(
    kernel_shape: Sequence[int], shape: Sequence[int], *, operation: str = "correlate", **how: Unpack[How]
) -> str:
    """The matrix of a small kernel without channels, its weights by name: w1 w2 ..., or w11 w12 ... by row and column.

    >>> print(matrix_text((3,), (4,), mode="same"))
    w2 w3  0  0
    w1 w2 w3  0
     0 w1 w2 w3
     0  0 w1 w2
    """
    w = one_image(kernel_shape, shape, operation, how)
    if not w.plain or len(kernel_shape) != w.dim:
        raise UserError(f"weights are named for kernels without channel axes, not {tuple(kernel_shape)}")
    mark = "" if max(kernel_shape) < 10 else ","
    names = ["w" + mark.join(str(i + 1) for i in tap) for tap in np.ndindex(*kernel_shape)]
    order = np.arange(len(names)).reshape(kernel_shape)[w.turned].ravel()
    cells = [["0"] * prod(shape) for _ in range(prod(w.out))]
    for row, columns in enumerate(entries(w)):
        for name, column in zip(order, columns, strict=True):
            if column >= 0:
                now = cells[row][column]
                cells[row][column] = names[name] if now == "0" else f"{now}+{names[name]}"
    wide = max(len(cell) for row in cells for cell in row)
    return "\n".join(" ".join(cell.rjust(wide) for cell in row) for row in cells)


class Parameters(NamedTuple):
    """Weights of a layer, without biases, and of the dense layer between the same inputs and outputs."""

    convolution: int
    dense: int


def parameters(kernel_shape: Sequence[int], shape: Sequence[int], **how: Unpack[How]) -> Parameters:
    """How many weights a convolution has, and a dense layer would need for images of the same shape.

    >>> parameters((64, 3, 3, 3), (3, 224, 224), mode="same", dim=2)
    Parameters(convolution=1728, dense=483385147392)
    """
    w = one_image(kernel_shape, shape, "correlate", how)
    return Parameters(prod(kernel_shape), prod(shape) * prod(w.y_shape))


def to_numpy(kernel) -> np.ndarray:
    """A list, an array or a torch tensor as an array."""
    return np.asarray(kernel.detach().cpu() if hasattr(kernel, "detach") else kernel)
