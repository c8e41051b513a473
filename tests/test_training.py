"""Settings, schedule, optimiser, plan and loop."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

import eyespot
from conftest import write_set
from eyespot.config import Config, read_config, write_plan
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.fast import enabled
from eyespot.run_folder import Table
from eyespot.tasks.batches import Normal, measure
from eyespot.tasks.classification import class_weights
from eyespot.tasks.growth import mean_cost, side
from eyespot.tasks.order import Order
from eyespot.tasks.whiten import whiten
from eyespot.training import optimise
from eyespot.training.division import split_rows
from eyespot.training.loop import DIVERGED, Loop, clock, fraction_done, slowdown
from eyespot.training.networks import LADDERS
from eyespot.training.optimise import EMA, Muon, orthogonal
from eyespot.training.plan import make_plan
from eyespot.training.schedule import rate
from eyespot.training.state import Mark, Progress
from eyespot.training.threads import options
from eyespot.training.timing import Allowance, NetworkTimer, ways


class Nobody:
    """A watcher that keeps a checkpoint where a path is given, and remembers what it was told."""

    def __init__(self, path=None):
        self.path = path
        self.messages: list[str] = []
        self.best: list[dict] = []

    def on_step(self, fraction, per_second): ...

    def on_row(self, state, is_best):
        self.best.append(dict(state.best))

    def on_validated(self, row): ...

    def on_checkpoint(self, state):
        if self.path is not None:
            self.path.write_bytes(state.document(0.0))
        return self.path

    def on_message(self, text):
        self.messages.append(text)


def test_settings_survive_a_file_and_what_is_typed_wins(tmp_path):
    settings = Config(data="x", minutes=3.5, model="small", seed=7)
    write_plan(
        tmp_path / "plan.toml", settings, {"reasons": {"model": "small images"}, "timed": {"predict": 10.0}}
    )
    assert read_config(tmp_path / "plan.toml", {}) == settings
    assert read_config(tmp_path / "plan.toml", {"seed": 8}) == replace(settings, seed=8)


@pytest.mark.parametrize(
    "text,message",
    [
        ("minuets = 3", "unknown key 'minuets'; did you mean 'minutes'"),
        ("minutes = 'three'", "minutes is 'three'; give a number"),
        ("batch = 2.5", "batch is 2.5; give a whole number"),
        ("minutes = -1", "minutes is -1; give a number above 0"),
        ("epochs = nan", "epochs is nan; give a number above 0"),
        ("seed = true", "seed is True; give a whole number"),
        ("precision = 'float16'", "did you mean"),
        ("val_fraction = 1.5", "a share between 0 and 1"),
        ("held_out = 1.5", "val_fraction is 1.5; give a share between 0 and 1"),
        ("a b", "is not TOML"),
    ],
)
def test_wrong_settings_are_named(tmp_path, text, message):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        read_config(tmp_path / "c.toml", {})


@given(st.floats(0, 1))
def test_the_rate_is_a_cycle_between_nothing_and_one(fraction):
    assert 0 <= rate(fraction) <= 1


def test_the_rate_has_one_peak_and_ends_at_nothing():
    rates = [rate(f) for f in np.linspace(0, 1, 501)]
    top = int(np.argmax(rates))
    assert rates[top] == 1 and all(np.diff(rates[: top + 1]) > 0) and all(np.diff(rates[top:]) < 0)
    assert rates[-1] == rate(1.7) == 0


def test_images_grow_to_their_size():
    assert [side(f, 32, "grow_long") for f in (0, 0.5, 0.7, 0.85, 1)] == [20, 24, 28, 32, 32]
    assert side(0, 16, "grow_long") == 16 and side(1, 45, "grow_long") == 45
    assert mean_cost(16, "grow_short") == 1 and 0.5 < mean_cost(32, "grow_long") < 0.6


@pytest.mark.parametrize("hardware", [True, False])
def test_orthogonal_leaves_directions_and_evens_lengths(hardware, monkeypatch):
    monkeypatch.setattr(optimise, "multiplies_bfloat16", lambda device: hardware)
    matrix = torch.randn(20, 50, generator=torch.Generator().manual_seed(0))
    before = matrix.clone()
    values = torch.linalg.svdvals(orthogonal([matrix], steps=5)[0])
    assert values.min() > 0.5 and values.max() < 1.3
    tall, small = orthogonal([matrix.T, matrix[:3]])
    assert torch.equal(orthogonal([matrix])[0].T, tall)
    assert torch.equal(orthogonal([matrix[:3]])[0], small)
    assert torch.equal(matrix, before)


def test_muon_keeps_each_filter_bank_near_its_first_length():
    layer = nn.Conv2d(3, 8, 3)
    first = layer.weight.detach().norm()
    optimiser = Muon([layer.weight], lr=0.1)
    for _ in range(20):
        layer.weight.grad = torch.randn_like(layer.weight)
        optimiser.step()
        assert abs(layer.weight.norm() / first - 1) < 0.12


def test_whitened_responses_are_uncorrelated():
    images = torch.randn(64, 3, 12, 12, generator=torch.Generator().manual_seed(0)).cumsum(2).cumsum(3)
    images = (images - images.mean()) / images.std()
    layer = nn.Conv2d(3, 12, 3)
    nn.init.zeros_(layer.bias)
    whiten(layer, images)
    responses = layer(images).movedim(1, -1).reshape(-1, 12)[:, :6]
    second = responses.T @ responses / len(responses)
    assert torch.allclose(second, torch.eye(6) * second.diagonal(), atol=0.02)
    assert second.diagonal().max() < 1.01 and torch.equal(layer.weight[6:], -layer.weight[:6])
    assert not any(p.requires_grad for p in layer.parameters())


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_images_are_normalised_and_stay_as_they_are(dtype):
    images = np.arange(2 * 5 * 6 * 3).reshape(2, 5, 6, 3).astype(dtype)
    before, normal = images.copy(), Normal((10.0, 20.0, 30.0), (2.0, 4.0, 8.0))
    expected = (images.astype(np.float32) - np.float32(normal.mean)) / np.float32(normal.std)
    assert np.array_equal(normal(images).movedim(1, -1), expected)
    assert np.array_equal(images, before)


@pytest.mark.parametrize("recipe,learned", [(None, False), ("muon", True)])
def test_what_is_timed_is_the_network_as_it_will_be_trained(recipe, learned, photos, monkeypatch):
    timed = []
    monkeypatch.setattr("eyespot.training.timing._step", lambda task, network, *_: timed.append(network))
    make_plan(survey_data(photos), Config(str(photos), minutes=5, device="cpu", recipe=recipe), clock())
    assert timed and all(p.requires_grad == learned for network in timed for p in network.stem.parameters())


def test_the_average_follows_the_weights():
    network = nn.Linear(1, 1, bias=False)
    average = EMA(network)
    values = []
    for step in range(200):
        with torch.no_grad():
            network.weight.fill_(float(step))
        average.update()
        values.append(average.network.weight.item())
    assert 150 < values[-1] < 199 and all(np.diff(values) >= 0)


def test_every_sample_comes_once_before_any_comes_again():
    order = Order(np.arange(10), 4, seed=0)
    draws = [order.at(4 * k) for k in range(5)]
    rows = np.concatenate([draw.rows for draw in draws])
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert list(rows[:10]) != list(rows[10:])
    assert draws[2].epochs.tolist() == [0, 0, 1, 1]


def test_a_batch_and_its_randomness_follow_from_its_position_alone():
    order, again = (Order(np.arange(100), 8, seed=5) for _ in range(2))
    draw, same, other = order.at(48), again.at(48), order.at(56)
    assert np.array_equal(draw.rows, same.rows)
    assert (
        draw.numpy_generator().random() == same.numpy_generator().random() != other.numpy_generator().random()
    )
    numbers = [torch.rand(1, generator=d.torch_generator()).item() for d in (draw, same, other)]
    assert numbers[0] == numbers[1] != numbers[2]
    assert not np.array_equal(Order(np.arange(100), 8, seed=6).at(48).rows, draw.rows)


def test_the_measured_mean_is_the_mean():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 6, 6, 2), dtype=np.uint8)
    normal = measure(pixels, np.arange(40))
    np.testing.assert_allclose(normal.mean, pixels[:40].mean((0, 1, 2)))
    np.testing.assert_allclose(normal.std, pixels[:40].std((0, 1, 2)))
    few = measure(pixels, np.arange(40), positions=360)  # ten images of 36
    np.testing.assert_allclose(few.mean, pixels[:40:4].mean((0, 1, 2)))
    x = normal(pixels[:40])
    assert x.shape == (40, 2, 6, 6) and x.is_contiguous(memory_format=torch.channels_last)
    assert x.mean().abs() < 1e-5 and abs(x.std() - 1) < 1e-2


def test_class_weights_answer_imbalance():
    assert class_weights(np.array([0, 0, 1]), 2)[0] is None
    weights, reason = class_weights(np.array([0] * 90 + [1] * 10), 2)
    assert weights is not None and weights[1] / weights[0] == pytest.approx(3)
    assert 0.9 * weights[0] + 0.1 * weights[1] == pytest.approx(1) and "9.0 times" in reason


def test_the_plan_obeys_what_is_typed_and_says_why(photos):
    found = survey_data(photos, Config(size=20, fit="crop"))
    asked = Config(
        str(photos),
        epochs=2,
        model="resnet18",
        batch=7,
        augment="none",
        device="cpu",
        precision="float32",
        recipe="muon",
    )
    plan = make_plan(found, asked, clock())
    assert plan.config == replace(
        asked,
        size=20,
        fit="crop",
        dim=2,
        view="samples",
        threads=plan.config.threads,
        start_from="none",
        lr=plan.config.lr,
        weight_decay=0.0,
    )
    for name in ("model", "batch", "augment", "device", "precision", "epochs", "size", "fit", "recipe"):
        assert plan.reasons[name] == "as you asked"
    chosen = make_plan(survey_data(photos), Config(str(photos), minutes=5), clock())
    assert (
        chosen.config.model in LADDERS["small"]
        and chosen.config.size == 24
        and "flip" in (chosen.config.augment or "")
    )
    assert set(chosen.train) | set(chosen.val) == set(range(60)) and len(chosen.val) == 12


@pytest.mark.skipif(not enabled(), reason="EYESPOT_FAST=0: the fast code is switched off")
@pytest.mark.parametrize("hardware", [True, False])
def test_bfloat16_is_timed_where_the_processor_has_it_or_it_was_typed(hardware, photos, monkeypatch):
    for module in ("timing", "plan"):
        monkeypatch.setattr(f"eyespot.training.{module}.multiplies_bfloat16", lambda device: hardware)

    monkeypatch.setattr(Allowance, "fits", lambda self, seconds: True)
    monkeypatch.setattr(NetworkTimer, "_seconds", lambda self, way: 1.0)
    monkeypatch.setattr(NetworkTimer, "_forward", lambda *_: 1.0)

    def timed(**typed) -> set[str]:
        plan = make_plan(
            survey_data(photos), Config(str(photos), epochs=2, batch=16, device="cpu", **typed), clock()
        )
        assert f"{plan.config.precision} {plan.config.threads}" in plan.timed
        slow = plan.config.precision in ("bfloat16", "im2col") and not hardware
        assert ("many times slower" in plan.reasons["precision"]) == slow
        return set(ways(plan.timed))

    numbers = options("cpu")
    known = ["float32", "bfloat16", "im2col"] if hardware else ["float32", "winograd"]
    both = timed()
    assert {way for way in both if way.startswith("float32")} == {f"float32 {n}" for n in numbers}
    assert {way.split()[0] for way in both} == set(known) and len(both) == len(numbers) + len(known) - 1
    assert timed(precision="bfloat16") == {f"bfloat16 {n}" for n in numbers}
    assert timed(precision="float32", threads=1) == {"float32 1"}


@pytest.mark.parametrize("minutes,remain", [(None, "1:35"), (10.0, "1:35"), (2.0, "1:15")])
def test_what_remains_is_by_the_work_done_and_never_beyond_the_minutes(minutes, remain, tmp_path):
    plan: Any = SimpleNamespace(config=Config(minutes=minutes), reserve=5.0)
    now = iter([15.0, 45.0])
    assert Table(tmp_path, Any, plan, lambda: next(now)).remain(0.25) == remain


def test_too_little_time_is_refused_before_training(photos):
    with pytest.raises(UserError, match="is not enough"):
        make_plan(survey_data(photos), Config(str(photos), minutes=0.01), clock())


def test_a_gpu_without_enough_memory_is_told_in_a_sentence(photos, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")

    monkeypatch.setattr("eyespot.run.make_plan", full)
    with pytest.raises(
        UserError, match=r"memory of this GPU is too small \(CUDA out of memory[^\n]*smaller --batch"
    ):
        eyespot.train(photos, epochs=1, out=tmp_path / "a")


def test_epochs_and_a_seed_repeat_a_run_exactly(photos, tmp_path):
    from safetensors.torch import load_file

    first = eyespot.train(photos, epochs=2, batch=16, seed=3, out=tmp_path / "a")
    plan = (
        tmp_path / "a" / "plan.toml"
    )  # what was timed, precision and threads, may come out otherwise next time
    again = [eyespot.train(config=plan, out=tmp_path / name) for name in ("b", "d")]
    other = eyespot.train(config=plan, seed=4, out=tmp_path / "c")
    a, b, d, c = (load_file(run.folder / "model.safetensors") for run in [first, *again, other])
    assert "precision" in plan.read_text()
    assert all(torch.equal(a[name], b[name]) and torch.equal(a[name], d[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


@pytest.mark.skipif(not enabled(), reason="EYESPOT_FAST=0: the fast code is switched off")
def test_the_precision_winograd_is_obeyed_and_repeats_exactly(photos, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    from eyespot.fast import conv_gradients as gradients

    used, faster_backward = [], gradients.faster_backward
    monkeypatch.setattr(gradients, "FEWEST", 1)
    monkeypatch.setattr(
        gradients, "faster_backward", lambda *args: [used.append(faster_backward(*args)), used[-1]][1]
    )
    asked = Config(str(photos), model="resnet18_w16", epochs=1, batch=16, threads=1)

    def weights(name: str, precision: str) -> dict[str, torch.Tensor]:
        write_plan(tmp_path / "plan.toml", replace(asked, precision=precision), {})
        run = eyespot.train(config=tmp_path / "plan.toml", out=tmp_path / name)
        return load_file(run.folder / "model.safetensors")

    plain = weights("plain", "float32")
    assert not used
    a, b = weights("a", "winograd"), weights("b", "winograd")
    assert any(used) and all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], plain[name]) for name in a)


def test_a_network_for_masks_and_a_negative_seed_are_refused(photos, tmp_path):
    with pytest.raises(UserError, match="unet_bn is for masks"):
        eyespot.train(photos, epochs=1, model="unet_bn", out=tmp_path / "run")
    with pytest.raises(UserError, match="seed is -1"):
        eyespot.train(photos, epochs=1, seed=-1, out=tmp_path / "run")


def test_a_loss_that_ends_infinite_is_told(photos, monkeypatch):
    plan = make_plan(
        survey_data(photos), Config(str(photos), model="tiny", size=16, epochs=1, batch=16), clock()
    )
    count = []

    def loss(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        count.append(0)
        return logits.sum() * (float("nan") if len(count) > 1 else 0.0)

    monkeypatch.setattr(plan.task, "loss", loss)
    monkeypatch.setattr(Loop, "_validation_is_due", lambda *_: False)
    outcome = Loop(plan, clock(), Nobody()).run()
    assert outcome.ended == DIVERGED
    assert outcome.tensors is None
    assert len(count) > 1


def test_after_one_infinite_loss_training_continues_from_the_checkpoint_at_half_the_rate(
    photos, tmp_path, monkeypatch
):
    plan = make_plan(
        survey_data(photos), Config(str(photos), model="tiny", size=16, epochs=9, batch=16), clock()
    )
    own, count = plan.task.loss, []

    def loss(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        count.append(0)
        return own(logits, y) * (float("inf") if len(count) == 8 else 1.0)

    monkeypatch.setattr(plan.task, "loss", loss)
    watcher = Nobody(tmp_path / "checkpoint.safetensors")
    training = Loop(plan, clock(), watcher)
    outcome = training.run()
    assert outcome.ended != DIVERGED
    assert training.state.progress.rate_factor == 0.5
    assert "not finite at step 8" in watcher.messages[0] and "half the learning rate" in watcher.messages[0]
    assert all(value.isfinite().all() for value in outcome.tensors.values())


def test_weights_that_are_not_finite_are_never_saved_or_validated(photos, tmp_path, monkeypatch):
    """The loss stays finite here, as where one weight of an unused unit overflows."""
    plan = make_plan(
        survey_data(photos), Config(str(photos), model="tiny", size=16, epochs=9, batch=16), clock()
    )
    watcher = Nobody(tmp_path / "checkpoint.safetensors")
    training = Loop(plan, clock(), watcher)
    update = training.state.ema.update

    def overflow() -> None:
        update()
        next(training.state.ema.network.parameters()).data[0] = float("inf")

    training.state.ema.update = overflow
    training.run()
    assert watcher.messages
    assert all(r.isfinite().all() for best in watcher.best for r in best.values())
    for name, value in load_file(watcher.path).items():
        assert not value.is_floating_point() or value.isfinite().all(), name


def test_sixteen_bits_and_many_channels_train(tmp_path):
    import tifffile

    rng = np.random.default_rng(0)
    for kind in ("low", "high"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for i in range(12):
            image = rng.integers(1000, 1200, (20, 20, 5)).astype(np.uint16)
            image[..., 2] += 300 * (kind == "high")
            tifffile.imwrite(
                tmp_path / "data" / kind / f"{i}.tif", image, photometric="minisblack", planarconfig="contig"
            )
    run = eyespot.train(tmp_path / "data", epochs=12, batch=8, out=tmp_path / "run")
    assert run.predictor.preprocessing.depth == "uint16" and run.predictor.preprocessing.channels == 5
    assert run.evaluation is not None and run.evaluation.scores["accuracy"]["value"] == 1


def test_training_ends_on_time(photos, tmp_path):
    """Not a speed test: the promise is kept by the schedule, whatever the machine does."""
    elapsed = clock()
    eyespot.train(photos, minutes=0.4, epochs=1e6, out=tmp_path / "run")
    assert elapsed() < 0.4 * 60 * 1.05


def test_the_faster_number_of_threads_is_used(monkeypatch):
    from eyespot.training import threads

    used, seconds = [4], {4: 1.0, 3: 1.05}
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: used[-1])
    monkeypatch.setattr(threads.torch, "set_num_threads", used.append)
    monkeypatch.setattr(threads.Threads, "_time", lambda self, network, few, n: seconds[n])
    network = nn.BatchNorm1d(2)
    chooser = threads.Threads([4, 3], 0.0)
    for now, expected in ((5, 4), (11, 4), (22, 4), (33, 3), (34, 3), (44, 4)):
        if now == 33:
            seconds[4] = 20.0  # another program has come
        if now == 34:
            seconds[4] = 0.5  # and gone, but it is too soon to ask again
        chooser.adjust(network, torch.zeros(4, 2), float(now))
        assert used[-1] == expected, now
    assert network.training and network.num_batches_tracked == 0


def test_thread_timing_leaves_the_network_as_it_was():
    from eyespot.training import threads

    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before, now = [v.clone() for v in network.state_dict().values()], torch.get_num_threads()
    threads.Threads([2, 1], -100.0).adjust(network, torch.randn(32, 1, 9, 9), 0.0)
    assert torch.get_num_threads() in (1, 2) and all(map(torch.equal, before, network.state_dict().values()))
    torch.set_num_threads(now)


@pytest.mark.parametrize("minutes,now,due", [(None, 10.0, True), (5, 10.0, False), (5, 3001.0, True)])
def test_without_a_clock_validations_come_by_the_fraction_alone(minutes, now, due):
    """A run by epochs repeats exactly, early stop included, however long a validation takes."""
    slow = Mark(seconds=0.0, fraction=0.5, seen=0, cost=100.0)
    training: Any = SimpleNamespace(
        state=SimpleNamespace(progress=SimpleNamespace(mark=slow)),
        config=Config(minutes=minutes),
        elapsed=lambda: now,
    )
    assert Loop._validation_is_due(training, 0.55) is due
    assert not Loop._validation_is_due(training, 0.51)


def test_test_images_are_not_watched(tmp_path):
    for split in ("train", "test"):
        write_set(tmp_path / split, per_class=10)
    plan = make_plan(survey_data(tmp_path), Config(str(tmp_path), epochs=1), clock())
    assert (len(plan.train), len(plan.val), len(plan.test)) == (24, 6, 30)
    assert not set(plan.test) & (set(plan.val) | set(plan.train))


def test_beside_test_images_no_more_are_held_out_than_are_watched(tmp_path, monkeypatch):
    monkeypatch.setattr("eyespot.training.division.MOST_VALIDATED", 3)
    for split in ("train", "test"):
        write_set(tmp_path / split, per_class=10)
    for data, config, held in (
        (tmp_path, Config(epochs=1), 3),
        (tmp_path, Config(epochs=1, val_fraction=0.4), 12),
        (tmp_path / "train", Config(epochs=1), 6),
    ):
        found = survey_data(data)
        division = split_rows(found, config)
        train, watched, why = division.train, division.val, division.reason
        assert len(watched) == held and len(train) + held == 30
        assert f"{held / 30:.0%} of each class" in why and ("a smaller share" in why) == (held == 3)


def test_the_callers_threads_are_left_as_they_were(photos, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    eyespot.train(photos, epochs=0.2, out=tmp_path / "run")
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def test_a_machine_that_slows_down_ends_training_sooner():
    """What comes after training takes longer too: twice the 10 seconds kept for it."""
    plan = SimpleNamespace(seconds=50.0, reserve=10.0, images=None)

    def fraction(now: float, costs: list[float]) -> float:
        progress = Progress(10.0, 0, Mark(10.0), validation_costs=costs)
        return fraction_done(now, plan, progress)  # type: ignore[arg-type]

    assert fraction(30.0, []) == 0.5
    assert fraction(40.0, [1.0, 2.0, 2.0]) == 1.0
    assert fraction(39.0, [1.0, 2.0, 2.0]) < 1
    assert [slowdown(costs) for costs in ([], [2.0, 1.0, 3.0], [2.0, 1.0, 3.0, 2.0])] == [1, 1, 2]


@pytest.mark.parametrize("stalled_at", [None, 0.6])
def test_the_schedule_does_not_go_back_where_the_machine_becomes_faster_again(stalled_at):
    """After a stall, a fraction that fell was stretched below 0, and all parameters were frozen."""
    plan = SimpleNamespace(seconds=60.0, reserve=20.0, images=None)
    progress = Progress(0.0, 0, Mark(0.0), validation_costs=[1.0, 2.0, 2.0])
    before = fraction_done(24.0, plan, progress)  # type: ignore[arg-type]
    assert before == pytest.approx(0.6)
    progress.mark = Mark(24.0, before)
    progress.stalled_at = stalled_at
    progress.validation_costs.append(1.0)
    after = fraction_done(24.1, plan, progress)  # type: ignore[arg-type]
    assert before <= after < 1
