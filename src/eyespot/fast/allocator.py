"""What glibc does with freed memory. Kept, training is up to a half faster; given back, a memory budget holds.

By default glibc maps each large tensor when it is made and unmaps it when it is freed, and the system clears every page
again; smaller ones it keeps, in pieces that no other size fits. Only on Linux is anything changed.
"""

import ctypes
import os
import sys
from functools import cache
from typing import Any

from eyespot.fast.switch import enabled

# glibc's numbers for mallopt: see <malloc.h>
TRIM_THRESHOLD = -1
TOP_PAD = -2
MMAP_THRESHOLD = -3
MMAP_MAX = -4
HUGE_PAGES = 14
"""madvise's number for them: see <sys/mman.h>"""
HUGE_PAGE = 2**21
"""Bytes of one"""
MOST = 2**32
"""Bytes of addresses that are asked for as huge pages, at most"""


def keep_freed() -> bool:
    """Keep freed memory for the next tensor. Returns whether that could be set."""
    libc = _glibc()
    if libc is None or not enabled():
        return False
    kept = libc.mallopt(MMAP_MAX, 0) and libc.mallopt(TRIM_THRESHOLD, -1) and libc.mallopt(TOP_PAD, 2**26)
    _ask_for_huge_pages()
    return bool(kept)


def return_freed() -> None:
    """Give blocks of 1 MB or more back to the system when they are freed, and the others where they end the heap."""
    libc = _glibc()
    if libc is not None and enabled():
        for setting, value in (
            (MMAP_MAX, 65536),
            (MMAP_THRESHOLD, 2**20),
            (TRIM_THRESHOLD, 2**20),
            (TOP_PAD, 0),
        ):
            libc.mallopt(setting, value)
        libc.malloc_trim(0)


def physical_memory() -> int:
    """Bytes of this machine's memory, or 8 GB where the system does not say."""
    known = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in known:
        return 2**33
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@cache
def _glibc() -> Any:
    """The C library, or None where it is another."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt") or not hasattr(libc, "gnu_get_libc_version"):
        return None
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return libc


def _ask_for_huge_pages() -> None:
    """Ask for a stretch of addresses at the heap's end, say that it may use huge pages, and free it: it takes no memory."""
    libc = _glibc()
    size = min(MOST, physical_memory() // 4)
    start = libc.malloc(size)
    if start:
        first = -(-start // HUGE_PAGE) * HUGE_PAGE
        libc.madvise(
            first, (start + size - first) // HUGE_PAGE * HUGE_PAGE, HUGE_PAGES
        )  # refused: all stays as it was
        libc.free(start)
