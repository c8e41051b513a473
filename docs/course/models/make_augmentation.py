"""Train the networks of page 2: without augmentation, on an enlarged set, and with transforms on the fly.

    python docs/course/models/make_augmentation.py cifar10-train /tmp/augmentation

The first argument is a folder with CIFAR-10's 50,000 training images, a folder per class; the second gets the enlarged
data sets. For each of four seeds three networks of 38,978 weights see 40,000 images, of the same 1,000 originals, and
predict the same 2,000 other images; so do two that stop after 10 and 20 epochs without augmentation. Writes augmentation.json and the networks of seed 0
beside this file, with how many of the page's 20 pictures each predicts. Made on two cores of an AMD EPYC that other programs shared.
"""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor
from training import Batches, half, interval, network, pictures_of_pages, predicted, read_classes, train

import eyespot
from eyespot.augment import Pipeline, parse

HERE = Path(__file__).parent
PIPELINE = "flip|shift(0.1)|rotate(10)|scale(0.9,1.1)"
COPIES = 9
EPOCHS = 40
SHORT = {"none, 10 epochs": 10, "none, 20 epochs": 20}
"""Without augmentation longer training is not always better."""
PAIRS = (
    ("on the fly", "none"),
    ("enlarged", "none"),
    ("on the fly", "enlarged"),
    *(("on the fly", name) for name in SHORT),
)
SEEDS = range(4)
PER_CLASS = 100
"""Originals of each class."""


def originals(source: Path, target: Path, seed: int) -> None:
    """Link 1,000 images, other ones for each seed, as folders of classes."""
    for folder in sorted(source.iterdir()):
        place = target / folder.name
        place.mkdir(parents=True)
        for path in sorted(folder.iterdir())[seed * PER_CLASS : (seed + 1) * PER_CLASS]:
            (place / path.name).symlink_to(path.resolve())


def on_the_fly(x: Tensor, seed: int) -> Batches:
    """Each epoch the originals, changed anew."""
    pipeline = Pipeline(parse(PIPELINE, 2))
    generator = torch.Generator().manual_seed(seed)
    return lambda epoch: pipeline.apply(x, pipeline.sample(generator, x.shape))


def networks(source: Path, work: Path, seed: int) -> dict[str, torch.nn.Module]:
    """Trained in several ways, from the same initial weights; but for the short ones, with the same number of steps."""
    folder = work / f"originals-{seed}"
    enlarged = work / f"enlarged-{seed}"
    if not folder.exists():
        originals(source, folder, seed)
    if not enlarged.exists():
        eyespot.augment_data(
            folder, augment=PIPELINE, copies=COPIES, out=enlarged, seed=seed, duplicates="keep"
        )
    x, labels = read_classes(folder, 0, PER_CLASS)
    many, many_labels = read_classes(enlarged, 0, PER_CLASS * (COPIES + 1))
    short = {name: train(network(seed), lambda epoch: x, labels, n, seed) for name, n in SHORT.items()}
    return short | {
        "none": train(network(seed), lambda epoch: x, labels, EPOCHS, seed),
        "enlarged": train(network(seed), lambda epoch: many, many_labels, EPOCHS // (COPIES + 1), seed),
        "on the fly": train(network(seed), on_the_fly(x, seed), labels, EPOCHS, seed),
    }


def main(source: Path, work: Path) -> None:
    test, test_labels = read_classes(source, 4800, 5000)
    shown, shown_labels = pictures_of_pages()
    accuracy: dict[str, list[float]] = {name: [] for name in (*SHORT, "none", "enlarged", "on the fly")}
    right: dict[str, int] = {}
    for seed in SEEDS:
        for name, net in networks(source, work, seed).items():
            if seed == 0 and name not in SHORT:
                (HERE / f"augmentation-{name.replace(' ', '-')}.safetensors").write_bytes(half(net))
                right[name] = int((predicted(net, shown) == shown_labels).sum())
            accuracy[name].append(float((predicted(net, test) == test_labels).float().mean()))
            print(seed, name, accuracy[name][-1], flush=True)
    differences = {
        f"{a} - {b}": interval([p - q for p, q in zip(accuracy[a], accuracy[b], strict=True)])
        for a, b in PAIRS
    }
    numbers = {
        "command": "python docs/course/models/make_augmentation.py cifar10-train /tmp/augmentation",
        "n": len(test_labels),
        "seeds": list(SEEDS),
        "augment": PIPELINE,
        "copies": COPIES,
        "accuracy": accuracy,
        "mean": {name: interval(values) for name, values in accuracy.items()},
        "differences": differences,
        "right_of_pictures": right,
    }
    (HERE / "augmentation.json").write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
