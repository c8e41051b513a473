"""A segmentation network on an image larger than memory: peak memory, and speed compared with the network alone.

The generated image is read from an uncompressed TIFF; a U-Net with random weights predicts it into a compressed TIFF.
After some tiles the network runs once more on the same tile in memory; the ratio compares the two sums of seconds.

    python benchmarks/tiles.py --limit 1150
    OMP_NUM_THREADS=1 python benchmarks/tiles.py --side 7000 --limit 1150 --every 1

The results are in docs/results.md.
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
from eyespot.prediction.network_facts import network_facts  # noqa: E402
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
    """The peak of resident memory since it was created, sampled every 20 ms."""

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
    """Wall-clock and processor seconds."""
    return np.array([perf_counter(), process_time()])


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=20_000, help="side of the image in pixels")
    parser.add_argument("--width", type=int, default=8, help="channels of the first level")
    parser.add_argument("--levels", type=int, default=5, help="levels of the U-Net")
    parser.add_argument("--limit", type=int, default=1000, help="memory budget in MB")
    parser.add_argument(
        "--every", type=int, default=8, help="run the network alone after every so many tiles"
    )
    options = parser.parse_args()
    torch.manual_seed(0)
    network = create("unet_bn", channels=1, classes=3, width=options.width, levels=options.levels).eval()
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    seen: list[int] = []  # pixels of each tile, overlap included
    again: list[np.ndarray] = []  # seconds and pixels of the network alone

    def ask(x: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(x)[0]

    def logits(window: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(window).float().movedim(-1, 0)[None] / 255 - 0.5
        y = ask(x)
        seen.append(x.numel())
        if len(seen) % options.every == 1 or options.every == 1:
            del y
            start = clocks()
            y = ask(x)
            again.append(np.append(clocks() - start, x.numel()))
        return y.numpy()

    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "image.tif", Path(folder) / "labels.tif"
        make(path, options.side)
        loaded = resident()
        print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
        peak = Peak()
        planned = plan(network_facts(network), (options.side, options.side), options.limit << 20)
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
            f"predicted mask of {out.stat().st_size / 1e6:.0f} MB, read back: {tifffile.TiffFile(out).pages.first.shape}"
        )
    print(
        f"peak {(most - START) / 1e9:.2f} GB above the start of the process, {(most - loaded) / 1e9:.2f} GB above what was "
        f"loaded; predicted {planned.bytes / 1e9:.2f} GB"
    )
    for what, seconds, alone in zip(("clock", "processor"), taken - own, own, strict=True):
        rate, whole = pixels / alone, side**2 / seconds
        print(
            f"{what}: {side} x {side} in {seconds:.0f} s, {whole / 1e6:.3f} million pixels per second; the network alone on"
        )
        print(
            f"  {len(again)} tiles in memory {rate / 1e6:.3f}, overlap counted; the whole image runs at",
            end=" ",
        )
        print(f"{sum(seen) / seconds / rate:.3f} of that speed with overlap, {whole / rate:.3f} without")


if __name__ == "__main__":
    main()
