"""Train a U-Net, the same one without skip connections, and an FC-DenseNet on the built-in cells, for page 13.

    python docs/course/models/make_cells.py

Writes cells.json, and the weights of seed 0 as cells-unet.safetensors, cells-without-skips.safetensors and
cells-fcdensenet.safetensors beside this file. n = 3: seeds 0, 1 and 2; 48 images for training, 12 for the test. Made on
one core of an AMD EPYC that other programs shared; about three minutes of it.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save
from scipy.ndimage import binary_dilation, binary_erosion
from torch import Tensor, nn

import eyespot
from eyespot.data.sources.builtin import unpack
from eyespot.files import write_file

HERE = Path(__file__).parent
NETWORKS = {
    "unet": ("unet_bn", dict(channels=1, classes=2, width=8, levels=4)),
    "without-skips": ("unet_bn", dict(channels=1, classes=2, width=8, levels=4)),
    "fcdensenet": (
        "fcdensenet56",
        dict(channels=1, classes=2, depths=(3, 3, 3), bottom=3, growth=7, width=16, dropout=0.0),
    ),
}
SEEDS = (0, 1, 2)
STEPS = 160
BATCH = 8
SIDE = 64
TRAIN = 48
RATE = 0.004


def cells() -> tuple[Tensor, Tensor]:
    """60 images (B, 1, 128, 128) near mean 0 and variance 1, and their masks (B, 128, 128): 0 background, 1 cell."""
    folder = unpack("cells")
    images = [np.asarray(Image.open(p), np.float32) for p in sorted((folder / "images").iterdir())]
    masks = [np.asarray(Image.open(p)) > 0 for p in sorted((folder / "masks").iterdir())]
    x = torch.from_numpy(np.stack(images))[:, None]
    return (x - 60) / 50, torch.from_numpy(np.stack(masks)).long()


def close_skips(network: nn.Module) -> nn.Module:
    """Each level on the way up gets zeros in the place of the maps that the skip connection brings."""

    def close(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        skip, up = args[0].chunk(2, 1)
        return (torch.cat([torch.zeros_like(skip), up], 1),)

    for merge in network.merge:  # type: ignore[union-attr]
        merge.register_forward_pre_hook(close)
    return network


def make(name: str) -> nn.Module:
    preset, settings = NETWORKS[name]
    network = eyespot.create(preset, **settings)
    return close_skips(network) if name == "without-skips" else network


def train(name: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = make(name)
    x, y = cells()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        rows = torch.randint(TRAIN, (BATCH,)).tolist()
        corners = torch.randint(128 - SIDE + 1, (BATCH, 2)).tolist()
        pairs = [
            (x[r, :, i : i + SIDE, j : j + SIDE], y[r, i : i + SIDE, j : j + SIDE])
            for r, (i, j) in zip(rows, corners, strict=True)
        ]
        images = torch.stack([image for image, _ in pairs])
        masks = torch.stack([mask for _, mask in pairs])
        if torch.rand(()) < 0.5:
            images, masks = images.flip(3), masks.flip(2)
        if torch.rand(()) < 0.5:
            images, masks = images.transpose(2, 3), masks.transpose(1, 2)
        loss = F.cross_entropy(network(images), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def measure(network: nn.Module) -> dict[str, float]:
    """Dice, and the share of wrong pixels near borders of masks (two pixels on either side) and elsewhere."""
    x, y = cells()
    truth = y[TRAIN:].numpy().astype(bool)
    predicted = torch.cat([network(image[None]).argmax(1) for image in x[TRAIN:]]).numpy().astype(bool)
    square = np.ones((1, 5, 5), bool)
    border = binary_dilation(truth, square) & ~binary_erosion(truth, square, border_value=1)
    wrong = predicted != truth
    dice = 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum())
    numbers = {
        "dice": dice,
        "wrong_at_borders": wrong[border].mean(),
        "wrong_elsewhere": wrong[~border].mean(),
    }
    return {key: round(float(value), 4) for key, value in numbers.items()}


def store(network: nn.Module, name: str) -> None:
    """Weights of 16 bits."""
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    write_file(HERE / f"cells-{name}.safetensors", save({k: v.half().contiguous() for k, v in state.items()}))


def main() -> None:
    runs = []
    for seed in SEEDS:
        for name in NETWORKS:
            network = train(name, seed)
            parameters = sum(p.numel() for p in network.parameters())
            runs.append({"network": name, "seed": seed, "parameters": parameters, **measure(network)})
            print(runs[-1], flush=True)
            if seed == 0:
                store(network, name)
    numbers = {
        "command": "python docs/course/models/make_cells.py",
        "data": "cells, 48 images for training, 12 for the test",
        "steps": STEPS,
        "runs": runs,
    }
    write_file(HERE / "cells.json", json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
