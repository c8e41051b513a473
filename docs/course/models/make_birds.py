"""Train the network of page 1 and measure which changes of an image keep its prediction.

    python docs/course/models/make_birds.py cifar10-train /tmp/birds

The first argument is a folder with CIFAR-10's 50,000 training images, a folder per class; the second gets what is
written on the way. Writes birds.safetensors and birds.json beside this file. The pictures of the page are not from that
folder: they come with the package foolbox, and only what is predicted of them is stored.
Made on two cores of an AMD EPYC that other programs shared.
"""

import json
import math
import os
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import eyespot
from eyespot.augment import Pipeline, parse
from eyespot.augment.photo import Hue, Saturation
from eyespot.metrics.intervals import proportion
from eyespot.weights.card import NAME, read_card, read_tensors, without_folders, write_model

HERE = Path(__file__).parent
MODEL = HERE / "birds.safetensors"
SETS = {"train": (0, 2000), "val": (2000, 2100), "test": (2100, 2200)}
COLOURS = ("hue(18)", "hue(180)", "saturation(0.5)", "grayscale(1)")
EPOCHS = 10
CUTS = {
    "imagenet_14_129.jpg": (136, 160, 296, 320),
    "imagenet_15_99.jpg": (32, 64, 224, 256),
    "imagenet_17_22.jpg": (160, 64, 512, 416),
}
"""Photographs of birds in foolbox, and the square that is shown of each: left, top, right and bottom in pixels. They were
placed by hand, with the predictions in view, where the network says bird; uncut it says so of none."""


def divide(source: Path, target: Path) -> None:
    """Link the first 2,000 images of each class into train/, and the next ones into val/ and test/."""
    for folder in sorted(source.iterdir()):
        names = sorted(os.listdir(folder))
        for name, (start, stop) in SETS.items():
            place = target / name / folder.name
            place.mkdir(parents=True, exist_ok=True)
            for file in names[start:stop]:
                (place / file).symlink_to(folder.resolve() / file)


def store(file: Path) -> None:
    """Write the model file with weights of 16 bits and without the digests of its 20,000 training images."""
    card = without_folders(read_card(file))
    data = {key: value for key, value in card.data.items() if key != "seen"}
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in read_tensors(file).items()}
    preprocessing = card.preprocessing | {"precision": "float32"}
    write_model(MODEL, tensors, replace(card, data=data, preprocessing=preprocessing))


def of_geometry(test: Path) -> list[dict]:
    """Consistency and accuracy of each change that `eyespot.invariance` knows."""
    result = eyespot.invariance(MODEL, test).as_dict()
    rows = [{"change": "none", "accuracy": result["unchanged"]}]
    for row in result["transforms"]:
        keys = ("severity", "unit", "status", "consistency", "accuracy")
        curve = [
            {key: point[key] for key in ("severity", "consistency", "accuracy")} for point in row["curve"]
        ]
        rows.append({"change": row["transform"], "curve": curve} | {key: row[key] for key in keys})
    return rows


def rounded(value: Any) -> Any:
    """The same with four digits after the point."""
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


def strongest(pipeline: Pipeline, x: torch.Tensor) -> torch.Tensor:
    """The images changed as far as the pipeline's only transform may, one way or the other."""
    (parameters,) = pipeline.sample(torch.Generator().manual_seed(0), x.shape)
    transform = pipeline.transforms[0]
    if isinstance(transform, Hue):
        parameters = math.radians(transform.degrees) * parameters.sign()
    elif isinstance(transform, Saturation):
        parameters = transform.share * parameters.sign()
    return pipeline.apply(x, (parameters,))


def of_colours(test: Path) -> list[dict]:
    """The same two numbers for changes of colour, on the same images."""
    paths = sorted(test.glob("*/*.jpg"))
    x = torch.from_numpy(np.stack([np.asarray(Image.open(path)) for path in paths])).movedim(3, 1)
    predictor = eyespot.load(MODEL)
    before = [p.label for p in predictor(list(x.movedim(1, 3).numpy()))]
    rows = []
    for text in COLOURS:
        changed = strongest(Pipeline(parse(text, 2)), x)
        after = [p.label for p in predictor(list(changed.movedim(1, 3).numpy()))]
        same = sum(a == b for a, b in zip(after, before, strict=True))
        right = sum(a == path.parent.name for a, path in zip(after, paths, strict=True))
        scores = {"consistency": proportion(same, len(paths)), "accuracy": proportion(right, len(paths))}
        rows.append({"change": text} | scores)
    return rows


def of_pictures() -> dict[str, dict[str, float]]:
    """The probabilities of the 20 pictures of CIFAR-10's test set that come with foolbox, by the name of their file."""
    foolbox = find_spec("foolbox")
    assert foolbox and foolbox.origin, "pip install foolbox"
    paths = sorted((Path(foolbox.origin).parent / "data").glob("cifar10_*.png"))
    predictions = eyespot.load(MODEL)(paths)
    return {path.name: p.probabilities for path, p in zip(paths, predictions, strict=True)}


def main(source: str, work: str) -> None:
    data = Path(work) / "data"
    if not data.exists():
        divide(Path(source), data)
    run = Path(work) / "run"
    if not run.exists():
        eyespot.train(
            data,
            out=run,
            model="small_w16",
            epochs=EPOCHS,
            seed=0,
            augment="flip|shift(0.06)",
            recipe="whiten|muon|ema|label_smoothing",
            duplicates="keep",
        )
    store(run / NAME)
    numbers = {
        "command": "python docs/course/models/make_birds.py cifar10-train /tmp/birds",
        "data": "CIFAR-10, 20,000 training images, 1,000 others for the test",
        "seed": 0,
        "epochs": EPOCHS,
        "changes": of_geometry(data / "test") + of_colours(data / "test"),
        "cuts": CUTS,
        "pictures": of_pictures(),
    }
    (HERE / "birds.json").write_text(json.dumps(rounded(numbers), indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
