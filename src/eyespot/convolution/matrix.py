"""The operation as a matrix on the raveled image: Toeplitz, or circulant for a circular boundary, one level per axis."""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from eyespot.convolution.geometry import Geometry, Options, named_geometry
from eyespot.convolution.operation import adjoint, convolve, correlate
from eyespot.convolution.padding import source_indices
from eyespot.errors import UserError, nearest

FORMS = ("sparse", "operator")


def as_matrix(
    kernel: Any,
    shape: Sequence[int],
    *,
    operation: str = "convolve",
    form: str = "sparse",
    **options: Unpack[Options],
) -> Any:
    """The matrix A with A @ x.ravel() == operation(x, kernel, **options).ravel() for an image x of `shape`.

    operation  "convolve", as scipy.linalg.convolution_matrix, or "correlate"
    form       "sparse": a SciPy CSR array; "operator": a LinearOperator that stores no matrix, with the adjoint as .H

    >>> as_matrix([1, 2, 3], (3,)).toarray()
    array([[1, 0, 0],
           [2, 1, 0],
           [3, 2, 1],
           [0, 3, 2],
           [0, 0, 3]])
    """
    kernel = to_numpy(kernel)
    g = single_image_geometry(kernel.shape, shape, operation, options)
    if form not in FORMS:
        raise UserError(f"form is {form!r}; {nearest(str(form), FORMS)}")
    size = (prod(g.y_shape), prod(shape))
    if form == "sparse":
        return sparse_matrix(kernel, g, size)
    import scipy.sparse.linalg

    linear_operator: Any = scipy.sparse.linalg.LinearOperator
    apply = convolve if g.flip else correlate
    return linear_operator(
        size,
        matvec=lambda x: apply(x.reshape(shape), kernel, **options).ravel(),
        rmatvec=lambda y: adjoint(
            y.reshape(g.y_shape), kernel, shape, operation=operation, **options
        ).ravel(),
        dtype=np.result_type(kernel.dtype, np.float16) if kernel.dtype.kind in "biu" else kernel.dtype,
    )


def single_image_geometry(
    kernel: Sequence[int], shape: Sequence[int], operation: str, options: Options
) -> Geometry:
    """The geometry of an operation on one image, without batch axes."""
    g = named_geometry(shape, kernel, operation, options)
    if g.x_shape[0] != 1:
        raise UserError(
            f"a matrix is of one image, without batch axes: image {tuple(shape)} and kernel {tuple(kernel)}"
        )
    return g


def sparse_matrix(kernel: np.ndarray, g: Geometry, size: tuple[int, int]):
    """The CSR array; taps that meet the same sample are summed."""
    from scipy.sparse import coo_array

    samples = tap_samples(g)
    output, tap = np.nonzero(samples >= 0)
    groups, cout, cin = g.kernel_shape[:3]
    weights = kernel.reshape(g.kernel_shape)[g.flipped].reshape(groups, cout, cin, -1)[..., tap]
    group, channel_out, channel_in = np.ogrid[:groups, :cout, :cin]
    rows = (group * cout + channel_out)[..., None] * prod(g.out) + output
    columns = (group * cin + channel_in)[..., None] * prod(g.size) + samples[output, tap]
    places = [np.broadcast_to(index, weights.shape).ravel() for index in (rows, columns)]
    return coo_array((weights.ravel(), tuple(places)), shape=size).tocsr()


def tap_samples(g: Geometry) -> NDArray[np.intp]:
    """(outputs, taps) The raveled sample that each tap meets for each output, or -1 for a zero."""
    samples = np.zeros((), np.intp)
    axes = zip(g.size, g.before, g.after, g.out, g.taps, g.stride, g.dilation, strict=True)
    for axis, (size, before, after, outputs, taps, stride, dilation) in enumerate(axes):
        place = np.arange(outputs)[:, None] * stride + np.arange(taps) * dilation
        shape = [1] * (2 * g.dim)
        shape[axis] = outputs
        shape[g.dim + axis] = taps
        source = source_indices(size, before, after, g.boundary)[place].reshape(shape)
        samples = np.where((samples < 0) | (source < 0), -1, samples * size + source)
    return samples.reshape(prod(g.out), prod(g.taps))


def matrix_text(
    kernel_shape: Sequence[int],
    shape: Sequence[int],
    *,
    operation: str = "convolve",
    **options: Unpack[Options],
) -> str:
    """The matrix of a small kernel without channels, its weights by name: w1 w2 ..., or w11 w12 ... by row and column.

    >>> print(matrix_text((3,), (4,), mode="same"))
    w2 w1  0  0
    w3 w2 w1  0
     0 w3 w2 w1
     0  0 w3 w2
    """
    g = single_image_geometry(kernel_shape, shape, operation, options)
    if not g.one_channel or len(kernel_shape) != g.dim:
        raise UserError(f"weights are named for kernels without channel axes, not {tuple(kernel_shape)}")
    separator = "" if max(kernel_shape) < 10 else ","
    names = np.array(["w" + separator.join(str(i + 1) for i in tap) for tap in np.ndindex(*kernel_shape)])
    names = names.reshape(kernel_shape)[g.flipped].ravel()
    cells = [["0"] * prod(shape) for _ in range(prod(g.out))]
    for row, samples in zip(cells, tap_samples(g), strict=True):
        for name, sample in zip(names, samples, strict=True):
            if sample >= 0:
                row[sample] = name if row[sample] == "0" else f"{row[sample]}+{name}"
    width = max(len(cell) for row in cells for cell in row)
    return "\n".join(" ".join(cell.rjust(width) for cell in row) for row in cells)


class Parameters(NamedTuple):
    """Weights of a layer, without biases, and of the dense layer between the same inputs and outputs."""

    convolution: int
    dense: int


def parameters(kernel_shape: Sequence[int], shape: Sequence[int], **options: Unpack[Options]) -> Parameters:
    """The number of weights of a convolution, and of a dense layer between images of the same shapes.

    >>> parameters((64, 3, 3, 3), (3, 224, 224), mode="same", dim=2)
    Parameters(convolution=1728, dense=483385147392)
    """
    g = single_image_geometry(kernel_shape, shape, "convolve", options)
    return Parameters(prod(kernel_shape), prod(shape) * prod(g.y_shape))


def to_numpy(kernel: Any) -> np.ndarray:
    """A list, an array or a torch tensor as an array."""
    return np.asarray(kernel.detach().cpu() if hasattr(kernel, "detach") else kernel)
