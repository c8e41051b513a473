"""`passes.c`, compiled by this machine's C compiler when training starts, where there is one.

It takes about half a second for each type of maps, so nothing is kept between runs: no file to go stale, and no code
made for another processor. Without a compiler, or with one that cannot, all stays as torch does it.
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

from eyespot.files import temporary_folder

SOURCE = Path(__file__).with_name("passes.c")
FLAGS = "-O3 -march=native -fPIC -fopenmp -fno-trapping-math -fno-math-errno"
TYPES = {torch.float32: [], torch.bfloat16: ["-DHALF"]}
ACTS = {"relu": [], "gelu": ["-DGELU"]}
SECONDS = 30
"""After which a compiler is not waited for"""
PARTS, LEAST = 128, 64
"""As in passes.c"""
FEW = 2**15
"""Values from which a pass is divided among threads"""
ARGUMENTS = {  # p: of a tensor, n: a number, d: a real number
    "moments": "pnnnppn",
    "prepare": "ppppdnp",
    "count": "ppnndpp",
    "apply": "pnpnnppnn",
    "sums": "ppnnpppn",
    "sums_added": "pppnnppppn",
    "sums_given": "ppnnnpppnpppn",
    "through": "ppnnppnppn",
    "pool": "pnnnnnnnnpn",
    "pool_back": "pppnnnnnnnnpn",
}
KINDS = {"p": ctypes.c_void_p, "n": ctypes.c_int64, "d": ctypes.c_double}


class Passes:
    """The passes over maps of one type, as rows (n, C) whose values of one row are neighbours; act is ReLU or GELU"""

    def __init__(self, path: str):
        library = ctypes.CDLL(path)
        for name, kinds in ARGUMENTS.items():
            call = getattr(library, name)
            call.restype, call.argtypes = None, [KINDS[kind] for kind in kinds]
        self.library = library

    def known(self, x: Tensor) -> Tensor:
        """(5, C), of which the first two rows are the mean and variance of rows x"""
        known, room = torch.empty(5, x.shape[1]), room_for(4, x)
        self.library.moments(at(x), x.stride(0), *x.shape, at(known), at(room), threads(x))
        return known

    def prepare(self, known: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
        """The other three rows"""
        return self.given(known[0], known[1], scale, shift, eps, known)

    def given(
        self, mean: Tensor, var: Tensor, scale: Tensor, shift: Tensor, eps: float, out: Tensor
    ) -> Tensor:
        """All five rows, of a mean and variance"""
        self.library.prepare(at(mean), at(var), at(scale), at(shift), eps, len(scale), at(out))
        return out

    def count(self, norm: Any, mean: Tensor, var: Tensor, n: int) -> None:
        """Move the running statistics towards the mean and variance of n values, as the norm itself would."""
        kept = (at(norm.running_mean), at(norm.running_var))
        self.library.count(at(mean), at(var), n, len(mean), share(norm), *kept)

    def apply(self, x: Tensor, known: Tensor, out: Tensor, more: Tensor | None = None) -> Tensor:
        """act(norm(x) + more), written to `out`"""
        other = None if more is None else at(more)
        how = (at(known), at(out), out.stride(0), threads(x))
        self.library.apply(at(x), x.stride(0), other, *x.shape, *how)
        return out

    def sums(self, dy: Tensor, x: Tensor, known: Tensor) -> Tensor:
        """(2, C): the gradients of shift and scale, dy being that of act(norm(x))"""
        found, room = torch.empty(2, x.shape[1]), room_for(2, x)
        self.library.sums(at(dy), at(x), *x.shape, at(known), at(found), at(room), threads(x))
        return found

    def sums_added(self, dy: Tensor, x: Tensor, y: Tensor, known: Tensor, out: Tensor) -> Tensor:
        """The same of y = ReLU(norm(x) + more); the gradient of `more` is written to `out`"""
        found, room = torch.empty(2, x.shape[1]), room_for(2, x)
        how = (at(known), at(found), at(out), at(room), threads(x))
        self.library.sums_added(at(dy), at(x), at(y), *x.shape, *how)
        return found

    def sums_given(self, dy: Tensor, x: Tensor, known: Tensor, *added: Tensor) -> Tensor:
        """The same as `sums`, of maps whose mean and variance are given; the gradients of all three are added to"""
        dx, dmean, dvar = added
        found, room = torch.empty(2, x.shape[1]), room_for(2, x)
        how = (at(known), at(found), at(dx), dx.stride(0), at(dmean), at(dvar), at(room), threads(x))
        self.library.sums_given(at(dy), at(x), x.stride(0), *x.shape, *how)
        return found

    def through(self, dy: Tensor, x: Tensor, known: Tensor, found: Tensor, done: bool, out: Tensor) -> Tensor:
        """The gradient of x, written to `out`; `done`: dy is that of norm(x), act is done with"""
        room = torch.empty(2, x.shape[1])
        how = (at(known), at(found), done, at(out), at(room), threads(x))
        self.library.through(at(dy), at(x), *x.shape, *how)
        return out

    def pool(self, x: Tensor, window: tuple[int, int, int], out: Tensor) -> Tensor:
        """The largest of each window: maps (B, D, H, W, C), written to `out`"""
        self.library.pool(at(x), *x.shape, *window, at(out), threads(x))
        return out

    def pool_back(
        self, dy: Tensor, x: Tensor, y: Tensor, window: tuple[int, int, int], out: Tensor
    ) -> Tensor:
        """The gradient of x, written to `out`"""
        self.library.pool_back(at(dy), at(x), at(y), *x.shape, *window, at(out), threads(x))
        return out


def share(norm: Any) -> float:
    """Count a batch, and say how far the running statistics move towards its own."""
    norm.num_batches_tracked += 1
    return 1 / norm.num_batches_tracked.item() if norm.momentum is None else norm.momentum


def room_for(count: int, x: Tensor) -> Tensor:
    """Of so many values per channel, in each part of the rows x"""
    return torch.empty(count * min(PARTS, -(-len(x) // LEAST)) * x.shape[1])


def at(tensor: Tensor) -> int:
    return tensor.data_ptr()


def threads(x: Tensor) -> int:
    return torch.get_num_threads() if x.numel() >= FEW else 1


def passes(dtype: torch.dtype, act: str = "relu") -> Passes | None:
    """Those for maps of this type, if training asked for them and they could be made."""
    if not _wanted:
        return None
    if act not in _made:  # each type at the same time: on most machines that have both, both are timed
        with ThreadPoolExecutor() as pool:
            _made[act] = dict(zip(TYPES, pool.map(partial(_compiled, act=act), TYPES), strict=True))
    return _made[act].get(dtype)


def use(wanted: bool = True) -> None:
    """Let training take them, or not."""
    global _wanted
    _wanted = wanted


def made_by(dtype: torch.dtype) -> str:
    """The compiler of those that were made for maps of this type, or nothing"""
    return compiler() if _wanted and any(made[dtype] for made in _made.values()) else ""


_wanted = False
_made: dict[str, dict[torch.dtype, Passes | None]] = {}


def compiler() -> str:
    """As the environment says in CC, or what the system calls its own; or nothing"""
    return os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), "")


def _compiled(dtype: torch.dtype, act: str) -> Passes | None:
    command = compiler().split()
    if not command or sys.platform == "win32":
        return None
    quiet = {"check": True, "timeout": SECONDS, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    compile_it = [*command, *FLAGS.split(), *TYPES[dtype], *ACTS[act], "-c", str(SOURCE), "-o"]
    try:
        with temporary_folder() as folder:
            parts, whole = f"{folder}/passes.o", f"{folder}/passes.so"
            subprocess.run([*compile_it, parts], **quiet)
            # Without OpenMP's library: that of torch is found, so that one pool of threads serves both.
            subprocess.run([*command, "-shared", parts, "-o", whole], **quiet)
            return Passes(whole)
    except (OSError, subprocess.SubprocessError, AttributeError):
        return None
