"""What the pages need of a network, as a script: the exported file, example images, and what Python predicts for them."""

import base64
import hashlib
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from networks import register_networks
from numpy.typing import NDArray
from PIL import Image

import eyespot
from eyespot.data.header import Decoded
from eyespot.data.sources.builtin import unpack
from eyespot.environment import cache_folder
from eyespot.serving.views import colours_of
from eyespot.softmax import softmax

HERE = Path(__file__).resolve().parent
MODELS = HERE / "models"
COURSE = HERE.parent / "course"
BIRDS = COURSE / "models" / "birds.safetensors"
"""The network of the first page of the course. It is exported when the pages are built, since the file is 0.5 MB."""
CUTS = json.loads(BIRDS.with_suffix(".json").read_text())["cuts"] if BIRDS.is_file() else {}
"""Photographs of birds in the package foolbox, and the square that is shown of each: left, top, right and bottom in pixels."""
BIRD_SIDE = 32
"""Pixels of what is shown of a photograph."""
UNSURE = 2
"""Images of digits shown beside one of each class: those of which the network is least sure."""
CELL_IMAGES = 4


class ModelMissing(Exception):
    """Why a network cannot be had, or no images for it, as one sentence."""


@cache
def predictor(name: str) -> Any:
    """The network in torch: what the browser is compared with."""
    register_networks()
    return eyespot.load(BIRDS if name == "birds" else MODELS / f"{name}.safetensors", device="cpu")


def exported(name: str) -> Path:
    """The exported file of a network: in models/, or in the cache. Raises ModelMissing."""
    if name != "birds":
        return MODELS / f"{name}.onnx"
    if not BIRDS.is_file():
        raise ModelMissing(f"there is no {BIRDS.relative_to(HERE.parent)}")
    digest = hashlib.sha256(BIRDS.read_bytes()).hexdigest()[:16]
    path = cache_folder() / f"live-birds-{digest}.onnx"
    if not path.is_file():
        export_birds(path)
    return path


def export_birds(path: Path) -> None:
    """Export the network of the course. Raises ModelMissing where packages for that are missing."""
    try:
        eyespot.export(BIRDS, path)
    except eyespot.UserError as error:
        raise ModelMissing(str(error)) from error


def validation_files(name: str) -> list[Path]:
    """Images that the network was not trained on. Raises ModelMissing where the package that has them is missing."""
    if name == "birds":
        return photographs()
    folder = unpack(name)
    return [folder / path for path in json.loads((MODELS / f"{name}.json").read_text())]


def photographs() -> list[Path]:
    """Those of birds. Raises ModelMissing without foolbox, which has them: they are not ours to copy into the project."""
    foolbox = find_spec("foolbox")
    if foolbox is None or foolbox.origin is None:
        raise ModelMissing("its photographs come with a package that is not installed: pip install foolbox")
    return [Path(foolbox.origin).parent / "data" / name for name in CUTS]


@cache
def shown_files(name: str) -> list[Path]:
    """Those that a page shows."""
    files = validation_files(name)
    if name == "birds":
        return files
    if name == "cells":
        return files[:CELL_IMAGES]
    first = list({file.parent.name: file for file in reversed(files)}.values())
    return sorted(first) + sorted(files, key=certainty)[:UNSURE]


def certainty(file: Path) -> float:
    """The probability of the class that the network for digits predicts."""
    return float(probabilities_of("digits", file).max())


def model_script(name: str) -> str:
    """A script that gives the page a network: `self.eyespotModel`."""
    files = shown_files(name)
    card = predictor(name).card
    document = {
        "name": name,
        "classes": list(card.classes),
        "colours": colours_of(list(card.classes), False),
        "score": score_of(name),
        "predictedBy": f"eyespot {eyespot.__version__} with torch {torch_version()}",
        "onnx": as_text(exported(name).read_bytes()),
        "examples": [example(name, file) for file in files],
    }
    return f"self.eyespotModel = {json.dumps(document)};\n"


def torch_version() -> str:
    """Of the torch that computed the expected values."""
    import torch

    return torch.__version__.partition("+")[0]


def score_of(name: str) -> dict[str, Any]:
    """The metric of the network with its interval, and what it was measured on."""
    model = predictor(name)
    key, title = model.output.metric
    tested = model.card.data["split"]["test"]["n"] > 0
    return {"name": title, "of": "test" if tested else "validation", **model.card.scores[key]}


def example(name: str, file: Path) -> dict[str, Any]:
    """An image as its pixels, with its probabilities (classes) or (classes, height, width), and its mask if it has one."""
    pixels = pixels_of(file)
    document = {
        "name": f"{file.parent.name}/{file.name}",
        "shape": list(pixels.shape),
        "pixels": as_text(pixels.tobytes()),
        "expected": as_text(probabilities_of(name, file).astype("<f4").tobytes()),
    }
    mask = file.parents[1] / "masks" / file.name
    if mask.is_file():
        document["mask"] = as_text((pixels_of(mask) > 0).astype(np.uint8).tobytes())
    return document


def pixels_of(file: Path) -> NDArray[np.uint8]:
    """(height, width, 1), or (height, width, 3) of colours, as the exported file takes them; of a photograph its square."""
    image = Image.open(file)
    if file.name in CUTS:
        size = (BIRD_SIDE, BIRD_SIDE)
        image = image.convert("RGB").resize(size, Image.Resampling.BOX, box=CUTS[file.name])
    return np.asarray(image) if image.mode == "RGB" else np.asarray(image.convert("L"))[..., None]


def probabilities_of(name: str, file: Path) -> NDArray[np.float32]:
    """What torch predicts of a file: (classes), or (classes, height, width)."""
    model = predictor(name)
    if not model.output.of_positions:
        image = pixels_of(file) if file.name in CUTS else str(file)
        return np.array(list(model(image)[0].probabilities.values()), np.float32)
    prepared = model.preprocessing.of_decoded(Decoded(pixels_of(file)))
    return softmax(model.logits(prepared[None])[0], axis=0)


def samples_module() -> str:
    """The images of the page of convolution, as a JavaScript module: a digit, and 64 x 64 pixels of cells."""
    digit = pixels_of(unpack("digits") / "3" / "0003.png")
    cells = pixels_of(unpack("cells") / "images" / "000.png")[32:96, 32:96]
    texts = {"DIGIT": rows_as_text(digit), "CELLS": rows_as_text(cells)}
    return "".join(f"export const {name} = {json.dumps(text)};\n" for name, text in texts.items())


def rows_as_text(pixels: NDArray[np.uint8]) -> str:
    """(height, width, 1) as rows of numbers, separated by semicolons."""
    return "; ".join(" ".join(map(str, row)) for row in pixels[..., 0].tolist())


def as_text(content: bytes) -> str:
    """In base64."""
    return base64.b64encode(content).decode()
