"""`passes.c`, compiled by this machine's C compiler when training starts, where there is one.

It takes about half a second for each type of maps, so nothing is kept between runs: no file to go stale, and no code
made for another processor. Without a compiler, or with one that cannot, PyTorch's own functions are used.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eyespot.fast.switch import enabled
from eyespot.files import temporary_folder

SOURCE = Path(__file__).with_name("passes.c")
FLAGS = "-O3 -march=native -fPIC -fopenmp -fno-trapping-math -fno-math-errno"
TYPES = {torch.float32: [], torch.bfloat16: ["-DHALF"]}
ACTIVATIONS = {"relu": [], "gelu": ["-DGELU"]}
TIMEOUT = 30
"""Seconds after which a compiler is stopped"""
BLOCKS = 128
LEAST = 64
"""As in passes.c"""
PARALLEL = 2**15
"""Values from which a pass is divided among threads"""
ARGUMENTS = {  # p: pointer to a tensor's values, n: integer, d: real number
    "batch_moments": "pnnppn",
    "bn_coefficients": "ppdnp",
    "update_running": "ppnndpp",
    "bn_act": "ppnnppn",
    "bn_backward_reduce": "ppnnpppn",
    "bn_backward_reduce_added": "pppnnppppn",
    "bn_backward_input": "ppnnppnppn",
    "max_pool": "pnnnnnnnnpn",
    "max_pool_backward": "pppnnnnnnnnpn",
}
CTYPES = {"p": ctypes.c_void_p, "n": ctypes.c_int64, "d": ctypes.c_double}


class Passes:
    """The passes over maps of one type, with ReLU or GELU. Maps are rows (n, C) without gaps.

    `known` is (5, C): mean, variance, one over the deviation, and slope and level of the norm, x * slope + level.
    """

    def __init__(self, path: str):
        library = ctypes.CDLL(path)
        for name, kinds in ARGUMENTS.items():
            function = getattr(library, name)
            function.restype = None
            function.argtypes = [CTYPES[kind] for kind in kinds]
        self.library = library

    def moments(self, x: Tensor) -> Tensor:
        """`known`, of which the first two rows are filled: the mean and variance of rows x."""
        known = torch.empty(5, x.shape[1])
        buffer = workspace(4, x)
        self.library.batch_moments(at(x), *x.shape, at(known), at(buffer), threads(x))
        return known

    def coefficients(self, known: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
        """Fill the other three rows."""
        self.library.bn_coefficients(at(scale), at(shift), eps, len(scale), at(known))
        return known

    def update_running(self, norm: Any, mean: Tensor, var: Tensor, n: int) -> None:
        """Move the running statistics towards the mean and variance of n values, as the norm itself would."""
        running = (at(norm.running_mean), at(norm.running_var))
        self.library.update_running(at(mean), at(var), n, len(mean), count_batch(norm), *running)

    def norm_act(self, x: Tensor, known: Tensor, out: Tensor, added: Tensor | None = None) -> Tensor:
        """act(norm(x) + added), written to `out`"""
        other = None if added is None else at(added)
        self.library.bn_act(at(x), other, *x.shape, at(known), at(out), threads(x))
        return out

    def backward_reduce(self, dy: Tensor, x: Tensor, known: Tensor) -> Tensor:
        """(2, C): the gradients of shift and scale, dy being that of act(norm(x))"""
        grads = torch.empty(2, x.shape[1])
        buffer = workspace(2, x)
        outputs = (at(grads), at(buffer), threads(x))
        self.library.bn_backward_reduce(at(dy), at(x), *x.shape, at(known), *outputs)
        return grads

    def backward_reduce_added(self, dy: Tensor, x: Tensor, y: Tensor, known: Tensor, out: Tensor) -> Tensor:
        """The same of y = ReLU(norm(x) + added); the gradient of `added` is written to `out`."""
        grads = torch.empty(2, x.shape[1])
        buffer = workspace(2, x)
        outputs = (at(grads), at(out), at(buffer), threads(x))
        self.library.bn_backward_reduce_added(at(dy), at(x), at(y), *x.shape, at(known), *outputs)
        return grads

    def backward_input(
        self, dy: Tensor, x: Tensor, known: Tensor, grads: Tensor, of_norm: bool, out: Tensor
    ) -> Tensor:
        """The gradient of x, written to `out`; `of_norm`: dy is that of norm(x), the activation's is already taken."""
        buffer = torch.empty(2, x.shape[1])
        outputs = (at(out), at(buffer), threads(x))
        self.library.bn_backward_input(at(dy), at(x), *x.shape, at(known), at(grads), of_norm, *outputs)
        return out

    def max_pool(self, x: Tensor, window: tuple[int, int, int], out: Tensor) -> Tensor:
        """The largest of each window: maps (B, D, H, W, C), written to `out`"""
        self.library.max_pool(at(x), *x.shape, *window, at(out), threads(x))
        return out

    def max_pool_backward(
        self, dy: Tensor, x: Tensor, y: Tensor, window: tuple[int, int, int], out: Tensor
    ) -> Tensor:
        """The gradient of x, written to `out`"""
        self.library.max_pool_backward(at(dy), at(x), at(y), *x.shape, *window, at(out), threads(x))
        return out


