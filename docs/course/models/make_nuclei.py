"""Train a U-Net, the same one without skip connections, and an FC-DenseNet on microscope images of nuclei, for page 13.

    python docs/course/models/make_nuclei.py nuclei

`nuclei` is a folder of images of BBBC038 (Kaggle's Data Science Bowl 2018): ID/images/ID.png, and a file per nucleus in
ID/masks. Used are the 22 grey ones of at most 700 pixels: fluorescence, without stained tissue and embryos. Each third in
the order of names is for validation, 7 images, and of each the three windows of 96 x 96 with the most pixels at borders.

Writes nuclei.json beside this file: numbers only, no image and no weights. n = 3: seeds 0, 1 and 2. Made on one core of an
AMD EPYC that other programs shared.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from make_cells import BATCH, NETWORKS, RATE, SEEDS, SIDE, STEPS, make
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion
from torch import Tensor, nn

from eyespot.files import write_file

HERE = Path(__file__).parent
WINDOW = 96
WINDOWS = 3
Pair = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def stretched(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The 1% darkest pixels become 0 and the 0.5% brightest 255: exposures differ by a factor of ten."""
    low, high = np.percentile(image, (1, 99.5))
    return np.clip((image - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)


def read(folder: Path) -> tuple[list[Pair], list[Pair], list[str]]:
    """(image, mask) of the training and of the validation images, and the names of the latter."""
    pairs = {}
    for place in sorted(path.parent for path in folder.rglob("images") if path.is_dir()):
        colours = np.asarray(Image.open(place / "images" / f"{place.name}.png").convert("RGB"))
        if np.ptp(colours, axis=2).max() > 0 or max(colours.shape) > 700:
            continue
        masks = [np.asarray(Image.open(path)) > 0 for path in (place / "masks").iterdir()]
        pairs[place.name] = (stretched(colours[..., 0]), np.any(masks, axis=0))
    names = sorted(pairs)
    validation = names[1::3]
    return [pairs[n] for n in names if n not in validation], [pairs[n] for n in validation], validation


def borders(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of (B, H, W) masks within two pixels of a border of a mask."""
    square = np.ones((1, 5, 5), bool)
    inside = np.asarray(binary_erosion(masks, square, border_value=1), bool)
    return np.asarray(binary_dilation(masks, square), bool) & ~inside


def windows(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> list[Pair]:
    """Of the windows side by side, those with the most pixels at borders."""
    edge = borders(mask[None])[0]
    height, width = mask.shape
    corners = [
        (slice(i, i + WINDOW), slice(j, j + WINDOW))
        for i in range(0, height - WINDOW + 1, WINDOW)
        for j in range(0, width - WINDOW + 1, WINDOW)
    ]
    corners.sort(key=lambda place: -edge[place].sum())
    return [(image[place], mask[place]) for place in corners[:WINDOWS]]


def scaled(images: NDArray[np.uint8]) -> Tensor:
    """(..., H, W) uint8 -> float32, about from -1 to 2."""
    return torch.from_numpy(images.astype(np.float32) - 60) / 90


def crop(pairs: list[Pair]) -> tuple[Tensor, Tensor]:
    """A square of a random image around a random pixel of a nucleus, often turned or mirrored."""
    image, mask = pairs[int(torch.randint(len(pairs), ()))]
    rows, columns = np.nonzero(mask)
    centre = int(torch.randint(len(rows), ()))
    shift = torch.randint(SIDE, (2,)).tolist()
    i = min(max(rows[centre] - shift[0], 0), mask.shape[0] - SIDE)
    j = min(max(columns[centre] - shift[1], 0), mask.shape[1] - SIDE)
    place = (slice(i, i + SIDE), slice(j, j + SIDE))
    both = torch.stack([scaled(image[place]), torch.from_numpy(mask[place]).float()])
    both = both.rot90(int(torch.randint(4, ())), (1, 2))
    both = both.flip(2) if torch.rand(()) < 0.5 else both
    return both[:1], both[1].long()


def train(name: str, seed: int, pairs: list[Pair]) -> nn.Module:
    torch.manual_seed(seed)
    network = make(name)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        crops = [crop(pairs) for _ in range(BATCH)]
        images = torch.stack([image for image, _ in crops])
        masks = torch.stack([mask for _, mask in crops])
        loss = F.cross_entropy(network(images), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def dice(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum())


@torch.no_grad()
def measure(network: nn.Module, images: NDArray[np.uint8], truth: NDArray[np.bool_]) -> dict[str, object]:
    """Dice and the shares of wrong pixels near borders and elsewhere, of all windows and of those of each image."""
    predicted = torch.cat([network(x[None, None]).argmax(1) for x in scaled(images)]).numpy().astype(bool)
    border = borders(truth)
    wrong = predicted != truth
    of_images = [slice(i, i + WINDOWS) for i in range(0, len(images), WINDOWS)]
    return {
        "dice": round(float(dice(predicted, truth)), 4),
        "wrong_at_borders": round(float(wrong[border].mean()), 4),
        "wrong_elsewhere": round(float(wrong[~border].mean()), 4),
        "dice_of_images": [round(float(dice(predicted[s], truth[s])), 4) for s in of_images],
        "wrong_at_borders_of_images": [round(float(wrong[s][border[s]].mean()), 4) for s in of_images],
    }


def best_threshold(images: NDArray[np.uint8], truth: NDArray[np.bool_]) -> dict[str, float]:
    """The threshold with the largest Dice for these very windows: a rival without training, and with an advantage."""
    of_levels = [dice(images > level, truth) for level in range(255)]
    level = int(np.argmax(of_levels))
    return {"level": level, "dice": round(float(of_levels[level]), 4)}


def main() -> None:
    training, validation, names = read(Path(sys.argv[1]))
    pairs = [pair for image, mask in validation for pair in windows(image, mask)]
    images = np.stack([image for image, _ in pairs])
    truth = np.stack([mask for _, mask in pairs])
    runs = []
    for seed in SEEDS:
        for name in NETWORKS:
            network = train(name, seed, training)
            parameters = sum(p.numel() for p in network.parameters())
            runs.append(
                {"network": name, "seed": seed, "parameters": parameters, **measure(network, images, truth)}
            )
            print(runs[-1], f"{time.process_time():.0f} s of CPU so far", flush=True)
    numbers = {
        "command": "python docs/course/models/make_nuclei.py nuclei",
        "data": "BBBC038, 22 fluorescence images: 15 for training; of 7 for validation 3 windows of 96 x 96 each",
        "validation": [name[:8] for name in names],
        "steps": STEPS,
        "cpu_seconds": round(time.process_time()),
        "best_threshold": best_threshold(images, truth),
        "runs": runs,
    }
    write_file(HERE / "nuclei.json", json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
