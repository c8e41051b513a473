"""Train the network of page 9 on photographs of clothes, and make the sheet of pictures that the page shows.

    python docs/course/models/make_layers.py clothes /tmp/layers

The first argument is a folder with 1,435 photographs, a folder for each of ten classes: a part of clothing-dataset-small
(A. Grigorev), free for any use. The second gets what is written on the way. Writes layers.safetensors and layers.json
beside this file, and ../images/clothes.jpg, with 160 pictures that the network was not trained on. One run, seed 0. Made on
one core of an AMD EPYC that other programs shared; about three minutes of it.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from PIL import Image

import eyespot
from eyespot.evaluation.run_split import split_rows
from eyespot.files import write_file
from eyespot.weights.card import NAME, read_card, read_tensors, without_folders, write_model

HERE = Path(__file__).parent
MODEL = HERE / "layers.safetensors"
SHEET = HERE.parent / "images" / "clothes.jpg"
SIDE = 64
COLUMNS = 16
EACH = 16
EPOCHS = 8
OMITTED = ("hat/049.jpg",)
"""Not shown: a word on it."""


def store(file: Path) -> None:
    """Write the model file with weights of 16 bits and without the digests of its training images."""
    card = without_folders(read_card(file))
    data = {key: value for key, value in card.data.items() if key != "seen"}
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in read_tensors(file).items()}
    preprocessing = card.preprocessing | {"precision": "float32"}
    write_model(MODEL, tensors, replace(card, data=data, preprocessing=preprocessing))


def square(path: str) -> Image.Image:
    """The picture as the network gets it: its longer side at 64 pixels, black bars beside the shorter one."""
    image = Image.open(path).convert("RGB")
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    page = Image.new("RGB", (SIDE, SIDE))
    page.paste(image, ((SIDE - image.width) // 2, (SIDE - image.height) // 2))
    return page


def sheet(run: Path) -> list[str]:
    """Write the sheet, a row for each class, from the validation images; return the classes."""
    rows = [row for row in split_rows(run) if row["split"] == "val" and not row["path"].endswith(OMITTED)]
    classes = sorted({row["label"] for row in rows})
    page = Image.new("RGB", (COLUMNS * SIDE, len(classes) * SIDE))
    for i, label in enumerate(classes):
        paths = [row["path"] for row in rows if row["label"] == label][:EACH]
        for j, path in enumerate(paths):
            page.paste(square(path), (j * SIDE, i * SIDE))
    page.save(SHEET, quality=85)
    return classes


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
        "classes": sheet(run),
        "validation": read_card(MODEL).scores,
    }
    write_file(HERE / "layers.json", json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
