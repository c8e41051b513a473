"""Trains the networks of the live pages and writes them to models/: python docs/live/train.py

It takes about two minutes on one core. For each network: an exported file for the browser, the model file with which
torch predicts the same images, and the names of validation images that the pages show.
"""

import csv
import json
import tempfile
from pathlib import Path

from networks import CELLS, DIGITS, register_networks

import eyespot
from eyespot.files import write_file

MODELS = Path(__file__).with_name("models")
SETTINGS = {
    "digits": {"model": DIGITS, "epochs": 16},
    "cells": {"model": CELLS, "epochs": 80},
}


def validation_images(run: Path) -> list[str]:
    """Names of the images that the network was not trained on, inside the built-in set."""
    with (run / "split.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    return ["/".join(Path(row["path"]).parts[-2:]) for row in rows]


def train_network(data: str, folder: Path) -> None:
    """Train one network and write its three files."""
    run = folder / data
    eyespot.train(data, out=run, seed=0, **SETTINGS[data])
    eyespot.export(run, MODELS / f"{data}.onnx", force=True)
    write_file(MODELS / f"{data}.safetensors", (run / "model.safetensors").read_bytes())
    write_file(MODELS / f"{data}.json", json.dumps(validation_images(run), indent=0) + "\n")


if __name__ == "__main__":
    register_networks()
    with tempfile.TemporaryDirectory() as folder:
        for data in SETTINGS:
            train_network(data, Path(folder))
