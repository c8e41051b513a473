"""Seconds and memory of a training step (forward, loss, backward, optimiser), compared with other libraries.

    ENV/bin/python benchmarks/step.py --networks resnet18 unet_bn --peers torchvision monai --modes default tuned

eyespot and the other libraries are installed in the same environment. Classifiers take 224 x 224 pixels, batch 8;
U-Nets 256 x 256, batch 4; `small` and `small_w32` 32 x 32, batch 512.

Each network runs in a process of its own, and two take steps in turn: eyespot, the other, eyespot, the other. A ratio
is the other's seconds (or memory) over eyespot's, of two consecutive steps. The median is printed, and in brackets the
smallest and the largest. Memory is how much a fresh process grows (VmHWM) during its steps, compilation included. All
use the same fused SGD. The other library runs as in MODES, eyespot as `eyespot train` runs it. If the processor has no
bfloat16, both run in float32, eyespot with the precision "winograd" unless another is given. "plain" is eyespot
without compiled passes; use it with `--modes tuned`.

Equivalents of the U-Net with 31 M parameters: MONAI's BasicUNet with widths 64 to 1,024, batch norm and ReLU, whose
last up-convolution keeps 128 channels where ours halves them; and smp's Unet with a ResNet-34 encoder (24 M), a
different network that is much cheaper at full size.
"""

import argparse
import gc
import multiprocessing
import os
import platform
from collections.abc import Callable
from contextlib import contextmanager
from importlib.metadata import version
from math import exp, log
from multiprocessing.connection import Connection
from statistics import mean, median
from time import perf_counter

import torch
from torch import nn

from eyespot.config import PRECISIONS
from eyespot.devices import arithmetic, multiplies_bfloat16

CLASSIFIERS, UNETS = ("resnet18", "resnet50", "densenet121", "vgg16_bn"), ("unet_bn",)
SMALL = ("small", "small_w32")
PEERS = {"torchvision": CLASSIFIERS, "timm": CLASSIFIERS, "monai": UNETS, "smp": UNETS}
PEERS["plain"] = (*CLASSIFIERS, *UNETS, *SMALL)
HALF = "bfloat16" if multiplies_bfloat16("cpu") else "float32"
MODES = {  # of the other libraries: precision, channels_last, compiled
    "default": ("float32", torch.contiguous_format, False),
    "tuned": (HALF, torch.channels_last, False),
    "compiled": (HALF, torch.channels_last, True),
}
DISTRIBUTIONS = {"smp": "segmentation-models-pytorch"}
OURS, WARM_UP = "eyespot", 2
Setup = tuple[nn.Module, str, torch.memory_format]
"""A network, its precision, and the layout of its images."""


def ours(name: str, precision: str, compiled: bool = True) -> Setup:
    """The network as `eyespot train` runs it, with or without a C compiler."""
    import eyespot
    from eyespot.fast import keep_freed, use_compiled

    keep_freed()
    use_compiled(compiled)
    network = eyespot.create(name).train().to(memory_format=torch.channels_last)
    if name in SMALL:
        network.stem.requires_grad_(False)  # whitened, and fixed
    return network, precision, torch.channels_last


def peers(peer: str, name: str, mode: str) -> Setup:
    precision, layout, compiled = MODES[mode]
    if peer == "plain":
        return ours(name, precision, compiled=False)
    network = build(peer, name).train().to(memory_format=layout)
    return (torch.compile(network) if compiled else network), precision, layout  # type: ignore[return-value]


def build(peer: str, name: str) -> nn.Module:
    if peer == "torchvision":
        import torchvision

        return getattr(torchvision.models, name)()
    if peer == "timm":
        import timm

        return timm.create_model(name)
    if peer == "monai":
        from monai.networks.nets import BasicUNet

        features, act = (64, 128, 256, 512, 1024, 64), ("relu", {"inplace": True})
        return BasicUNet(2, in_channels=3, out_channels=2, features=features, act=act, norm="batch")
    import segmentation_models_pytorch as smp

    return smp.Unet("resnet34", encoder_weights=None, in_channels=3, classes=2)


def step_of(setup: Setup, batch: int, name: str) -> Callable[[], None]:
    """One training step, as a function that can be called repeatedly."""
    network, precision, layout = setup
    side, classes, places = (256, 2, (256, 256)) if name in UNETS else (224, 1000, ())
    side, classes = (32, 10) if name in SMALL else (side, classes)
    x = torch.randn(batch, 3, side, side).to(memory_format=layout)
    target = torch.randint(classes, (batch, *places))
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, fused=True)
    return lambda: take_step(network, optimizer, x, target, precision)


