"""Convolution itself: the operation, its adjoint, its matrix and the sizes that it leads to. It needs no torch.

convolve, correlate, adjoint                        arrays and tensors of any rank          operation.py
as_matrix, matrix_text, parameters                  the operation as a matrix               matrix.py
singular_values, spectral_norm                      of a circular layer                     spectrum.py
lipschitz_bound                                     of a chain of torch layers              lipschitz.py
Layer, output_size, input_sizes, padding_for,
receptive_field, kernel_for, depth_for              sizes of chains, solved both ways       sizes.py
convolve_functions                                  functions instead of samples            continuous.py
convolve_file                                       `eyespot convolve`                      image_file.py

SciPy computes on arrays (arrays.py), torch on tensors (tensors.py).
"""

from typing import TYPE_CHECKING

from eyespot.convolution.continuous import Sampled, convolve_functions
from eyespot.convolution.matrix import as_matrix, matrix_text, parameters
from eyespot.convolution.operation import adjoint, convolve, correlate
from eyespot.convolution.sizes import (
    Field,
    Layer,
    depth_for,
    input_sizes,
    kernel_for,
    output_size,
    padding_for,
    receptive_field,
)
from eyespot.convolution.spectrum import singular_values, spectral_norm

if TYPE_CHECKING:
    from eyespot.convolution.image_file import convolve_file
    from eyespot.convolution.lipschitz import lipschitz_bound

__all__ = [
    "Field",
    "Layer",
    "Sampled",
    "adjoint",
    "as_matrix",
    "convolve",
    "convolve_file",
    "convolve_functions",
    "correlate",
    "depth_for",
    "input_sizes",
    "kernel_for",
    "lipschitz_bound",
    "matrix_text",
    "output_size",
    "padding_for",
    "parameters",
    "receptive_field",
    "singular_values",
    "spectral_norm",
]


def __getattr__(name: str):
    """Import these two on first use: one needs torch, the other Pillow."""
    if name == "lipschitz_bound":
        from eyespot.convolution.lipschitz import lipschitz_bound

        return lipschitz_bound
    if name == "convolve_file":
        from eyespot.convolution.image_file import convolve_file

        return convolve_file
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
