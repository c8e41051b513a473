"""Convolution itself: the operation, its adjoint and its matrix, and the sizes it leads to. It needs no torch.

convolve, correlate, adjoint           on arrays of any rank            (operation.py)
"""

from eyespot.convolution.operation import adjoint, convolve, correlate

__all__ = ["adjoint", "convolve", "correlate"]
