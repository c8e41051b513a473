"""Train plain and residual networks of 20 and 56 layers on the built-in digits, for page 10.

    python docs/course/models/make_residual.py

Writes residual.json, residual-56.safetensors and plain-20.safetensors beside this file. n = 3: seeds 0, 1 and 2; the
files have the weights of seed 0. Made on one core of an AMD EPYC that other programs shared; a minute or two of it.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

import eyespot
from eyespot.anatomy.gradients import without_skips
from eyespot.files import write_file

HERE = Path(__file__).parent
DIGITS = Path(eyespot.__file__).parent / "data" / "sources" / "digits.npz"
EPOCHS = 15
BATCH = 64
RATE = 0.1
SEEDS = (0, 1, 2)
TRAIN = 1437
KEPT = {("residual", 56): "residual-56", ("plain", 20): "plain-20"}


def digits() -> tuple[Tensor, Tensor]:
    """1,797 images (B, 1, 8, 8) near mean 0 and variance 1, and their labels, in the order of seed 0."""
    with np.load(DIGITS) as file:
        order = np.random.default_rng(0).permutation(len(file["labels"]))
        x = torch.from_numpy(file["images"][order].astype(np.float32))[:, None]
        y = torch.from_numpy(file["labels"][order].astype(np.int64))
    return (x / 16 - 0.3) / 0.38, y


def network(kind: str, depth: int) -> nn.Module:
    made = eyespot.create(f"resnet{depth}", channels=1, width=6)
    return made if kind == "residual" else without_skips(made)


def train(kind: str, depth: int, seed: int) -> tuple[nn.Module, list[float]]:
    """The network, and the mean training loss of each epoch."""
    torch.manual_seed(seed)
    model = network(kind, depth)
    x, y = digits()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4)
    steps = EPOCHS * -(-TRAIN // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    losses = []
    for _ in range(EPOCHS):
        total = 0.0
        for rows in torch.randperm(TRAIN).split(BATCH):
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        losses.append(round(total / TRAIN, 4))
    return model.eval(), losses


@torch.no_grad()
def accuracy(model: nn.Module) -> float:
    x, y = digits()
    return float((model(x[TRAIN:]).argmax(1) == y[TRAIN:]).float().mean())


def store(model: nn.Module, name: str) -> None:
    """Weights of 16 bits."""
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    write_file(HERE / f"{name}.safetensors", save({k: v.half().contiguous() for k, v in state.items()}))


def main() -> None:
    runs = []
    for kind in ("residual", "plain"):
        for depth in (20, 56):
            for seed in SEEDS:
                model, losses = train(kind, depth, seed)
                runs.append(
                    {
                        "network": kind,
                        "layers": depth,
                        "seed": seed,
                        "losses": losses,
                        "accuracy": round(accuracy(model), 4),
                    }
                )
                print(runs[-1], flush=True)
                if seed == 0 and (kind, depth) in KEPT:
                    store(model, KEPT[kind, depth])
    numbers = {
        "command": "python docs/course/models/make_residual.py",
        "data": "digits, 1,437 for training, 360 for the test",
        "epochs": EPOCHS,
        "runs": runs,
    }
    write_file(HERE / "residual.json", json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
