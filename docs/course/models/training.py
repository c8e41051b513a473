"""What the make_*.py scripts share: CIFAR-10 and the pictures of the pages as arrays, a plain training loop, and what is stored of its networks."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
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


def pictures_of_pages() -> tuple[Tensor, Tensor]:
    """(20, 3, 32, 32) uint8 and (20,) classes: the pictures of CIFAR-10's test set that come with foolbox."""
    package = find_spec("foolbox")
    assert package and package.origin, "pip install foolbox"
    files = sorted((Path(package.origin).parent / "data").glob("cifar10_*.png"))
    pictures = torch.from_numpy(np.stack([np.asarray(Image.open(path)) for path in files])).movedim(3, 1)
    return pictures, torch.tensor([int(path.stem.rpartition("_")[2]) for path in files])


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
