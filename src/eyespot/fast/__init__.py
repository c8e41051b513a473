"""Faster code for what PyTorch also does: the only module of this folder that others import.

Everything here gives the results of plain PyTorch up to rounding. With EYESPOT_FAST=0 in the environment, inside
`plain()`, or where a machine or a network does not suit, each function takes its plain path:

    norm_relu, norm_gelu, gelu, max_pool   PyTorch's own layers and functions, one after the other
    Chain                                  nn.Sequential
    use_compiled, compiled_by              nothing is compiled
    arithmetic                             autocast alone, with PyTorch's own gradients
    same_gradients                         nothing is changed
    with_cuda_graph                        the step itself
    keep_freed, return_freed               memory is left to the C library

`departs` and `Reference` compare a precision with plain float32 on a batch, before it is used.
`enabled` says whether the fast paths are used, `heard` whether a hook listens to a layer (then they are not).
"""

from eyespot.fast.allocator import keep_freed, return_freed
from eyespot.fast.compiled import compiled_by, is_compiling, use_compiled
from eyespot.fast.conv_gradients import same_gradients
from eyespot.fast.cuda_graphs import WARM_UP, with_cuda_graph
from eyespot.fast.norms import Chain, gelu, heard, max_pool, norm_gelu, norm_relu
from eyespot.fast.precision import CONVOLUTIONS, HALF, arithmetic
from eyespot.fast.switch import enabled, plain
from eyespot.fast.verify import Reference, departs

__all__ = [
    "CONVOLUTIONS",
    "HALF",
    "WARM_UP",
    "Chain",
    "Reference",
    "arithmetic",
    "compiled_by",
    "departs",
    "enabled",
    "gelu",
    "heard",
    "is_compiling",
    "keep_freed",
    "max_pool",
    "norm_gelu",
    "norm_relu",
    "plain",
    "return_freed",
    "same_gradients",
    "use_compiled",
    "with_cuda_graph",
]
