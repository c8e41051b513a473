"""What the make_*.py scripts share: CIFAR-10 as arrays, a plain training loop, and what is stored of its networks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save
from scipy.stats import t
from torch import Tensor, nn

import eyespot

WIDTHS = (16, 32, 32)
BATCH = 64
RATE = 4e-3
Batches = Callable[[int], Tensor]
"""The images of an epoch, (N, 3, H, W) uint8, from the number of the epoch."""


def read_classes(folder: Path, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """(N, 3, 32, 32) uint8 and (N,) classes: of each class the images from `start` to `stop` in the order of names."""
    pictures = []
    labels = []
    for number, place in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        for path in sorted(place.iterdir())[start:stop]:
            pictures.append(np.asarray(Image.open(path)))
            labels.append(number)
    return torch.from_numpy(np.stack(pictures)).movedim(3, 1), torch.tensor(labels)


def normalised(x: Tensor) -> Tensor:
    """uint8 -> float32, about from -2 to 2."""
    return ((x.float() - 127.5) / 64).contiguous(memory_format=torch.channels_last)


def network(seed: int, **settings) -> nn.Module:
    """A small network with new weights, the same for the same seed."""
    torch.manual_seed(seed)
    return eyespot.create("small_w16", widths=WIDTHS, **settings).to(memory_format=torch.channels_last)


def train(net: nn.Module, images: Batches, labels: Tensor, epochs: int, seed: int) -> nn.Module:
    """Train with AdamW and one cycle of the learning rate, in batches of 64; the order derives from the seed."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.05)
    steps = epochs * (len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for epoch in range(epochs):
        x = images(epoch)
        order = torch.randperm(len(labels), generator=generator)
        for rows in order[: len(order) // BATCH * BATCH].split(BATCH):
            loss = nn.functional.cross_entropy(net(normalised(x[rows])), labels[rows], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


@torch.no_grad()
def predicted(net: nn.Module, x: Tensor) -> Tensor:
    """(N,) classes of uint8 images."""
    return torch.cat([net(normalised(piece)).argmax(1) for piece in x.split(500)])


def half(net: nn.Module) -> bytes:
    """The weights as a safetensors file of 16-bit numbers; the network is given the rounded weights too."""
    state = {name: v.half() if v.is_floating_point() else v for name, v in net.state_dict().items()}
    net.load_state_dict(state)
    return save({name: v.contiguous() for name, v in state.items()})


def interval(values: list[float]) -> dict[str, float]:
    """The mean over seeds with its 95% interval by Student's t."""
    mean = float(np.mean(values))
    wide = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
    return {"value": mean, "low": mean - wide, "high": mean + wide}


def sheet(x: Tensor, columns: int) -> NDArray[np.uint8]:
    """(N, 3, H, W) -> the images beside each other, in rows of so many."""
    rows = x.movedim(1, 3).numpy().reshape(-1, columns, *x.shape[2:], 3)
    return np.concatenate([np.concatenate(list(row), 1) for row in rows])
