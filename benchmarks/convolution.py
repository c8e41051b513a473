"""eyespot.convolution compared with SciPy: random shapes in one to three dimensions, float64, zero boundary."""

import argparse
import ctypes
import os
import platform
from statistics import geometric_mean, median
from time import perf_counter

import numpy as np
import scipy
from scipy import ndimage, signal

from eyespot.convolution import convolve

SIDES = {1: (128, 1 << 20), 2: (16, 1024), 3: (8, 128)}
TAPS = {1: (2, 1024), 2: (2, 32), 3: (2, 10)}


def random_case(rng: np.random.Generator, dim: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Image, kernel and mode; sides and taps log-uniform along each axis, no kernel wider than the image."""
    low, high = SIDES[dim]
    least, most = TAPS[dim]
    shape = [int(low * (high / low) ** u) for u in rng.random(dim)]
    taps = [int(least * (min(most, n) / least) ** u) for n, u in zip(shape, rng.random(dim), strict=True)]
    mode = str(rng.choice(["full", "same", "valid"]))
    return rng.normal(size=shape), rng.normal(size=taps), mode


def ndimage_convolve(x: np.ndarray, kernel: np.ndarray, mode: str) -> np.ndarray:
    """The result of ndimage, centred as SciPy's "same"; for "valid" its centre is cropped."""
    y = ndimage.convolve(x, kernel, mode="constant", origin=[-1 + k % 2 for k in kernel.shape])
    if mode == "valid":
        y = y[tuple(slice(k // 2, k // 2 + n - k + 1) for n, k in zip(x.shape, kernel.shape, strict=True))]
    return y


def functions(x: np.ndarray, kernel: np.ndarray, mode: str) -> dict:
    """Calls by name; ndimage has no "full" mode, and is skipped if it would take most of a second."""
    calls = {
        "eyespot": lambda: convolve(x, kernel, mode=mode),
        "convolve": lambda: signal.convolve(x, kernel, mode),
        "oaconvolve": lambda: signal.oaconvolve(x, kernel, mode),
        "fftconvolve": lambda: signal.fftconvolve(x, kernel, mode),
    }
    if mode != "full" and x.size * kernel.size < 5e8:
        calls["ndimage"] = lambda: ndimage_convolve(x, kernel, mode)
    return calls


def check(calls: dict) -> None:
    """All results agree to 1e-12 of the largest value."""
    results = [call() for call in calls.values()]
    scale = np.abs(results[0]).max()
    assert all(np.abs(y - results[0]).max() < 1e-12 * scale for y in results)


def seconds(calls: dict, rounds: int) -> dict[str, float]:
    """Median seconds per call; a round times each function in turn, about 3 ms each, and each round begins one later."""
    names = list(calls)
    repeats = {name: max(1, int(3e-3 / timed(call, 1))) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(timed(calls[name], repeats[name]))
    return {name: median(values) for name, values in times.items()}


def keep_freed_memory() -> None:
    """Tell the C library (glibc) to keep freed memory: page faults that depend on earlier calls would decide otherwise."""
    trim_threshold = -1
    mmap_threshold = -3
    for option in (trim_threshold, mmap_threshold):
        ctypes.CDLL(None).mallopt(option, 1 << 30)


def timed(call, repeats: int) -> float:
    """Seconds per call."""
    start = perf_counter()
    for _ in range(repeats):
        call()
    return (perf_counter() - start) / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--shapes", type=int, default=20, help="shapes per number of axes")
    options = parser.parse_args()
    keep_freed_memory()
    rng = np.random.default_rng(options.seed)
    threads = os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))
    print(f"{platform.machine()}, {threads} threads, NumPy {np.__version__}, SciPy {scipy.__version__}")
    ratios = []
    for dim in (1, 2, 3) * options.shapes:
        x, kernel, mode = random_case(rng, dim)
        calls = functions(x, kernel, mode)
        check(calls)
        times = seconds(calls, options.rounds)
        ours = times.pop("eyespot")
        best = min(times, key=times.__getitem__)
        ratios.append(ours / times[best])
        sizes = f"{'x'.join(map(str, x.shape)):>15} * {'x'.join(map(str, kernel.shape)):<9} {mode:5}"
        print(f"{sizes} {ours * 1e6:9.1f} us, {ratios[-1]:5.2f} of the time of {best}", flush=True)
    slower = sum(ratio > 1.1 for ratio in ratios)
    print(
        f"time relative to SciPy's fastest: geometric mean {geometric_mean(ratios):.2f}, median {median(ratios):.2f}, "
        f"largest {max(ratios):.2f}, {slower} of {len(ratios)} above 1.1"
    )


if __name__ == "__main__":
    main()
