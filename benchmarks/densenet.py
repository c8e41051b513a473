"""DenseNet-121 in training compared with torchvision's: peak memory and time per step, batch 8 at 224 x 224, SGD.

    python benchmarks/densenet.py

torchvision is installed in the same environment as eyespot. Both networks take steps in turn, each in a process of its
own: torchvision's with its defaults, eyespot's with activation checkpointing (docs/decisions/0014), kept freed memory
and, if there is a C compiler, compiled passes, as in `train`. "tensors" is torch's memory at the peak of a step, beyond
that before it; "resident" is how much a process grows (VmHWM) over two steps; "time" is the median.
"""

import argparse
import gc
import os
import platform
import sys
from collections.abc import Callable
from contextlib import ExitStack
from itertools import accumulate
from multiprocessing.connection import Connection
from statistics import median
from time import perf_counter

import torch
from step import resident, started, take_step
from torch import nn
from torch.profiler import ProfilerActivity, profile

from eyespot.fast import keep_freed, use_compiled

MODES = {  # precision and layout: bf16 by autocast, channels_last for parameters and images
    "float32, channels first": ("float32", torch.contiguous_format),
    "float32, channels last": ("float32", torch.channels_last),
    "bfloat16, channels last": ("bfloat16", torch.channels_last),
}
NETWORKS = {  # and whether its process keeps freed memory (eyespot.fast.keep_freed), as `eyespot train` does
    "eyespot": True,
    "torchvision": False,
}
ROWS = {"tensors": "MB", "resident": "MB", "time": "s"}


def build(network: str) -> nn.Module:
    if network == "eyespot":
        from eyespot.models import create

        use_compiled()
        return create("densenet121")
    from torchvision.models import densenet121

    return densenet121()


def step_of(network: str, mode: str) -> Callable[[], None]:
    """One training step of a new network, as a function that can be called repeatedly."""
    precision, layout = MODES[mode]
    torch.manual_seed(0)
    model = build(network).train().to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    x, target = torch.randn(8, 3, 224, 224).to(memory_format=layout), torch.randint(1000, (8,))
    return lambda: take_step(model, optimizer, x, target, precision)


def tensors_at_peak(step: Callable[[], None]) -> float:
    """MB of tensors at the peak of a step, beyond those before it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
    changes = [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
    return max(accumulate(changes)) / 2**20


def work(line: Connection, network: str, mode: str, threads: int, keep: bool) -> None:
    """In a process of its own: for each request take a step, send its seconds and the growth of the process; at the end
    send the memory of tensors at the peak."""
    torch.set_num_threads(threads)
    nn.Conv2d(3, 3, 3)(torch.zeros(1, 3, 8, 8)).sum().backward()  # torch initialises its libraries
    build(network)  # imports its modules; its memory is freed
    gc.collect()
    before = resident("VmRSS")
    if keep:
        keep_freed()
    step = step_of(network, mode)
    while line.recv():
        start = perf_counter()
        step()
        line.send((perf_counter() - start, resident("VmHWM") - before))
    line.send(tensors_at_peak(step))


def ask(line: Connection, more: bool):
    line.send(more)
    return line.recv()


def compare(mode: str, rounds: int, threads: int, kept: dict[str, bool]) -> dict[str, list[float]]:
    """For each network: memory of tensors, growth of its process over two steps, and median seconds of a step."""
    measured: dict[str, list[float]] = {row: [] for row in ROWS}
    with ExitStack() as stack:
        lines = [stack.enter_context(started(work, n, mode, threads, keep)) for n, keep in kept.items()]
        steps = [[ask(line, True) for line in lines] for _ in range(rounds + 2)]
        for line, taken in zip(lines, zip(*steps, strict=True), strict=True):
            measured["time"].append(median(seconds for seconds, _ in taken[2:]))
            measured["resident"].append(taken[1][1])
            measured["tensors"].append(ask(line, False))
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="timed steps of each network")
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument(
        "--modes", nargs="+", choices=list(MODES), default=list(MODES), help="precision and layout"
    )
    parser.add_argument(
        "--keep-both", action="store_true", help="keep freed memory in torchvision's process too"
    )
    options = parser.parse_args()
    try:
        import torchvision
    except ImportError:
        sys.exit(
            "this benchmark compares with torchvision: install torchvision in the environment of eyespot"
        )
    version = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    print(f"{platform.machine()}, {options.threads} threads of {os.cpu_count()}, {version}")
    print(f"{'':34} {'eyespot':>8} {'torchvision':>8}")
    kept = {name: keep or options.keep_both for name, keep in NETWORKS.items()}
    for mode in options.modes:
        for row, (mine, theirs) in compare(mode, options.rounds, options.threads, kept).items():
            print(
                f"{mode:25} {row:8} {mine:8.2f} {theirs:8.2f} {ROWS[row]:2}  ratio {mine / theirs:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
