"""The tasks: what each provides for training, prediction, evaluation and the report. Importing this imports no torch."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from eyespot.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from eyespot.data.surveys.survey import Survey
    from eyespot.evaluation.evaluation import Evaluation, Evaluator
    from eyespot.prediction.output import Output
    from eyespot.tasks.training import TrainingTask
    from eyespot.weights.card import Card


@dataclass(frozen=True)
class Task:
    """One task. Its classes and its function are named as "module:name" and imported when they are needed.

    name           in surveys and in model files
    training_at    a `tasks.training.TrainingTask`: batches, loss and validation
    output_at      a `prediction.output.Output`: from logits to predictions, and to files of them
    evaluator_at   an `evaluation.evaluation.Evaluator`: predictions compared with the truth
    report_at      a function (evaluation, survey) -> what report/NAME.html.j2 shows
    """

    name: str
    training_at: str
    output_at: str
    evaluator_at: str
    report_at: str

    @property
    def training(self) -> "type[TrainingTask]":
        """The class that the training loop asks."""
        return imported(self.training_at)

    @property
    def output(self) -> "type[Output]":
        """The class that makes predictions of logits."""
        return imported(self.output_at)

    @property
    def evaluator(self) -> "type[Evaluator]":
        """The class that evaluates."""
        return imported(self.evaluator_at)

    @property
    def report(self) -> "Callable[[Evaluation, Any], dict[str, Any]]":
        """The function that fills the task's part of the report."""
        return imported(self.report_at)


def imported(place: str) -> Any:
    """The class or function at "module:name"."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


TASKS = {
    task.name: task
    for task in (
        Task(
            "classification",
            training_at="eyespot.tasks.classification:Classification",
            output_at="eyespot.prediction.class_output:ClassOutput",
            evaluator_at="eyespot.evaluation.classes:ClassEvaluator",
            report_at="eyespot.report.classes:class_parts",
        ),
        Task(
            "segmentation",
            training_at="eyespot.tasks.segmentation:Segmentation",
            output_at="eyespot.prediction.mask_output:MaskOutput",
            evaluator_at="eyespot.evaluation.masks:MaskEvaluator",
            report_at="eyespot.report.masks:mask_parts",
        ),
    )
}


def task_of_survey(survey: "Survey") -> Task:
    """The task that the data of a survey are for."""
    return TASKS[survey.task]


def task_of_card(card: "Card", path: object = "the model") -> Task:
    """The task that a model file was trained for. Raises UserError for one that this version does not have."""
    if card.task not in TASKS:
        raise UserError(
            f"{path} was trained for the task {card.task!r}, and this eyespot knows {' and '.join(TASKS)}: update eyespot"
        )
    return TASKS[card.task]