def count_batch(norm: Any) -> float:
    """Count a batch, and say how far the running statistics move towards its own."""
    if norm.num_batches_tracked is None:  # not counted: a forward pass that is repeated
        return norm.momentum
    norm.num_batches_tracked += 1
    return 1 / norm.num_batches_tracked.item() if norm.momentum is None else norm.momentum


def workspace(per_channel: int, x: Tensor) -> Tensor:
    """So many values per channel, for each block of the rows x"""
    return torch.empty(per_channel * min(BLOCKS, -(-len(x) // LEAST)) * x.shape[1])


def at(tensor: Tensor) -> int:
    """The address of a tensor's values."""
    return tensor.data_ptr()


def threads(x: Tensor) -> int:
    """How many threads share a pass over x."""
    return torch.get_num_threads() if x.numel() >= PARALLEL else 1


def passes(dtype: torch.dtype, act: str = "relu") -> Passes | None:
    """Those for maps of this type, if training asked for them and they could be compiled."""
    if not _wanted or not enabled():
        return None
    known = _compiled.setdefault(act, {})
    if dtype not in known and dtype in TYPES:
        # Both types at the same time, where the processor multiplies both: both will be timed.
        types = TYPES if torch.cpu._is_avx512_bf16_supported() else [dtype]
        with ThreadPoolExecutor() as pool:
            known |= zip(types, pool.map(partial(compile_passes, act=act), types), strict=True)
    return known.get(dtype)


def pooling_passes(dtype: torch.dtype) -> Passes | None:
    """Those that are compiled already, if any are, as pooling is the same with each activation; else as `passes`."""
    act = next((act for act, by_type in _compiled.items() if by_type.get(dtype)), "relu")
    return passes(dtype, act)


def use_compiled(wanted: bool = True) -> None:
    """Let networks in training use compiled passes, or not."""
    global _wanted
    _wanted = wanted


def is_compiling() -> bool:
    """Whether passes are compiled when a network is trained."""
    return _wanted and enabled() and bool(compiler())


def compiled_by(dtype: torch.dtype) -> str:
    """The compiler of the passes in use for maps of this type, or an empty string."""
    compiled = _wanted and enabled() and any(by_type.get(dtype) for by_type in _compiled.values())
    return compiler() if compiled else ""


_wanted = False
_compiled: dict[str, dict[torch.dtype, Passes | None]] = {}


def compiler() -> str:
    """The C compiler: $CC, or the system's; an empty string if there is none."""
    return os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), "")


def compile_passes(dtype: torch.dtype, act: str) -> Passes | None:
    """The passes for one type and activation, or None where they cannot be compiled."""
    command = compiler().split()
    if not command or sys.platform == "win32":
        return None
    quiet = {"check": True, "timeout": TIMEOUT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    to_object = [*command, *FLAGS.split(), *TYPES[dtype], *ACTIVATIONS[act], "-c", str(SOURCE), "-o"]
    try:
        with temporary_folder() as folder:
            subprocess.run([*to_object, f"{folder}/passes.o"], **quiet)
            # Without OpenMP's library: torch has loaded one, and one pool of threads is to serve both.
            link = [*command, "-shared", f"{folder}/passes.o", "-o", f"{folder}/passes.so"]
            subprocess.run(link, **quiet)
            return Passes(f"{folder}/passes.so")
    except (OSError, subprocess.SubprocessError, AttributeError):
        return None
