"""DenseNet-121 in training against torchvision's: peak memory and time per step, batch 8 at 224 x 224, SGD.

`python benchmarks/densenet.py` where torchvision is installed beside eyespot. On 2 shared cores of a Zen 4 (AMD EPYC),
2 threads, 24 November 2026, `--rounds 5 --repeats 1`, beside other programs:

                                                eyespot torchvision
    float32, channels first   memory as it is    674.57  1248.29 MB  ratio 0.54
    float32, channels first   memory, no holes   483.62  1070.77 MB  ratio 0.45
    float32, channels first   time                 1.50     1.60 s   ratio 0.94
    float32, channels last    memory as it is    564.45  1139.95 MB  ratio 0.50
    float32, channels last    memory, no holes   483.58  1071.39 MB  ratio 0.45
    float32, channels last    time                 4.91     4.35 s   ratio 1.13
    bfloat16, channels last   memory as it is    409.22   619.03 MB  ratio 0.66
    bfloat16, channels last   memory, no holes   332.60   597.34 MB  ratio 0.56
    bfloat16, channels last   time                 1.12     0.95 s   ratio 1.18

Memory is the growth of the resident size (VmHWM) of a fresh process over two steps.
"""

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
from step import resident, take_step
from torch import nn

WAYS = {  # precision and layout: bf16 by autocast, channels_last for parameters and images
    "float32, channels first": (False, torch.contiguous_format),
    "float32, channels last": (False, torch.channels_last),
    "bfloat16, channels last": (True, torch.channels_last),
}
# glibc keeps freed memory for later, with holes in it; told so, it gives all but the smallest pieces back at once.
TIGHT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
NETWORKS = ("eyespot", "torchvision")


def build(network: str) -> nn.Module:
    if network == "eyespot":
        from eyespot.models import create

        return create("densenet121")
    from torchvision.models import densenet121

    return densenet121()


def step_of(network: str, way: str) -> Callable[[], None]:
    """One training step of a new network, as a function to call again and again."""
    half, layout = WAYS[way]
    torch.manual_seed(0)
    model = build(network).train().to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    x, target = torch.randn(8, 3, 224, 224).to(memory_format=layout), torch.randint(1000, (8,))
    return lambda: take_step(model, optimizer, x, target, half)


def print_peak(network: str, way: str) -> None:
    """How far the process grows, from before the network is made, over two steps."""
    nn.Conv2d(3, 3, 3)(torch.zeros(1, 3, 8, 8)).sum().backward()  # what torch sets up once
    build(network)  # its modules are imported; its memory is given back
    before = resident("VmRSS")
    step = step_of(network, way)
    step()
    step()
    print(resident("VmHWM") - before)


def peak(network: str, way: str, threads: int, tight: bool) -> float:
    command = [sys.executable, __file__, "--threads", str(threads), "--peak", network, way]
    environment = os.environ | (TIGHT if tight else {})
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def times(way: str, rounds: int) -> dict[str, float]:
    """Median seconds per step: each round takes one step of each network in turn."""
    steps = {network: step_of(network, way) for network in NETWORKS}
    seconds: dict[str, list[float]] = {network: [] for network in NETWORKS}
    for i in range(rounds + 1):
        for network, step in steps.items():
            start = perf_counter()
            step()
            if i:  # the first is a warm-up
                seconds[network].append(perf_counter() - start)
    return {network: median(s) for network, s in seconds.items()}


def show(way: str, what: str, unit: str, found: dict[str, float]) -> None:
    ours, theirs = (found[network] for network in NETWORKS)
    print(f"{way:25} {what:16} {ours:8.2f} {theirs:8.2f} {unit:2}  ratio {ours / theirs:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="steps of each network that are timed")
    parser.add_argument("--repeats", type=int, default=3, help="fresh processes per peak")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak", nargs=2, metavar=("NETWORK", "WAY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        return print_peak(*options.peak)
    try:
        import torchvision
    except ImportError:
        sys.exit("this benchmark compares with torchvision: pip install torchvision beside eyespot")
    version = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    print(f"{platform.machine()}, {options.threads} threads of {os.cpu_count()}, {version}")
    print(f"{'':42} {'eyespot':>8} {'torchvision':>8}")
    for way in WAYS:
        for what, tight in (("memory as it is", False), ("memory, no holes", True)):
            again = range(options.repeats)
            peaks = {n: median(peak(n, way, options.threads, tight) for _ in again) for n in NETWORKS}
            show(way, what, "MB", peaks)
        show(way, "time", "s", times(way, options.rounds))


if __name__ == "__main__":
    main()
