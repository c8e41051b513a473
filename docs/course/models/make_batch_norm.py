"""Train one network with and without batch norms, at several learning rates, on the built-in digits, for page 12.

    python docs/course/models/make_batch_norm.py

Writes batch_norm.json beside this file. n = 3: seeds 0, 1 and 2. Made on one core of an AMD EPYC that other programs
shared; about a minute of it.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import eyespot
from eyespot.files import write_file

HERE = Path(__file__).parent
DIGITS = Path(eyespot.__file__).parent / "data" / "sources" / "digits.npz"
NETWORK = dict(depths=(2, 2, 2), width=8, grid=1, hidden=32, dropout=0.0, channels=1, classes=10)
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
SEEDS = (0, 1, 2)
EPOCHS = 6
BATCH = 64
TRAIN = 1437


def digits() -> tuple[Tensor, Tensor]:
    """1,797 images (B, 1, 8, 8) near mean 0 and variance 1, and their labels, in the order of seed 0."""
    with np.load(DIGITS) as file:
        order = np.random.default_rng(0).permutation(len(file["labels"]))
        x = torch.from_numpy(file["images"][order].astype(np.float32))[:, None]
        y = torch.from_numpy(file["labels"][order].astype(np.int64))
    return (x / 16 - 0.3) / 0.38, y


def run(norm: str, rate: float, seed: int) -> dict:
    """Accuracy on the test images after training by plain SGD with momentum, and the loss of the last epoch."""
    torch.manual_seed(seed)
    network = eyespot.create("vgg11", norm=norm, **NETWORK)
    x, y = digits()
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    losses = []
    for _ in range(EPOCHS):
        total = 0.0
        for rows in torch.randperm(TRAIN).split(BATCH):
            loss = F.cross_entropy(network(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / TRAIN)
    with torch.no_grad():
        predicted = network.eval()(x[TRAIN:]).nan_to_num().argmax(1)
    accuracy = float((predicted == y[TRAIN:]).float().mean())
    last = round(losses[-1], 4) if np.isfinite(losses[-1]) else None
    return {"norm": norm, "rate": rate, "seed": seed, "accuracy": round(accuracy, 4), "loss": last}


def main() -> None:
    runs = []
    for norm in ("batch", "none"):
        for rate in RATES:
            for seed in SEEDS:
                runs.append(run(norm, rate, seed))
                print(runs[-1], flush=True)
    numbers = {
        "command": "python docs/course/models/make_batch_norm.py",
        "data": "digits, 1,437 for training, 360 for the test",
        "epochs": EPOCHS,
        "network": NETWORK,
        "runs": runs,
    }
    write_file(HERE / "batch_norm.json", json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
