"""Train the network of page 9 on photographs of clothes, and measure what needs them.

    python docs/course/models/make_layers.py clothes /tmp/layers

The first argument is a folder with 1,435 photographs, a folder for each of ten classes: a part of clothing-dataset-small
(A. Grigorev), free for any use. The second gets what is written on the way. Writes layers.safetensors and layers.json
beside this file. One run, seed 0. Made on one core of an AMD EPYC that other programs shared; about three minutes of it.
The page compares its activations with those that are stored here, on photographs that come with the package foolbox.
"""

import json
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

import eyespot
from eyespot.anatomy import taps
from eyespot.evaluation.run_split import split_rows
from eyespot.explanation.top import Reader, collect, layers_to_show, stages_of
from eyespot.files import write_file
from eyespot.prediction.predictor import Predictor
from eyespot.weights.card import NAME, read_card, read_tensors, without_folders, write_model

HERE = Path(__file__).parent
MODEL = HERE / "layers.safetensors"
SIDE = 64
EACH = 16
"""Validation photographs of each class."""
FOLDS = 4
EPOCHS = 8


def store(file: Path) -> None:
    """Write the model file with weights of 16 bits and without the digests of its training images."""
    card = without_folders(read_card(file))
    data = {key: value for key, value in card.data.items() if key != "seen"}
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in read_tensors(file).items()}
    preprocessing = card.preprocessing | {"precision": "float32"}
    write_model(MODEL, tensors, replace(card, data=data, preprocessing=preprocessing))


def validation_photographs(run: Path) -> dict[str, str]:
    """The class of each path: the first 16 of each class of the validation images, by class."""
    rows = [row for row in split_rows(run) if row["split"] == "val"]
    classes = sorted({row["label"] for row in rows})
    chosen = [[row["path"] for row in rows if row["label"] == label][:EACH] for label in classes]
    return {path: label for label, paths in zip(classes, chosen, strict=True) for path in paths}


def share_of_one_class(labels: list[str]) -> float:
    counts = np.unique(labels, return_counts=True)[1]
    return float(counts.max() / counts.sum())


def classified(features: NDArray, labels: NDArray) -> float:
    """The share of right classes of a ridge regression, fitted to three quarters and tried on the others, four times."""
    scaled = (features - features.mean(0)) / (features.std(0) + 1e-6)
    right = 0
    for fold in range(FOLDS):
        test = np.arange(len(labels)) % FOLDS == fold
        x, y = scaled[~test], np.eye(labels.max() + 1)[labels[~test]]
        weights = x.T @ np.linalg.solve(x @ x.T + 30 * np.eye(len(x)), y)
        right += int(((scaled[test] @ weights).argmax(1) == labels[test]).sum())
    return right / len(labels)


@torch.no_grad()
def by_depth(predictor: Predictor, of_path: dict[str, str], names: list[str]) -> dict[str, float]:
    """What a linear classifier gets right that sees the mean and the largest value of each map of a layer."""
    reader = Reader(predictor)
    batch = torch.cat([reader.network_input(image) for image in map(reader, of_path) if image is not None])
    labels = np.unique(list(of_path.values()), return_inverse=True)[1]
    with taps(predictor.network, ["stem", *names]) as record:
        predictor.network(batch)
    result = {}
    for name, maps in {"image": batch, **record}.items():
        flat = maps.flatten(2)
        result[name] = classified(torch.cat([flat.mean(2), flat.amax(2)], 1).numpy(), labels)
    return result


def windows() -> list[NDArray[np.uint8]]:
    """400 windows of 64 x 64 pixels from 20 photographs, as the page cuts them: 16 of each at 256 pixels, 4 at 128."""
    foolbox = find_spec("foolbox")
    assert foolbox and foolbox.origin, "pip install foolbox"
    files = sorted((Path(foolbox.origin).parent / "data").glob("imagenet_*.jpg"))
    cut = []
    for file in files:
        for size in (256, 128):
            image = np.asarray(ImageOps.fit(Image.open(file), (size, size), Image.Resampling.BOX))
            steps = range(0, size, SIDE)
            cut.extend(image[y : y + SIDE, x : x + SIDE] for y in steps for x in steps)
    return cut


@torch.no_grad()
def mean_maxima(predictor: Predictor, names: list[str]) -> dict[str, list[float]]:
    """By layer and channel: its largest activation in a window, and the mean of that over the windows."""
    reader = Reader(predictor)
    with taps(predictor.network, names) as record:
        predictor.network(torch.cat([reader.network_input(window) for window in windows()]))
    return {name: [round(float(v), 4) for v in record[name].flatten(2).amax(2).mean(0)] for name in names}


def measured(run: Path) -> dict[str, object]:
    """What the page says of clothes, and the activations by which it knows this network again."""
    predictor = eyespot.load(MODEL)
    of_path = validation_photographs(run)
    paths = list(of_path)
    stages = stages_of(layers_to_show(predictor))
    names = [stage.name for stage in stages]
    nine = [
        [share_of_one_class([of_path[top.path] for top in channel]) for channel in stage.top]
        for stage in collect(predictor, stages, paths)
    ]
    rng = np.random.default_rng(0)
    chance = [
        share_of_one_class([of_path[path] for path in rng.choice(paths, 9, replace=False)])
        for _ in range(1000)
    ]
    return {
        "photographs": len(paths),
        "accuracy": float(np.mean([p.label == of_path[p.path] for p in predictor(paths)])),
        "of_nine_in_one_class": dict(zip(names, [float(np.mean(shares)) for shares in nine], strict=True)),
        "of_nine_by_chance": float(np.mean(chance)),
        "classifier_on_maps": by_depth(predictor, of_path, names),
        "mean_maxima": mean_maxima(predictor, names),
    }


def main(source: str, work: str) -> None:
    run = Path(work) / "run"
    if not run.exists():
        eyespot.train(
            source,
            out=run,
            model="small_w16",
            size=SIDE,
            epochs=EPOCHS,
            seed=0,
            recipe="whiten|muon|ema|label_smoothing",
        )
    store(run / NAME)
    numbers = {
        "command": "python docs/course/models/make_layers.py clothes /tmp/layers",
        "data": "clothes, 1,435 photographs, a fifth of them for validation",
        "epochs": EPOCHS,
        "validation": read_card(MODEL).scores,
        **measured(run),
    }
    write_file(HERE / "layers.json", json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