def take_step(network: nn.Module, optimizer, x: torch.Tensor, target: torch.Tensor, precision: str) -> None:
    """Forward, loss, backward, optimiser."""
    optimizer.zero_grad()
    with arithmetic("cpu", precision):
        logits = network(x)
    nn.functional.cross_entropy(logits.float(), target).backward()
    optimizer.step()


def resident(field: str) -> float:
    """Memory of this process in MB: VmRSS is the present value, VmHWM the peak."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(field))


def work(line: Connection, who: str, name: str, how: str, batch: int, threads: int) -> None:
    """In a process of its own: send the number of parameters; then for each request take a step, send seconds and MB."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)

    def setup() -> Setup:
        return ours(name, how) if who == OURS else peers(who, name, how)

    nn.Conv2d(3, 3, 3)(torch.zeros(1, 3, 8, 8)).sum().backward()  # torch initialises its libraries
    line.send(sum(p.numel() for p in setup()[0].parameters()))  # imports its modules; its memory is freed
    gc.collect()
    before, step = resident("VmRSS"), step_of(setup(), batch, name)
    while line.recv():
        start = perf_counter()
        step()
        line.send((perf_counter() - start, resident("VmHWM") - before))


@contextmanager
def started(target: Callable, *arguments):
    """A connection to a new process that runs target(connection, *arguments)."""
    context = multiprocessing.get_context("spawn")
    line, other = context.Pipe()
    process = context.Process(target=target, args=(other, *arguments), daemon=True)
    process.start()
    other.close()  # so that reading ends if the process dies
    yield line
    process.join()


@contextmanager
def worker(o: argparse.Namespace, who: str, name: str, how: str):
    """The number of parameters, and a function that takes a step and returns its seconds and MB."""
    batch = o.batch or (4 if name in UNETS else 512 if name in SMALL else 8)
    with started(work, who, name, how, batch, o.threads) as line:

        def take() -> tuple[float, float]:
            line.send(True)
            return line.recv()

        parameters = line.recv()
        for _ in range(WARM_UP):
            take()
        yield parameters, take
        line.send(False)


def compare(o: argparse.Namespace, take, name: str, peer: str, mode: str) -> tuple[float, float]:
    """Print a line; returns the ratios of time and memory."""
    with worker(o, peer, name, mode) as (parameters, take_peer):
        rounds = [(take(), take_peer()) for _ in range(o.rounds)]
    ratios = [theirs[0] / mine[0] for mine, theirs in rounds]
    mine, theirs = ([median(r[who][0] for r in rounds), rounds[-1][who][1]] for who in (0, 1))
    memory = theirs[1] / mine[1]
    spread = f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    print(
        f"{name:12} {peer:12} {mode:9} {parameters / 1e6:6.1f} M {mine[0]:7.3f} {theirs[0]:7.3f} s  {spread:18}"
        f"{mine[1]:6.0f} {theirs[1]:6.0f} MB  {memory:.2f}",
        flush=True,
    )
    return median(ratios), memory


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--networks", nargs="+", choices=[*CLASSIFIERS, *UNETS, *SMALL], default=[*CLASSIFIERS, *UNETS]
    )
    parser.add_argument(
        "--peers", nargs="+", choices=list(PEERS), default=["torchvision", "monai", "smp"], help="libraries"
    )
    parser.add_argument(
        "--modes", nargs="+", choices=list(MODES), default=["default", "tuned"], help="how they run"
    )
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds")
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument("--batch", type=int, help="images per step; as described above if not given")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="winograd" if HALF == "float32" else "im2col",
        help="eyespot's precision",
    )
    o = parser.parse_args()
    results: dict[str, list[tuple[float, float]]] = {mode: [] for mode in o.modes}
    versions = ", ".join(
        f"{p} {version(DISTRIBUTIONS.get(p, p))}" for p in ("torch", *o.peers) if p != "plain"
    )
    print(
        f"{platform.machine()}, eyespot in {o.precision}, {o.threads} threads of {os.cpu_count()}, {versions}, {o.rounds} rounds"
    )
    print(f"{'network':12} {'peer':12} {'mode':9} {'size':>8} {'eyespot':>7} {'peer':>7}", end="")
    print(f"    {'ratio':18}{'eyespot':>7} {'peer':>6}     ratio")
    for name in o.networks:
        with worker(o, OURS, name, o.precision) as (_, take):
            for peer in (p for p in o.peers if name in PEERS[p]):
                for mode in o.modes:
                    results[mode].append(compare(o, take, name, peer, mode))
    for mode, ratios in results.items():
        if ratios:
            times, memories = (exp(mean(log(r[i]) for r in ratios)) for i in (0, 1))
            print(
                f"all {len(ratios)}, {mode}: the others take {times:.2f} of eyespot's time, {memories:.2f} of its memory (geometric mean)"
            )


if __name__ == "__main__":
    main()
