"""The registry of tasks: every task keeps one contract, and old names of tasks are read."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import eyespot
from contract_task import CHECKS, DATA, case_of
from eyespot.errors import UserError
from eyespot.pictures import to_display
from eyespot.tasks.batches import Normal, resized
from eyespot.tasks.registry import TASKS, task_of_card
from eyespot.tasks.segmentation import Segmentation
from eyespot.weights.card import Card, read_card, write_model


@pytest.fixture(scope="module", params=list(TASKS))
def case(request, tmp_path_factory):
    return case_of(request.param, tmp_path_factory.mktemp("tasks"))


@pytest.mark.parametrize("check", CHECKS, ids=lambda function: function.__name__)
def test_contract(case, check):
    check(case)


def test_every_task_has_data_in_the_contract():
    assert set(DATA) == set(TASKS)


@pytest.mark.parametrize("old,name", [("classify", "classification"), ("segment", "segmentation")])
def test_old_names_of_tasks_are_read(tmp_path, old, name):
    path = tmp_path / "model.safetensors"
    write_model(path, {"w": torch.zeros(1)}, Card("small", {}, ["a", "b"], {}, task=old))
    assert json.dumps(old).encode() in path.read_bytes().replace(b"\\", b"")
    assert read_card(path).task == name


def test_an_unknown_task_is_refused(tmp_path):
    card = Card("small", {}, ["a", "b"], {}, task="detection")
    with pytest.raises(
        UserError, match="'detection', and this eyespot knows classification and segmentation"
    ):
        task_of_card(card)
    network = eyespot.create("small", classes=2)
    path = tmp_path / "model.safetensors"
    write_model(path, network.state_dict(), Card("small", {}, ["a", "b"], {"channels": 3}, task="detection"))
    with pytest.raises(UserError, match=r"model\.safetensors was trained for the task 'detection'"):
        eyespot.load(path)


def test_predictions_by_another_engine_need_no_torch():
    """What stands around the engine: reading, tiles, outputs and the predictor."""
    code = (
        "import sys\n"
        "from eyespot.prediction import class_output, engine, mask_output, predictor\n"
        "from eyespot.tasks.registry import TASKS\n"
        "for task in TASKS.values(): task.output\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_gradients_pass_where_images_of_this_size_were_predicted_before():
    """As `explain` does after a first prediction, of networks that see images at a reduced size."""
    x = torch.rand(1, 3, 34, 34)
    with torch.inference_mode():
        resized(x, 23)
    x.requires_grad_()
    resized(x, 23).sum().backward()
    assert x.grad is not None and x.grad.any()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_crop_of_one_value_is_shown_in_one_grey(dtype):
    """Its channels differ by the rounding of float32, which a picture between the extremes would show as a colour."""
    normal = Normal((41.3, 37.7, 52.9), (33.1, 29.9, 41.7))
    flat = np.full((1, 8, 8, 3), 7, dtype)
    task = object.__new__(Segmentation)
    task.normal = normal
    task.pixels = flat
    shown = task._displayed(normal(flat)[0])
    assert shown.shape == (8, 8, 3)
    assert np.unique(shown).size == 1
    assert shown.flat[0] == pytest.approx(7, abs=0.1)
    assert np.unique(np.asarray(to_display(shown))).size == 1
