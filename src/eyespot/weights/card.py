"""The model file: weights and one JSON card in a safetensors file. No pickle, strict when read."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from eyespot.errors import UserError, nearest
from eyespot.files import write_file

FORMAT = 1
NAME = "model.safetensors"
PATHS = ("data", "start_from")
"""Settings in a card that may be a path of the machine on which it was made."""
OLD_TASKS = {"classify": "classification", "segment": "segmentation"}
"""What files of before 0.2 call the tasks."""


@dataclass(frozen=True)
class Card:
    """What a model file says of itself.

    preset, changes   the network, for `create`
    classes           names, in the order of the logits
    task              see `tasks.registry`
    preprocessing     how a file becomes the network's input: see `data.preprocess.preprocessing.Preprocessing`; mean and std
                      per channel; the precision of predictions, and their test-time augmentation (tta_flip, tta_shift)
    augment           what may change in an image without changing its class, as trained
    network_facts     of a network that predicts every position, what plans of tiles need: see `prediction.tiles`
    temperature       the logits are divided by it before softmax (Guo et al. 2017)
    """

    preset: str
    changes: dict[str, Any]
    classes: list[str]
    preprocessing: dict[str, Any]
    task: str = "classification"
    augment: str = ""
    temperature: float = 1.0
    scores: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    network_facts: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT


def versions() -> dict[str, str]:
    """The software that makes a result, for its card."""
    import numpy
    import PIL
    import torch

    from eyespot import __version__

    made = {
        "eyespot": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "pillow": PIL.__version__,
    }
    return made | {"python": platform.python_version()}


def write_model(path: Path, tensors: Mapping[str, Any], card: Card) -> None:
    """Write the weights and the card, whole or not at all."""
    write_file(path, model_bytes(tensors, card))


def model_bytes(tensors: Mapping[str, Any], card: Card) -> bytes:
    """The content of a model file."""
    from safetensors.torch import save

    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(whole, {"eyespot": json.dumps(asdict(card))})


def without_folders(card: Card) -> Card:
    """The card for others: paths of the machine that it was made on are cut to their last name."""
    plan = {key: _last_name(value) if key in PATHS else value for key, value in card.plan.items()}
    return replace(card, plan=plan)


def _last_name(value: Any) -> Any:
    kind = PureWindowsPath if "\\" in str(value) else PurePath
    return kind(value).name if isinstance(value, str) else value


def read_card(path: Path) -> Card:
    """The card of a model file. Raises UserError for a file that is cut short, newer, or not ours."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get("eyespot")
    except FileNotFoundError as error:
        raise UserError(
            f"{path} does not exist: give a run folder or a model file that eyespot wrote"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; mend its permissions") from error
    except SafetensorError as error:
        raise UserError(
            f"{path} is cut short or not a model file of eyespot ({error}); copy it again from where it was made"
        ) from error
    if text is None:
        raise UserError(
            f"{path} holds weights but no eyespot card: it was written by another program; give a file that eyespot wrote"
        )
    return card_of(text, path)


def card_of(text: str, path: Path) -> Card:
    """The card of a JSON document. Raises UserError for one that is damaged, newer or not ours."""
    try:
        content = json.loads(text)
        number = content.get("format")
    except (ValueError, AttributeError) as error:
        raise UserError(
            f"the card of {path} is damaged ({error}); copy the file again from where it was made"
        ) from error
    if not isinstance(number, int) or number > FORMAT:
        raise UserError(
            f"{path} has the format {number}, newer than the {FORMAT} that this eyespot reads: update eyespot"
        )
    known = [f.name for f in fields(Card)]
    for key in content:
        if key not in known:
            raise UserError(f"the card of {path} has the unknown entry {key!r}; {nearest(key, known)}")
    try:
        return Card(**content | {"task": task_name(content)})
    except TypeError as error:
        raise UserError(
            f"the card of {path} is not complete ({error}); copy the file again from where it was made"
        ) from error


def task_name(content: dict[str, Any]) -> str:
    """The task that a card names, by its present name. The oldest files name none: they classify."""
    stored: str = content.get("task", "classification")
    return OLD_TASKS.get(stored, stored)


def read_tensors(path: Path) -> dict[str, Any]:
    """The weights of a model file, as torch tensors by name."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"the weights of {path} cannot be read ({error}); copy the file again from where it was made"
        ) from error


def load_strict(network: Any, tensors: Mapping[str, Any], path: Path | str) -> None:
    """Load weights into a network, all of them and only them, and say which do not fit."""
    own = network.state_dict()
    missing = [f"{name} {tuple(own[name].shape)}" for name in own if name not in tensors]
    unexpected = [f"{name} {tuple(tensors[name].shape)}" for name in tensors if name not in own]
    shapes = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    faults = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    faults_in_words = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in faults.items()
        if names
    ]
    if faults_in_words:
        raise UserError(
            f"the weights of {path} do not fit this {type(network).__name__}: {'; '.join(faults_in_words)}"
        )
    network.load_state_dict(dict(tensors))
