"""Small untrained networks for the tests of serving: of classes, of masks, of volumes and of signals."""

import io

import numpy as np
import torch
from PIL import Image

from eyespot.models import create
from eyespot.prediction.load_torch import torch_predictor
from eyespot.weights.card import Card, write_model

FACTS = {
    "name": "UNet",
    "classes": 2,
    "smallest": 4,
    "stride": 4,
    "bytes_per_sample": 84.125,
    "halo": {"before": 24, "after": 24, "grid": 4, "why": ""},
}
"""Of the network for masks, as they are measured, which takes seconds."""
CLASSES = ["cat", "dog", "hen"]
READING = dict(
    size=16,
    fit="pad",
    channels=3,
    accepts=[3],
    depth="uint8",
    side=16,
    mean=[120.0, 110.0, 100.0],
    std=[60.0, 60.0, 60.0],
    scaling="none",
)
MASKS = {"values": ["0", "100"], "classes": ["background", "cell"], "void": None, "objects": False}
SCORES = {"accuracy": {"value": 0.9, "low": 0.85, "high": 0.94, "n": 200}}


def network_of(card: Card):
    torch.manual_seed(3)
    dim = card.preprocessing.get("dim", 2)
    return create(
        card.preset,
        classes=len(card.classes),
        channels=card.preprocessing["channels"],
        dim=dim,
        **card.changes,
    ).eval()


def class_card(**reading) -> Card:
    data = {"split": {"train": {"n": 800}, "val": {"n": 0}, "test": {"n": 200}}}
    return Card(
        "resnet20", {"depths": (1, 1), "width": 8}, CLASSES, READING | reading, scores=SCORES, data=data
    )


def mask_card(**mapping) -> Card:
    masks = MASKS | mapping
    reading = READING | dict(
        fit="own",
        size=1,
        channels=1,
        accepts=[1],
        mean=[100.0],
        std=[50.0],
        mapping=masks | {"harden": False},
    )
    changes = {"width": 4, "levels": 3}
    scores = {"mean_iou": {"value": 0.8, "low": 0.7, "high": 0.9, "n": 20}}
    facts = FACTS | {"classes": len(masks["classes"])}
    return Card(
        "unet_bn",
        changes,
        masks["classes"],
        reading,
        task="segmentation",
        scores=scores,
        network_facts=facts,
    )


def predictor_of_card(card: Card):
    return torch_predictor(card, network_of(card))


def write_run(folder, card: Card):
    folder.mkdir()
    write_model(folder / "model.safetensors", network_of(card).state_dict(), card)
    return folder


def png(seed: int = 0, shape: tuple[int, ...] = (20, 26, 3), kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()
