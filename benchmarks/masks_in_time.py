"""Segmentation after the same minutes, on the same test images: eyespot and segmentation_models_pytorch (smp).

DATA has images/ and masks/ with the same names, and a value per class. smp is smp.Unet("resnet34") without pretrained
weights, trained as its users would: crops of 256, batches of 8, AdamW with one cycle of the learning rate, Dice +
cross-entropy, flips and turns (--photo: flips, brightness, contrast, saturation), in the fastest of float32 or bfloat16
(if the processor has it), contiguous or channels_last. Both read, train and predict the test images within the
minutes; eyespot's masks are written by a second prediction, which is timed separately. smp trains on all other images,
of which eyespot uses a fifth for validation. If both run, they run at the same time on one core each: compare their CPU
seconds. smp may have a Python of its own (--smp), as eyespot may (--eyespot):

    ENV/bin/python benchmarks/masks_in_time.py isbi-em-train --minutes 20 --held-out 6 --cores 0 1

ISBI 2012, 24 slices of 512 x 512, six for testing. CamVid, trained on its drives 0001TP and 0006R0 (163 images), tested
on the 101 images of camvid-val, all of the drive 0016E5, whose other 204 images, in camvid-train, are not used. 11
classes, 11 is ignored. Each alone on two cores:

    CAMVID="camvid-train camvid-val --hold camvid-val/ --leave-out camvid-train/.*0016E5 --void 11 --photo --minutes 30"
    ENV/bin/python benchmarks/masks_in_time.py $CAMVID --who eyespot
    ENV/bin/python benchmarks/masks_in_time.py $CAMVID --who eyespot --model fcdensenet56
    ENV/bin/python benchmarks/masks_in_time.py $CAMVID --who smp

The results are in docs/results.md.
"""

import argparse
import csv
import math
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from time import time

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

VOID, CROP, BATCH, RATE = 255, 256, 8, 1e-3
PRECISIONS = [torch.bfloat16] * torch.cpu._is_avx512_bf16_supported() + [torch.float32]
SETUPS = list(product(PRECISIONS, (torch.channels_last, torch.contiguous_format)))
TITLES = {"mean_iou": "mean IoU", "pixel_error": "pixel error", "v_rand": "V-Rand", "v_info": "V-Info"}
TITLES |= {"adapted_rand_error": "adapted Rand error", "pixel_accuracy": "pixel accuracy"}


def write_table(o: argparse.Namespace, table: Path) -> None:
    images = [p for folder in o.data for p in sorted((folder / "images").iterdir())]
    images = [p for p in images if not (o.leave_out and re.search(o.leave_out, p.as_posix()))]
    test = {p for p in images if re.search(o.hold, p.as_posix())} if o.hold else set(images[-o.held_out :])
    rows = []
    for p in images:
        mask = next((p.parent.parent / "masks").glob(f"{p.stem}.*"))
        rows.append((p.resolve(), mask.resolve(), "test" if p in test else "train"))
    print(f"{len(images) - len(test)} training images, {len(test)} test images", flush=True)
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "mask", "split"), *rows])


def pairs(table: Path, split: str) -> list[tuple[Path, Path]]:
    with table.open(newline="") as file:
        return [(Path(r["path"]), Path(r["mask"])) for r in csv.DictReader(file) if r["split"] == split]


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def values_of(table: Path, void: str) -> np.ndarray:
    """The values of the classes in all masks, in order."""
    masks = (mask for split in ("train", "test") for _, mask in pairs(table, split))
    present = set().union(*(np.unique(read(mask)).tolist() for mask in masks))
    values = np.array(sorted(present - {None if void == "none" else int(void)}))
    return values.astype(np.min_scalar_type(values.max()))


def labels_of(values: np.ndarray, classes: np.ndarray, void: int) -> np.ndarray:
    """Values of a mask -> class numbers; `void` for other values."""
    place = np.searchsorted(classes, values).clip(max=len(classes) - 1)
    return np.where(classes[place] == values, place, void)


def channels_first(pixels: np.ndarray) -> torch.Tensor:
    x = torch.from_numpy(pixels.astype(np.float32))
    return x[None] if x.ndim == 2 else x.permute(2, 0, 1)


def augmented(x: torch.Tensor, y: torch.Tensor, photo: bool, rng: np.random.Generator) -> tuple:
    """A crop (C, S, S), normalised, and its labels (S, S)."""
    if rng.random() < 0.5:
        x, y = x.flip(-1), y.flip(-1)
    if photo:
        light, contrast, saturation = rng.uniform(-0.3, 0.3, 3).tolist()
        x = x.mean() + light + (x - x.mean()) * (1 + contrast)
        grey = x.mean(0, keepdim=True)
        return grey + (x - grey) * (1 + saturation), y
    turns = int(rng.integers(4))
    return x.rot90(turns, (-2, -1)), y.rot90(turns, (-2, -1))


