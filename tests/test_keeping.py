"""Which network is kept, and when training stops early: neither is decided by luck or by a busy machine."""

import math

import pytest

from eyespot.config import Config
from eyespot.data.surveys.survey_data import survey_data
from eyespot.training.keeping import LAST_SHARE, is_stalled, is_to_be_kept, note_improvement, shortened
from eyespot.training.loop import INTERRUPTED, STALLED, Loop, clock
from eyespot.training.plan import make_plan
from eyespot.training.state import FINISHED, Mark, Progress, Row, present_fields


def progress_of(**numbers) -> Progress:
    return Progress(0.0, 32, Mark(0.0), **numbers)


def kept(rows, images=359):
    """The position of the row whose network is kept, of (loss, metric) after each other."""
    progress = progress_of()
    chosen = None
    for position, (loss, metric) in enumerate(rows):
        note_improvement(progress, 0.1 * position, loss, metric)
        if is_to_be_kept(progress, metric, images):
            chosen = position
    return chosen


@pytest.mark.parametrize(
    ("rows", "images", "position"),
    [
        ([(0.9, 0.5), (0.3, 1.0), (0.1, 1.0)], 359, 2),  # equal: the later one
        ([(0.4, 1.0), (0.1, 0.997), (0.05, 0.994)], 359, 2),  # two errors more are chance
        ([(0.4, 0.80), (0.3, 0.95), (0.2, 0.94)], 359, 2),
        ([(0.4, 0.80), (0.3, 0.95), (0.5, 0.90)], 359, 1),  # clearly worse
        ([(0.4, 0.80), (0.3, 0.90), (0.3, 0.87)], 359, 2),
        ([(0.4, 0.80), (0.3, 0.92), (0.3, 0.79)], 24, 2),  # three of 24
        ([(0.4, 0.80), (0.3, 0.83), (0.3, 0.82)], None, 2),  # pixels
        ([(0.4, 0.80), (0.3, 0.83), (0.3, 0.80)], None, 1),
        ([(0.4, 0.80), (0.3, 0.90), (0.3, 0.88)], 20_000, 1),  # no chance with so many images
        ([(0.4, 0.80), (0.3, 0.90), (0.31, 0.89), (0.32, 0.88), (0.32, 0.86)], 400, 3),  # no slow decline
        ([(0.5, 0.7), (math.nan, 0.1), (0.4, 0.71)], 359, 2),
    ],
)
def test_a_later_network_is_kept_unless_it_is_worse_by_more_than_chance(rows, images, position):
    assert kept(rows, images) == position


def test_the_loss_is_watched_too():
    progress = progress_of(steps=450)
    for fraction, loss in ((0.1, 0.5), (0.3, 0.4), (0.45, 0.3), (0.6, 0.2998)):
        note_improvement(progress, fraction, loss, 0.8)
        note_improvement(progress, fraction, loss, 0.79)
    assert progress.improved_at == 0.45  # not 0.1, and not at the gain of 0.0002
    progress.steps = 850
    assert not is_stalled(progress, 0.84, 32) and is_stalled(progress, 0.86, 32)


@pytest.mark.parametrize(
    ("numbers", "stalled"),
    [
        ({}, True),
        ({"improved_step": 700}, False),  # the clock went on, the steps did not
        ({"resized_at": 900}, False),  # the averaged weights remember smaller images
        ({"last_side": 40}, False),  # larger images are still to come
    ],
)
def test_training_stops_early_only_where_steps_at_the_last_size_brought_nothing(numbers, stalled):
    last_side = numbers.pop("last_side", 32)
    progress = progress_of(**{"steps": 1000, "improved_at": 0.1, "improved_step": 100} | numbers)
    assert is_stalled(progress, 0.52, last_side) is stalled
    assert not is_stalled(progress, 0.5, last_side) and not is_stalled(progress, 1.0, last_side)


class Watcher:
    """Remembers the messages and the last network to keep."""

    def __init__(self):
        self.messages: list[str] = []
        self.kept: list[bool] = []

    def on_step(self, fraction, per_second): ...

    def on_row(self, state, is_kept):
        self.kept.append(is_kept)

    def on_validated(self, row): ...

    def on_checkpoint(self, state):
        return None

    def on_message(self, text):
        self.messages.append(text)


