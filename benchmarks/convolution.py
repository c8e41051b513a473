"""eyespot.convolution compared with SciPy: 60 random shapes in one to three dimensions, float64, zero boundary."""

import argparse
import os
import platform
from statistics import median
from time import perf_counter

import numpy as np
import scipy
from scipy import ndimage, signal

from eyespot.convolution import convolve

RANGES = {1: ((128, 1 << 20), (2, 1024)), 2: ((16, 1024), (2, 32)), 3: ((8, 128), (2, 10))}


def random_shape(rng: np.random.Generator, dim: int) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    """Log-uniform image and kernel sizes, independent for each axis, and a mode. No kernel is larger than the image."""
    (low, high), (least, most) = RANGES[dim]
    shape = [int(low * (high / low) ** u) for u in rng.random(dim)]
    taps = [int(least * (min(most, n) / least) ** u) for n, u in zip(shape, rng.random(dim), strict=True)]
    return tuple(shape), tuple(taps), str(rng.choice(["full", "same", "valid"]))


def ndimage_convolve(x: np.ndarray, kernel: np.ndarray, mode: str) -> np.ndarray:
    """The result of ndimage, centred as SciPy's "same"; for "valid" its centre is cropped."""
    y = ndimage.convolve(x, kernel, mode="constant", origin=[-1 + k % 2 for k in kernel.shape])
    if mode == "valid":
        y = y[tuple(slice(k // 2, k // 2 + n - k + 1) for n, k in zip(x.shape, kernel.shape, strict=True))]
    return y


def contenders(x: np.ndarray, kernel: np.ndarray, mode: str) -> dict:
    """The functions to compare. ndimage has no "full" mode, and is skipped if it would take most of a second."""
    functions = {
        "eyespot": lambda: convolve(x, kernel, mode=mode),
        "convolve": lambda: signal.convolve(x, kernel, mode),
        "oaconvolve": lambda: signal.oaconvolve(x, kernel, mode),
    }
    if mode != "full" and x.size * kernel.size < 5e8:
        functions["ndimage"] = lambda: ndimage_convolve(x, kernel, mode)
    return functions


def times(functions: dict, rounds: int) -> dict[str, float]:
    """Median seconds per call. Each round calls every function in turn, repeated for about 3 ms."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    calls = {}
    for name, function in functions.items():
        function()
        start = perf_counter()
        function()
        calls[name] = max(1, int(3e-3 / (perf_counter() - start)))
    for _ in range(rounds):
        for name, function in functions.items():
            start = perf_counter()
            for _ in range(calls[name]):
                function()
            seconds[name].append((perf_counter() - start) / calls[name])
    return {name: median(s) for name, s in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds")
    parser.add_argument("--seed", type=int, default=6, help="seed of the shapes")
    parser.add_argument("--each", type=int, default=20, help="shapes per number of dimensions")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    threads = os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))
    print(f"{platform.machine()}, {threads} threads, NumPy {np.__version__}, SciPy {scipy.__version__}")
    ratios = []
    for dim in RANGES:
        for _ in range(options.each):
            shape, taps, mode = random_shape(rng, dim)
            x, kernel = rng.normal(size=shape), rng.normal(size=taps)
            functions = contenders(x, kernel, mode)
            results = [function() for function in functions.values()]
            worst = max(float(np.abs(y - results[0]).max() / np.abs(results[0]).max()) for y in results)
            assert worst < 1e-12, (shape, taps, mode, worst)
            seconds = times(functions, options.rounds)
            ours = seconds.pop("eyespot")
            best = min(seconds, key=seconds.__getitem__)
            ratios.append(seconds[best] / ours)
            sizes = f"{'x'.join(map(str, shape)):>15} * {'x'.join(map(str, taps)):<9} {mode:5}"
            print(f"{sizes} {ours * 1e6:9.1f} us  {ratios[-1]:5.2f} times as fast as {best}", flush=True)
    mean = float(np.exp(np.mean(np.log(ratios))))
    print(
        f"geometric mean {mean:.2f} times as fast as the best of SciPy; slowest shape {1 / min(ratios):.2f} times its time"
    )


if __name__ == "__main__":
    main()