def batch_of(xs: list, ys: list, side: int, photo: bool, rng: np.random.Generator) -> tuple:
    crops = []
    for i in rng.integers(len(xs), size=BATCH):
        top, left = (int(rng.integers(n - side + 1)) for n in ys[i].shape)
        box = (..., slice(top, top + side), slice(left, left + side))
        crops.append(augmented(xs[i][box], ys[i][box], photo, rng))
    return torch.stack([x for x, _ in crops]), torch.stack([y for _, y in crops])


def forward(net: torch.nn.Module, x: torch.Tensor, setup: tuple) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=setup[0] == torch.bfloat16):
        return net(x.to(memory_format=setup[1])).float()


def train(net: torch.nn.Module, loss_of, tests: list[torch.Tensor], deadline: float) -> tuple:
    """Train until just enough time for predicting the tests is left, with the fastest of SETUPS after trying all."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE)
    start, step, last, after = time(), 0, 0.0, 0.0
    loss, seconds = torch.tensor(math.nan), [math.inf] * len(SETUPS)
    while (now := time()) + last < (end := deadline - after):
        turn = step // 2 if step < 2 * len(SETUPS) else seconds.index(min(seconds))
        net.to(memory_format=SETUPS[turn][1])
        done = (now - start) / (end - start)
        optimizer.param_groups[0]["lr"] = RATE * min(0.04 + 10 * done, 0.5 + 0.5 * math.cos(math.pi * done))
        loss = loss_of(SETUPS[turn])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step, last = step + 1, time() - now
        seconds[turn] = min(seconds[turn], last)
        if step == 1 or step % 40 == 2 * len(SETUPS) + 1:
            began, _ = time(), predict(net, tests[0], SETUPS[turn])
            after = 1.5 * len(tests) * (time() - began)
    net.to(memory_format=(setup := SETUPS[seconds.index(min(seconds))])[1])
    timings = ", ".join(f"{s:.2f} s {d} {m}" for s, (d, m) in zip(seconds, SETUPS, strict=True))
    print(f"{step} steps, at best {timings}; last loss {loss.item():.3f}", flush=True)
    return setup


@torch.inference_mode()
def predict(net: torch.nn.Module, x: torch.Tensor, setup: tuple) -> np.ndarray:
    height, width = x.shape[1:]
    padded = F.pad(x[None], (0, -width % 32, 0, -height % 32), mode="reflect")
    return forward(net.eval(), padded, setup)[0, :, :height, :width].argmax(0).numpy()


def worker(o: argparse.Namespace) -> None:
    """Train and predict until the time `o.worker`, in the folder `o.out`."""
    import segmentation_models_pytorch as smp

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(o.seed)
    rng, classes = np.random.default_rng(o.seed), values_of(table := o.out / "pairs.csv", o.void)
    xs = [channels_first(read(image)) for image, _ in pairs(table, "train")]
    ys = [torch.from_numpy(labels_of(read(m), classes, VOID)) for _, m in pairs(table, "train")]
    mean = torch.stack([x.mean((1, 2)) for x in xs]).mean(0)[:, None, None]
    std = torch.stack([((x - mean) ** 2).mean((1, 2)) for x in xs]).mean(0).sqrt()[:, None, None]
    xs = [(x - mean) / std for x in xs]
    tests = {p.stem: (channels_first(read(p)) - mean) / std for p, _ in pairs(table, "test")}
    side = min(CROP, *(n // 32 * 32 for y in ys for n in y.shape))
    net = smp.Unet("resnet34", encoder_weights=None, in_channels=len(xs[0]), classes=len(classes))
    dice = smp.losses.DiceLoss(mode="multiclass", ignore_index=VOID)

    def loss_of(setup: tuple) -> torch.Tensor:
        x, y = batch_of(xs, ys, side, o.photo, rng)
        return dice(z := forward(net.train(), x, setup), y) + F.cross_entropy(z, y, ignore_index=VOID)

    setup = train(net, loss_of, list(tests.values()), o.worker - 2)
    for name, x in tests.items():
        Image.fromarray(classes[predict(net, x, setup)]).save(o.out / "smp" / f"{name}.png")
    print(f"smp {smp.__version__}, {o.worker - time():.1f} s left", flush=True)


def timed(command: list, cores: list[int], log: Path) -> str:
    """Run a command on these cores; returns its wall-clock and CPU seconds. Its output goes to `log`."""
    pinned, start = ["taskset", "-c", ",".join(map(str, cores)), *map(str, command)], time()
    with log.open("a") as file:
        process = subprocess.Popen(pinned, stdout=file, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(pinned)} failed:\n{log.read_text()[-3000:]}")
    return f"{time() - start:.0f} s ({used.ru_utime + used.ru_stime:.0f} CPU)"


def run_smp(o: argparse.Namespace, out: Path, cores: list[int]) -> str:
    (out / "smp").mkdir()
    command = [o.smp, __file__, *o.data, "--worker", time() + 60 * o.minutes, "--out", out, "--seed", o.seed]
    return timed([*command, "--void", o.void, *["--photo"] * o.photo], cores, out / "smp.log")


def run_eyespot(o: argparse.Namespace, out: Path, cores: list[int]) -> str:
    eyespot = [o.eyespot] if o.eyespot else [sys.executable, "-m", "eyespot"]
    train_it = [*eyespot, "train", out / "pairs.csv", "--minutes", o.minutes, "--void", o.void]
    train_it += ["--model", o.model] if o.model else []
    within = timed([*train_it, "--seed", o.seed, "--out", out / "run"], cores, out / "eyespot.log")
    predict_them = [
        *eyespot,
        "predict",
        out / "run",
        *(image for image, _ in pairs(out / "pairs.csv", "test")),
    ]
    return f"{within}, then {timed([*predict_them, '--out', out / 'eyespot'], cores, out / 'eyespot.log')}"


def scored(table: Path, predicted: Path, void: str) -> dict[str, str]:
    """Metrics of the masks in a folder, by eyespot."""
    from eyespot import labels
    from eyespot.metrics import instances as partition
    from eyespot.metrics import masks as overlap
    from eyespot.metrics.intervals import percent

    classes, counts, objects = values_of(table, void), [], []
    for image, mask in pairs(table, "test"):
        files = mask, next(predicted.glob(f"{image.stem}.*"))
        truth, predicted_labels = (labels_of(read(file), classes, labels.VOID) for file in files)
        counts.append(overlap.count(truth, predicted_labels, len(classes)))
        if len(classes) == 2:
            objects.append(partition.compare(labels.components(truth), labels.components(predicted_labels)))
    result = overlap.score(counts, [str(v) for v in classes])
    result |= partition.score(objects) if objects else {}
    return {name: f"{percent(result[name])} n={result[name]['n']}" for name in TITLES if name in result}


def compare(o: argparse.Namespace, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_table(o, table := out / "pairs.csv")
    who = {"eyespot": run_eyespot, "smp": run_smp}
    who = who if o.who == "both" else {o.who: who[o.who]}
    shares = [[core] for core in o.cores] if len(who) > 1 else [o.cores]
    with ThreadPoolExecutor() as pool:
        ends = [pool.submit(run, o, out, share) for run, share in zip(who.values(), shares, strict=True)]
        rows = {"time": [end.result() for end in ends]}
    results = [scored(table, out / name, o.void) for name in who]
    rows |= {title: [r[name] for r in results] for name, title in TITLES.items() if name in results[0]}
    for title, cells in [("", list(who)), *rows.items()]:
        print(f"{title:<20}" + "".join(f"{cell:<36}" for cell in cells))
    if "smp" in who:
        print("smp:", (out / "smp.log").read_text().strip().replace("\n", "; "))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("data", type=Path, nargs="+", help="folders with images/ and masks/")
    parser.add_argument("--minutes", type=float, default=20, help="time limit")
    parser.add_argument("--held-out", type=int, default=6, help="number of test images, the last in order")
    parser.add_argument("--hold", help="instead, test images are those whose paths match this pattern")
    parser.add_argument("--leave-out", help="do not use images whose paths match this pattern")
    parser.add_argument("--model", help="eyespot's network; its own choice if not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--void", type=str.lower, default="none", help="mask value to ignore, or none")
    parser.add_argument("--cores", type=int, nargs="+", default=[0, 1], help="processor cores")
    parser.add_argument("--who", choices=["smp", "eyespot", "both"], default="both")
    parser.add_argument(
        "--photo", action="store_true", help="augment as photographs, not as microscope images"
    )
    parser.add_argument("--eyespot", help="command of eyespot; this Python's if not given")
    parser.add_argument("--smp", default=sys.executable, help="Python with smp")
    parser.add_argument("--out", type=Path, help="folder that keeps the run, the masks and the logs")
    parser.add_argument("--worker", type=float, help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.worker:
        return worker(o)
    with tempfile.TemporaryDirectory() as folder:
        compare(o, (o.out or Path(folder)).resolve())


if __name__ == "__main__":
    main()