def outcome(photos, monkeypatch, scores, stop_after=None, epochs=8.0):
    """How a run with these (loss, metric) at its validations ends, and what its watcher remembers."""
    config = Config(str(photos), model="tiny", size=16, epochs=epochs, batch=16, device="cpu", threads=1)
    plan = make_plan(survey_data(photos), config, clock())
    given = iter(scores)
    monkeypatch.setattr(plan.task, "validate", lambda *_: next(given))
    monkeypatch.setattr("eyespot.training.loop.VALIDATIONS", len(scores) - 1)
    watcher = Watcher()
    training = Loop(plan, clock(), watcher)
    if stop_after is not None:
        step = training._one_step

        def stopped():
            if len(watcher.kept) == stop_after:
                raise KeyboardInterrupt
            step()

        training._one_step = stopped
    return training.run(), watcher, training


LUCKY = [(0.9, 0.7), (0.8, 1.0), *[(0.7 - 0.05 * i, 0.995) for i in range(10)]]


def test_an_early_lucky_network_is_kept_neither_at_the_end_nor_at_ctrl_c(photos, monkeypatch):
    finished, watcher, training = outcome(photos, monkeypatch, LUCKY)
    assert finished.ended == FINISHED and watcher.kept[-1] and not watcher.messages
    same = training.state.ema.network.state_dict()
    assert finished.tensors is not None and all(finished.tensors[n].equal(same[n]) for n in same)
    stopped, watcher, training = outcome(photos, monkeypatch, LUCKY, stop_after=4)
    assert stopped.ended == INTERRUPTED and stopped.interrupted and watcher.kept == [True] * 4
    assert training.state.progress.kept_at == stopped.history[-1].fraction


def test_a_clearly_better_earlier_network_is_kept_and_named(photos, monkeypatch):
    scores = [(0.9, 0.7), (0.3, 1.0), *[(0.9, 0.4)] * 10]
    finished, watcher, _ = outcome(photos, monkeypatch, scores)
    assert watcher.kept.count(True) == 2 and "with 100.0%: the better one is kept" in watcher.messages[0]
    assert finished.tensors is not None


@pytest.mark.parametrize(
    ("fraction", "stalled_at", "expected"),
    [
        (0.7, None, 0.7),
        (0.6, 0.6, 0.6),
        (0.65, 0.6, 0.8),
        (0.7, 0.6, 1.0),
        (0.8, 0.6, 1.0),
        (0.97, 0.95, 0.97),
    ],
)
def test_after_a_stall_the_rest_of_the_schedule_takes_a_tenth_of_the_run(fraction, stalled_at, expected):
    assert shortened(fraction, stalled_at) == pytest.approx(expected)


def test_a_stalled_run_ends_early_with_a_learning_rate_that_has_fallen_to_nothing(photos, monkeypatch):
    finished, watcher, training = outcome(photos, monkeypatch, [(0.5, 0.7)] * 60, epochs=60)
    progress = training.state.progress
    assert finished.ended == STALLED and len(watcher.messages) == 1 and "it ends early" in watcher.messages[0]
    assert 0.5 < progress.stalled_at < 0.55
    assert progress.seen / training.plan.images == pytest.approx(progress.stalled_at + LAST_SHARE, abs=0.01)
    assert training.state.optimisers[0].param_groups[0]["lr"] < 0.06 * training.plan.config.lr
    assert finished.history[-1].fraction == 1.0


def test_a_checkpoint_of_format_1_is_completed():
    row = {"fraction": 0.2, "loss": 0.5, "score": 0.9}
    history = [row, row | {"fraction": 0.3, "loss": 0.4}, row | {"fraction": 0.4, "score": 0.8, "loss": 0.3}]
    old = {"best": 0.9, "best_at": 0.2, "kept_at": 0.3, "kept_side": 16, "steps": 100, "history": history}
    fields = present_fields(old)
    assert "best_at" not in fields and fields["improved_at"] == 0.2 and fields["improved_step"] == 20
    assert (fields["kept_score"], fields["least_loss"]) == (0.9, 0.3)
    assert Progress(start=0.0, side=16, mark=Mark(0.0), **fields).kept_at == 0.3
    assert Row.__annotations__.keys() >= row.keys() and present_fields(fields) == fields
