"""What every task must do, from a folder of data to a prediction: one list of checks, each a function of a `Case`.

A new task is checked once `DATA` has a small data set for it. Predictions are checked with an engine that is no
network, so the list also holds what may stand behind a predictor.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from conftest import write_set
from eyespot.config import Config
from eyespot.data.header import Array
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.evaluation.evaluate import evaluate, finish
from eyespot.prediction.model_file import make_predictor
from eyespot.prediction.output import Output
from eyespot.prediction.predictor import Predictor
from eyespot.prediction.tiles import Halo, NetworkFacts
from eyespot.tasks.order import Order, first_draw
from eyespot.tasks.registry import TASKS, Task, task_of_card, task_of_survey
from eyespot.tasks.training import TrainingTask
from eyespot.training.plan import Planner
from eyespot.weights.card import Card, read_card, write_model

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def write_squares(root: Path) -> Path:
    """Bright squares on noise, and their masks."""
    rng = np.random.default_rng(0)
    for i in range(12):
        mask = np.zeros((30 + i, 40 - i), np.uint8)
        y, x = rng.integers(2, 12, 2)
        mask[y : y + 12, x : x + 12] = 255
        image = (rng.integers(0, 90, mask.shape) + (mask > 0) * 100).astype(np.uint8)
        for folder, values in (("images", image), ("masks", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(root / folder / f"{i:02}.png")
    return root


DATA = {
    "classification": lambda root: write_set(root, per_class=8, kinds=2),
    "segmentation": write_squares,
}
"""By task: writes a small data set."""


class ConstantEngine:
    """The same logits for every sample: no network and no torch."""

    device = "cpu"

    def __init__(self, classes: int, of_positions: bool):
        self.values = np.arange(classes, dtype=np.float32)
        self.of_positions = of_positions
        self.facts = NetworkFacts("Constant", classes, 1, 1, 8.0 * classes, Halo(0, 0, 1))

    def fingerprint(self) -> str:
        return "constant"

    def return_memory(self) -> None:
        pass

    def logits(self, batch: Array) -> np.ndarray:
        axes = batch.shape[1:-1] if self.of_positions else ()
        values = self.values.reshape(1, -1, *[1] * len(axes))
        return np.broadcast_to(values, (len(batch), len(self.values), *axes)).copy()


@dataclass
class Case:
    """A task, a survey of its data, its training half as planned for it, and a predictor that knows nothing."""

    task: Task
    root: Path
    survey: Any
    training: TrainingTask
    planner: Planner
    card: Card
    predictor: Predictor


def case_of(name: str, root: Path) -> Case:
    """Everything that the checks need of one task."""
    data = DATA[name](root / name)
    survey = survey_data(data)
    config = Config(
        str(data), model=None, size=16, batch=4, epochs=1, device="cpu", augment="flip|brightness(0.2)"
    )
    planner = Planner(survey, config, lambda: 0.0)
    planner.choose_settings()
    training = planner.new_task()
    assert training.config.model
    normal = {"side": 16, "mean": list(training.normal.mean), "std": list(training.normal.std)}
    facts = survey.preprocessing.as_dict() | normal | training.card_facts()
    card = Card(training.config.model, {}, list(survey.classes), facts, task=survey.task)
    engine = ConstantEngine(len(card.classes), TASKS[name].output.of_positions)
    return Case(TASKS[name], data, survey, training, planner, card, make_predictor(card, engine))


def members(protocol: type) -> set[str]:
    """What a protocol asks for, without its constructor."""
    names = {*protocol.__annotations__, *vars(protocol)}
    return {name for name in names if not name.startswith("_")}


@check
def has_all_its_parts(case: Case) -> None:
    for part, protocol in ((case.training, TrainingTask), (case.predictor.output, Output)):
        assert not [name for name in members(protocol) if not hasattr(part, name)]
    assert callable(case.task.evaluator().finish) and callable(case.task.evaluator().on_source)
    template = Path(__file__).parents[1] / "src/eyespot/report" / f"{case.task.name}.html.j2"
    assert template.exists()


@check
def is_named_alike_in_data_and_model_file(case: Case) -> None:
    assert task_of_survey(case.survey) is case.task is task_of_card(case.card)
    path = case.root.parent / f"{case.task.name}.safetensors"
    write_model(path, {"weight": torch.zeros(1)}, case.card)
    assert read_card(path) == case.card and read_card(path).task == case.task.name


@check
def an_epoch_holds_every_row(case: Case) -> None:
    rows = case.planner.division.train
    assert set(case.training.sample_indices(rows)) == set(rows)


@check
def batches_follow_from_the_draw(case: Case) -> None:
    order = Order(case.training.sample_indices(case.planner.division.train), 4, 0)
    batches = [case.training.batch(order.at(place), 16) for place in (0, 0, 4)]
    images = [x for x, _ in batches]
    targets = [torch.cat([t.flatten() for t in tensors(y)]) for _, y in batches]
    assert torch.equal(images[0], images[1]) and torch.equal(targets[0], targets[1])
    assert not torch.equal(images[0], images[2])
    assert images[0].shape == (4, case.survey.preprocessing.channels, 16, 16)
    assert images[0].dtype == torch.float32 and all(len(t) == 4 for t in tensors(batches[0][1]))


def tensors(targets: Any) -> list[torch.Tensor]:
    """Those of a batch's targets."""
    if isinstance(targets, torch.Tensor):
        return [targets]
    return [t for t in targets if t is not None]


