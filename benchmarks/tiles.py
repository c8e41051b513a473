"""A segmentation network over an image larger than memory: peak memory, and pixels per second against the network alone.

The image (made for it) is read from an uncompressed TIFF and answered by a U-Net with random weights into a compressed
one. After each tile the network runs once more on the same tile in memory; the ratio is of the two sums of seconds.

27 November 2026, two cores of an AMD EPYC (Zen 3), torch 2.13, U-Net with batch norm, width 8, depth 4:
    python benchmarks/tiles.py --limit 1150                     20,000 x 20,000, 100 tiles, 356 s: 0.932 of the network's
        pace on tiles, their borders counted, 0.790 without; peak 1.32 GB over the process's start and 1.06 GB over what was
        loaded, 1.12 GB stated
24 November 2026, on one of two cores of an AMD EPYC (Zen 4) that other work shared:
    OMP_NUM_THREADS=1 python benchmarks/tiles.py --side 7000 --limit 1150 --every 1
        0.945 of the network's pace on tiles with their borders, 0.807 without (processor); peak 0.82 GB, 0.84 GB stated
"""

import argparse
import os
import platform
import resource
import tempfile
import threading
from pathlib import Path
from time import perf_counter, process_time

START = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

import numpy as np  # noqa: E402
import tifffile  # noqa: E402
import torch  # noqa: E402

from eyespot.models import create  # noqa: E402
from eyespot.prediction.tiled_file import TiledFile  # noqa: E402
from eyespot.prediction.tiled_inference import maps, predict_map  # noqa: E402
from eyespot.prediction.tiles import plan  # noqa: E402
from eyespot.prediction.windows import open_windows  # noqa: E402


def make(path: Path, n: int) -> None:
    """Waves and noise, (n, n) uint8, written in strips."""
    rng, x = np.random.default_rng(0), np.arange(n)

    def strips():
        for top in range(0, n, 100):
            rows = np.arange(top, min(top + 100, n))[:, None]
            wave = 40 * np.sin(rows / 50) * np.sin(x / 70)
            yield (128 + wave + rng.integers(-40, 40, (len(rows), n))).astype(np.uint8)

    tifffile.imwrite(path, strips(), shape=(n, n), dtype=np.uint8, rowsperstrip=100, photometric="minisblack")


class Peak:
    """The most resident memory since it was made, looked at every 20 ms."""

    def __init__(self):
        self.most, self.going = resident(), True
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _watch(self) -> None:
        while self.going:
            self.most = max(self.most, resident())
            threading.Event().wait(0.02)

    def stop(self) -> int:
        self.going = False
        self.thread.join()
        return max(self.most, resident())


def clocks() -> np.ndarray:
    """Seconds of the clock and of the processor."""
    return np.array([perf_counter(), process_time()])


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--levels", type=int, default=5)
    parser.add_argument("--limit", type=int, default=1000, help="MB")
    parser.add_argument("--every", type=int, default=8, help="tiles after which the network runs alone")
    options = parser.parse_args()
    torch.manual_seed(0)
    network = create("unet_bn", channels=1, classes=3, width=options.width, levels=options.levels).eval()
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    seen: list[int] = []  # pixels of each tile, borders included
    again: list[np.ndarray] = []  # the same and the seconds of the network alone

    def ask(x: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(x)[0]

    def logits(window: np.ndarray) -> torch.Tensor:
        x = torch.from_numpy(window).float().movedim(-1, 0)[None] / 255 - 0.5
        y = ask(x)
        seen.append(x.numel())
        if len(seen) % options.every == 1 or options.every == 1:
            del y
            start = clocks()
            y = ask(x)
            again.append(np.append(clocks() - start, x.numel()))
        return y

    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "image.tif", Path(folder) / "labels.tif"
        make(path, options.side)
        loaded = resident()
        print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
        peak = Peak()
        planned = plan(network, 1, (options.side, options.side), options.limit << 20)
        print(planned, flush=True)
        image = open_windows(path, 2)
        start = clocks()
        with TiledFile(out, image.shape, np.uint8) as file:
            for top, band, _ in maps(predict_map(image, logits, planned), image.shape):
                file.add(top, band)
        taken, most = clocks() - start, peak.stop()
        *own, pixels = np.sum(again, axis=0)
        side = options.side
        print(
            f"answer of {out.stat().st_size / 1e6:.0f} MB read back: {tifffile.TiffFile(out).pages.first.shape}"
        )
    print(
        f"peak {(most - START) / 1e9:.2f} GB over the process's start, {(most - loaded) / 1e9:.2f} GB over what was "
        f"loaded; stated {planned.bytes / 1e9:.2f} GB"
    )
    for what, seconds, alone in zip(("clock", "processor"), taken - own, own, strict=True):
        rate, whole = pixels / alone, side**2 / seconds
        print(
            f"{what}: {side} x {side} in {seconds:.0f} s, {whole / 1e6:.3f} million pixels a second; the network alone on"
        )
        print(f"  {len(again)} tiles in memory {rate / 1e6:.3f}, borders counted; the whole keeps", end=" ")
        print(f"{sum(seen) / seconds / rate:.3f} of that with, {whole / rate:.3f} without the borders")


if __name__ == "__main__":
    main()
