"""eyespot.convolution against SciPy over 60 random shapes in one to three dimensions, float64, zeros outside."""

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


def draw(rng: np.random.Generator, dim: int) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    """Sides and taps log-uniform and independent along each axis, no kernel wider than the image; a mode."""
    (low, high), (least, most) = RANGES[dim]
    shape = [int(low * (high / low) ** u) for u in rng.random(dim)]
    taps = [int(least * (min(most, n) / least) ** u) for n, u in zip(shape, rng.random(dim), strict=True)]
    return tuple(shape), tuple(taps), str(rng.choice(["full", "same", "valid"]))


def ndimage_convolve(x: np.ndarray, kernel: np.ndarray, mode: str) -> np.ndarray:
    """ndimage's answer, centred as SciPy's "same"; its centre is cropped for "valid"."""
    y = ndimage.convolve(x, kernel, mode="constant", origin=[-1 + k % 2 for k in kernel.shape])
    if mode == "valid":
        y = y[tuple(slice(k // 2, k // 2 + n - k + 1) for n, k in zip(x.shape, kernel.shape, strict=True))]
    return y


def contenders(x: np.ndarray, kernel: np.ndarray, mode: str) -> dict:
    """ndimage has no "full", and is left out where its sums would take most of a second."""
    ways = {
        "eyespot": lambda: convolve(x, kernel, mode=mode),
        "convolve": lambda: signal.convolve(x, kernel, mode),
        "oaconvolve": lambda: signal.oaconvolve(x, kernel, mode),
    }
    if mode != "full" and x.size * kernel.size < 5e8:
        ways["ndimage"] = lambda: ndimage_convolve(x, kernel, mode)
    return ways


def times(ways: dict, rounds: int) -> dict[str, float]:
    """Median seconds per call: every round calls each way in turn, often enough to last about 3 ms."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    calls = {}
    for name, way in ways.items():
        way()
        start = perf_counter()
        way()
        calls[name] = max(1, int(3e-3 / (perf_counter() - start)))
    for _ in range(rounds):
        for name, way in ways.items():
            start = perf_counter()
            for _ in range(calls[name]):
                way()
            seconds[name].append((perf_counter() - start) / calls[name])
    return {name: median(s) for name, s in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--each", type=int, default=20, help="shapes per number of axes")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    threads = os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))
    print(f"{platform.machine()}, {threads} threads, NumPy {np.__version__}, SciPy {scipy.__version__}")
    ratios = []
    for dim in RANGES:
        for _ in range(options.each):
            shape, taps, mode = draw(rng, dim)
            x, kernel = rng.normal(size=shape), rng.normal(size=taps)
            ways = contenders(x, kernel, mode)
            answers = [way() for way in ways.values()]
            worst = max(float(np.abs(a - answers[0]).max() / np.abs(answers[0]).max()) for a in answers)
            assert worst < 1e-12, (shape, taps, mode, worst)
            took = times(ways, options.rounds)
            ours = took.pop("eyespot")
            best = min(took, key=took.__getitem__)
            ratios.append(took[best] / ours)
            sizes = f"{'x'.join(map(str, shape)):>15} * {'x'.join(map(str, taps)):<9} {mode:5}"
            print(f"{sizes} {ours * 1e6:9.1f} us  {ratios[-1]:5.2f} times {best}", flush=True)
    mean = float(np.exp(np.mean(np.log(ratios))))
    print(
        f"geometric mean {mean:.2f} times as fast as the best of SciPy; slowest {1 / min(ratios):.2f} of its time"
    )


if __name__ == "__main__":
    main()
