"""Norm, addition, activation and pooling with fewer passes over memory, by the machine's C compiler where there is one."""

from eyespot.fast.compiled import made_by, use
from eyespot.fast.norms import Chain, gelu, max_pool, norm_gelu, norm_relu

__all__ = ["Chain", "gelu", "made_by", "max_pool", "norm_gelu", "norm_relu", "use"]
