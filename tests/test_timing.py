"""Timing: the fewest steps that decide, within a share of the time, by a clock that the tests move."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from eyespot.config import Config
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.fast import compiled
from eyespot.training import networks, timing
from eyespot.training.loop import Loop, clock, validation_size
from eyespot.training.networks import Fit, largest
from eyespot.training.plan import FEW_POSITIONS, make_plan, training_end
from eyespot.training.review import speed_note
from eyespot.training.state import Mark, Progress
from eyespot.training.timing import Allowance, NetworkTimer, Timed, samples_per_second


class Clock:
    """Seconds that pass only where a test lets them."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def task(photos):
    config = Config(str(photos), model="small_w16", epochs=1, batch=8, device="cpu", recipe="muon")
    plan = make_plan(survey_data(photos), config, clock())
    return plan.task.planned(replace(plan.config, precision=None, threads=None))


def timer_of(task, monkeypatch, seconds, share=60.0):
    """A timer whose steps take these seconds by way, and the ways in the order in which steps were taken."""
    now, taken = Clock(), []

    def step(self, way):
        taken.append(way)
        now.now += seconds[way]
        return seconds[way]

    def forward(self, x, number, most=0.0):
        now.now += seconds[f"float32 {number}"] / 8
        return seconds[f"float32 {number}"] / 8

    monkeypatch.setattr(NetworkTimer, "_seconds", step)
    monkeypatch.setattr(NetworkTimer, "_forward", forward)
    monkeypatch.setattr(timing, "options", lambda device: [2, 1])
    monkeypatch.setattr(timing, "precisions", lambda config: ["float32", "winograd"])
    allowance = Allowance(share, now)
    return NetworkTimer(task, np.arange(40), allowance), taken


def test_a_clear_winner_is_timed_once_and_close_ways_again(task, monkeypatch):
    timer, taken = timer_of(task, monkeypatch, {"float32 1": 1.0, "float32 2": 0.55, "winograd 2": 0.5}, 1000)
    timed = timer.quick()
    assert taken == ["float32 1"] * 2  # one to warm up
    timed = timer.compare()
    assert timed["winograd 2"] == pytest.approx(8 / 0.5, rel=1e-3)
    assert taken.count("float32 1") == 2 and taken.count("winograd 2") == taken.count("float32 2") + 0 == 4
    taken.clear()
    timer, taken = timer_of(task, monkeypatch, {"float32 1": 1.0, "float32 2": 0.6, "winograd 2": 3.0}, 1000)
    timer.quick()
    timer.compare()
    assert taken.count("winograd 2") == 2 and timing.fastest(timer.timed()) == "float32 2"


def test_all_cores_are_not_timed_where_another_program_has_one(task, monkeypatch):
    timer, taken = timer_of(task, monkeypatch, {"float32 1": 1.0, "float32 2": 40.0, "winograd 1": 0.9}, 1000)
    timer.quick()
    timer.compare()
    assert "float32 2" not in taken and timing.fastest(timer.timed()) == "winograd 1"


def test_timing_ends_with_its_share_of_the_time(task, monkeypatch):
    seconds = {"float32 1": 2.0, "float32 2": 1.9, "winograd 1": 1.0, "winograd 2": 1.0}
    timer, taken = timer_of(task, monkeypatch, seconds, share=10)  # a second
    timer.quick()
    timer.compare()
    assert taken == ["float32 1"]  # which had to serve as a warm-up and as a measurement
    assert timer.timed() == {"float32 1": 4.0, "predict": timer.timed()["predict"]}


def test_a_share_is_of_what_the_run_takes_and_half_a_second_is_always_allowed():
    now = Clock()
    allowance = Allowance(18_000, now)
    assert allowance.fits(1_800) and not allowance.fits(1_801)
    allowance.grant(30.0)
    now.now = 2.0
    assert allowance.fits(1.0) and not allowance.fits(1.1) and allowance.spent() == 2.0
    assert Allowance(0, now).fits(0.5)