@check
def the_loss_falls_along_its_gradient(case: Case) -> None:
    x, y = case.training.batch(first_draw(case.planner.division.train[:4], 0), 16)
    logits = case.training.network().train()(x).detach().requires_grad_()
    loss = case.training.loss(logits, y)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.isfinite() and loss.dim() == 0 and gradient.isfinite().all() and gradient.any()
    assert 0 <= case.training.loss(logits - gradient / gradient.norm() * 0.1, y) < loss


@check
def validation_changes_nothing(case: Case) -> None:
    network = case.training.network().eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first, second = (case.training.validate(network, case.planner.division.val, 16) for _ in range(2))
    assert first == second and np.isfinite(first[0]) and 0 <= first[1] <= 1
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@check
def replanning_leaves_the_first_plan(case: Case) -> None:
    config = replace(case.training.config, batch=8)
    other = case.training.planned(config)
    assert other.config is config and case.training.config.batch == 4 and other.survey is case.survey


@check
def the_card_learns_only_plain_facts(case: Case) -> None:
    facts = case.training.card_facts()
    assert json.loads(json.dumps(facts)) == facts


@check
def predictions_come_in_order_with_reasons(case: Case) -> None:
    paths = [sample.path for sample in case.survey.source.samples[:2]]
    bad = case.root.parent / f"{case.task.name}-cut.png"
    bad.write_bytes(paths[0].read_bytes()[:60])
    predictions = list(case.predictor.stream([paths[0], bad, paths[1]]))
    assert [p.path for p in predictions] == [str(p) for p in (paths[0], bad, paths[1])]
    assert [bool(p.error) for p in predictions] == [False, True, False]
    assert len(case.predictor([str(path) for path in paths])) == 2


@check
def evaluation_counts_every_sample(case: Case) -> None:
    division = case.planner.division
    evaluation, fitted = finish(case.predictor, case.survey, division.val, division.final, None)
    key, _ = case.predictor.output.metric
    score = evaluation.scores[key]
    assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1
    assert score["n"] == len(division.final) and key in evaluation.details.titles
    assert set(fitted) <= set(case.card.__dict__)
    json.dumps(evaluation.as_dict())
    assert evaluate(case.predictor, case.root, case.root).scores[key]["n"] == len(case.survey.labels)
    assert evaluation.details.titles[key] in str(evaluation)
    parts = case.task.report(evaluation, case.survey)
    assert parts["n"] == len(division.final) and len(parts["classes"]) == len(case.card.classes)


@check
def data_of_another_task_are_refused(case: Case) -> None:
    for name, write in DATA.items():
        if name == case.task.name:
            continue
        other = write(case.root.parent / f"{name}-for-{case.task.name}")
        try:
            evaluate(case.predictor, case.root, other)
        except UserError as error:
            assert str(other) in str(error)
        else:
            raise AssertionError(f"data for {name} were evaluated")
