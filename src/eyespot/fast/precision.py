"""In which arithmetic a network computes: PyTorch's own, products in bfloat16, or other gradients of convolutions."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from eyespot.fast.conv_gradients import ConvGradients
from eyespot.fast.switch import enabled

HALF = ("bfloat16", "im2col")
"""The precisions whose products are in bfloat16"""
CONVOLUTIONS = ("winograd", "im2col")
"""Those with faster gradients of convolutions, of float32 and of bfloat16"""


@contextmanager
def arithmetic(device: str, precision: str | None) -> Iterator[None]:
    """Inside, networks on a device compute in a precision.

    "float32", "bfloat16" (products only), or either with faster gradients of convolutions on a CPU: "winograd" for
    float32 and "im2col" for bfloat16. None is float32.
    """
    half = precision in HALF
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.split(":")[0], torch.bfloat16, enabled=half))
        if precision in CONVOLUTIONS and enabled():
            stack.enter_context(ConvGradients(half))
        yield