def test_rates_are_of_whole_steps_on_new_batches(task, monkeypatch):
    """Twice as slow for longer than a moment, with batches that take half of the time and an update at the end."""
    now, drawn = Clock(), []
    timer = NetworkTimer(task, np.arange(40), Allowance(1000, now))

    def step(x, y):
        now.now += 1.0 if len(drawn) == 1 else 2.0

    class Stepper:
        param_groups: tuple = ()

        def step(self):
            now.now += 0.5

    batch = task.batch

    def slow_batch(draw, side):
        drawn.append(draw.index)
        now.now += 1.0
        return batch(draw, side)

    drawn.append(0)
    timer.steps["float32 1"] = step
    timer.seconds["float32 1"] = [1.0]
    monkeypatch.setattr(task, "batch", slow_batch)
    monkeypatch.setattr(timing, "new_optimisers", lambda *_: [Stepper()])
    timer._sustain("float32 1", 10.0)
    timed = timer.timed()
    assert timed["float32 1"] == 4.0 and timed["batch"] == 8.0 and timed["update"] == 2.0
    assert len(set(drawn)) == len(drawn) == 4
    assert samples_per_second(timed, 8) == pytest.approx(8 / 3.5)
    assert samples_per_second(timed, 8, cost=0.5) == pytest.approx(8 / 2.5)
    assert samples_per_second({"float32 1": 4.0}, 8) == 4.0  # of an older plan


def search(speeds, seconds, samples, monkeypatch, photos, finished=None):
    """What `largest` chooses at these rates, the models whose steps it timed, and its reason."""
    seen = []

    class Fake:
        def __init__(self, task, sample_indices, allowance):
            self.model = task.config.model
            seen.append(self.model)

        def timed(self):
            return Timed({"float32 1": speeds[self.model], "predict": 1.0})

        quick = compare = lambda self, way=None: self.timed()

        def finish(self, seconds):
            return self.timed() if finished is None else self.timed().scaled(finished[self.model])

    monkeypatch.setattr(networks, "NetworkTimer", Fake)
    config = Config(str(photos), model="small", epochs=1, device="cpu", recipe="muon")
    plan: Any = SimpleNamespace(config=config)
    plan.planned = lambda config: SimpleNamespace(config=config, unit="images", planned=plan.planned)
    fit = Fit(lambda task, timed: min(100 * samples, seconds * timed["float32 1"]), lambda *_: seconds)
    task, _, reason = largest(plan, np.zeros(samples, np.int64), fit, Allowance(seconds), free=True)
    return task.config.model, seen, reason


SPEEDS = {"small_w16": 1000.0, "small_w32": 300.0, "small": 100.0, "small_w96": 40.0, "small_w128": 10.0}


def test_what_evidently_fits_is_not_timed(monkeypatch, photos):
    chosen, seen, reason = search(SPEEDS, 600, 24, monkeypatch, photos)
    assert chosen == "small" and seen == ["small_w16", "small"]
    assert reason == (
        "the widest that learns enough in the time, at 100 images/s; small_w96 needs 600,000 images and would see at "
        "most 2,400"
    )


def test_what_cannot_fit_is_not_timed(monkeypatch, photos):
    chosen, seen, reason = search(SPEEDS, 10, 40_000, monkeypatch, photos)
    assert chosen == "small_w16" and seen == ["small_w16"]
    assert "small_w32 needs 60,000 images and would see at most 20,000" in reason


def test_a_network_that_is_slower_for_longer_is_given_up_for_a_narrower_one(monkeypatch, photos):
    slower = dict.fromkeys(SPEEDS, 1.0) | {"small_w32": 3.0}
    chosen, seen, reason = search(SPEEDS, 300, 40_000, monkeypatch, photos, slower)
    assert chosen == "small_w16" and seen == ["small_w16", "small_w32", "small_w16"]
    assert "small_w32 needs 60,000 images and would see 30,000" in reason


def test_a_refusal_says_what_took_the_time():
    assert training_end(None, 9.0, 1.0, 2.0) is None and training_end(1.0, 9.0, 5.0, 8.0) == 51.0
    with pytest.raises(UserError, match=r"reading took 4 s, timing 3 s, and the evaluation takes 25 s; give"):
        training_end(0.5, 25.0, 4.0, 7.0)


def test_a_tiny_run_waits_for_no_compiler(photos, monkeypatch):
    def compile_passes(*_, **__):
        raise AssertionError("compiled")

    monkeypatch.setenv("CC", "cc")
    monkeypatch.setattr(compiled, "compile_passes", compile_passes)
    monkeypatch.setattr(compiled, "_compiled", {})
    compiled.use_compiled()
    plan = make_plan(survey_data(photos), Config(str(photos), epochs=1, device="cpu"), clock())
    compiled.use_compiled(False)
    assert "too short for compiling" in plan.reasons["precision"]
    assert 48 * 24**2 < FEW_POSITIONS
    assert torch.get_num_threads() == plan.config.threads


def test_minutes_without_end_cost_what_an_epoch_costs(photos):
    """Nothing is timed for the sake of 300 minutes."""
    spent = []
    grant = Allowance.grant

    def remembered(self, seconds):
        grant(self, seconds)
        spent.append(self.seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Allowance, "grant", remembered)
        make_plan(survey_data(photos), Config(str(photos), epochs=1, minutes=300, device="cpu"), clock())
    assert spent and max(spent) < 10


@pytest.mark.parametrize(
    ("minutes", "predict", "most"), [(None, 1.0, 2000), (1, 2.0, 200), (1, 500.0, 1000), (10, 1e4, 2000)]
)
def test_short_runs_validate_on_fewer_images(minutes, predict, most):
    plan: Any = SimpleNamespace(config=Config(minutes=minutes), timed={"predict": predict})
    assert validation_size(plan) == most


def reviewed(seen, now=70.0, images=1e9, side=16, start=10.0):
    """The note on a run of 100 s of training that was planned with 60 samples/s at full size and 240 at half of it."""
    preprocessing = SimpleNamespace(dim=2)
    task = SimpleNamespace(
        config=Config(size=32), survey=SimpleNamespace(preprocessing=preprocessing), cost=lambda: 0.5
    )
    task.sample_indices = lambda rows: rows
    plan: Any = SimpleNamespace(
        config=Config(batch=8, size=32, minutes=2),
        seconds=110.0,
        images=images,
        task=task,
        train=np.arange(100),
    )
    plan.timed = {"float32 1": 60.0, "predict": 100.0}
    return speed_note(plan, Progress(start, side, Mark(start), seen=seen), now)


def test_a_run_that_is_much_slower_than_planned_says_so_once():
    assert reviewed(seen=60 * 240) is None and reviewed(seen=60 * 170) is None  # as planned, nearly
    note = reviewed(seen=60 * 24)
    assert note and "0.1 times as fast" in note and "about 12.0 epochs" in note and "instead of 120.0" in note
    assert "3.0 times as fast" in (reviewed(seen=3 * 60 * 60, side=32) or "")
    assert reviewed(seen=60 * 24, images=1000) is None  # ten epochs fit in either case


def test_the_speed_is_compared_once(photos):
    config = Config(str(photos), model="tiny", size=16, epochs=2, batch=16, device="cpu", threads=1)
    plan = make_plan(survey_data(photos), config, clock())
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eyespot.training.review.speed_note", lambda *_: calls.append(1) or "slow")
        watcher = SimpleNamespace(messages=[])
        quiet = dict.fromkeys(("on_step", "on_row", "on_validated", "on_checkpoint"), lambda *_: None)
        Loop(plan, clock(), SimpleNamespace(on_message=watcher.messages.append, **quiet)).run()  # type: ignore[arg-type]
    assert calls == [1] and watcher.messages == ["slow"]
