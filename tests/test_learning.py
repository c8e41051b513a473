"""What keeps the class, learned from training images: planted truths, the two measurements, and what is refused."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile
from typer.testing import CliRunner

import eyespot
from eyespot.cli import app
from eyespot.config import Config
from eyespot.data.sources.samples import RUN_FILES
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.invariances.changes import Catalogue
from eyespot.invariances.learning import candidates, learn, quick
from eyespot.invariances.learning.candidates import Candidate
from eyespot.invariances.learning.judge import HARMFUL, SAFE, UNKNOWN, Margins, Tried, needed, verdict
from eyespot.invariances.learning.learn import learn_changes, learn_ranges
from eyespot.invariances.learning.probe import nearest_class

SIDE = 16
MARGINS = Margins(0.02, 0.05)


def few_steps(patch):
    """Planted classes are learned in a few steps."""
    patch.setattr(quick, "BATCH", 32)
    patch.setattr(quick, "LEAST_STEPS", 30)
    patch.setattr(quick, "MOST_STEPS", 30)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    few_steps(monkeypatch)


def arrow(degrees, rng):
    """(SIDE, SIDE) an arrow that points so, a little off the middle, with noise"""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2 + rng.uniform(-0.5, 0.5, (2, 1, 1))
    angle = np.deg2rad(degrees)
    along, across = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    head = (along > 0) & (np.abs(across) < 6 - along)
    shaft = (np.abs(along) < 6) & (np.abs(across) < 1)
    image = 40 + 150 * (head & (along < 6) | shaft) + rng.normal(0, 8, (SIDE, SIDE))
    return image.clip(0, 255).astype(np.uint8)


def write_arrows(folder, directions, n=125):
    """A class for each direction, whose images point there within so many degrees."""
    rng = np.random.default_rng(0)
    for name, (middle, spread) in directions.items():
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = arrow(middle + rng.uniform(-spread, spread), rng)
            Image.fromarray(pixels).save(folder / name / f"{i:03}.png")
    return folder


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    return write_arrows(tmp_path_factory.mktemp("sides") / "arrows", {"one": (0, 10), "other": (180, 10)})


@pytest.fixture(scope="module")
def learned(sides):
    with pytest.MonkeyPatch.context() as patch:
        few_steps(patch)
        return learn_changes(sides, changes=["hflip", "vflip"])


def test_arrows_reject_the_flip_that_exchanges_them_and_keep_the_other(learned):
    ranges = learned
    assert ranges["hflip"].status == HARMFUL
    assert ranges["hflip"].pipeline == ""
    assert "is taken for" in ranges["hflip"].why
    assert ranges["vflip"].status == SAFE
    assert "vflip" in ranges.pipeline.split("|")
    assert "flip" not in ranges.pipeline.split("|")
    assert "harmful: hflip" in ranges.reason


def test_a_known_range_of_rotations_is_recovered_within_a_fifth(tmp_path):
    thirds = {
        "a": (0, 30),
        "b": (120, 30),
        "c": (240, 30),
    }  # rotated by more than 30 degrees, classes overlap
    ranges = learn_changes(write_arrows(tmp_path / "thirds", thirds, 130), changes=["rotate"])
    assert ranges["rotate"].status == SAFE
    assert 24 <= ranges["rotate"].dose <= 36


def test_tones_reject_reversal_and_keep_small_shifts_and_gain(tmp_path):
    rng = np.random.default_rng(0)
    time = np.arange(2000) / 8000
    for name, (start, end) in {"rises": (500, 2000), "falls": (2000, 500)}.items():
        (tmp_path / name).mkdir()
        for i in range(125):
            first, last = start * rng.uniform(0.9, 1.1), end * rng.uniform(0.9, 1.1)
            phase = 2 * np.pi * (first * time + (last - first) * time**2 / (2 * time[-1]))
            sound = 3000 * 2 ** rng.uniform(-1, 1) * np.sin(phase) + rng.normal(0, 60, len(time))
            wavfile.write(tmp_path / name / f"{i:03}.wav", 8000, sound.astype(np.int16))
    ranges = learn_changes(tmp_path, changes=["reverse", "shift", "brightness"])
    assert ranges["reverse"].status == HARMFUL
    assert ranges["shift"].status == SAFE
    assert ranges["brightness"].status == SAFE, "of a spectrum in decibels: a gain"


def test_a_run_learns_its_augmentation_writes_it_down_and_says_so(
    sides, learned, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(learn, "learn_ranges", lambda survey, settings, seconds: learned)
    run = eyespot.train(sides, augment="learn", epochs=1, out=tmp_path / "run", seed=1)
    config = eyespot.config.read_config(tmp_path / "run" / "plan.toml", {})
    assert config.augment == run.predictor.card.augment
    assert "learn" not in str(config.augment)
    said = capsys.readouterr().err
    assert "guess: augment: " in said
    assert "--augment none" in said
    assert "learned in " in said
    reasons = (tmp_path / "run" / "plan.toml").read_text()
    assert "learned: safe in" in reasons


def test_validation_images_choose_nothing(sides, monkeypatch):
    survey = survey_data(str(sides), Config(data=str(sides)))
    seen = []
    monkeypatch.setattr(learn, "Learner", lambda survey, settings, rows, *others: seen.append(rows) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        learn_ranges(survey, Config(data=str(sides)))
    division = learn.split_rows(survey, Config(data=str(sides)))
    assert set(seen[0].tolist()) == set(division.train.tolist())


def test_the_command_prints_a_table_and_json(sides, learned, monkeypatch):
    monkeypatch.setattr(learn, "learn_changes", lambda data, changes: learned)
    assert "training with it" in CliRunner().invoke(app, ["invariance", str(sides), "--learn"]).stdout
    result = CliRunner().invoke(app, ["invariance", str(sides), "--learn", "--changes", "hflip", "--json"])
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    flip = content["transforms"][0]
    assert flip["status"] == HARMFUL
    assert flip["doses"][0]["trained"]["low"] > 0
    assert content["n"] == 200
    refused = CliRunner().invoke(app, ["invariance", str(sides), "--learn", "--most", "5"])
    assert isinstance(refused.exception, UserError)


def test_too_few_images_and_time_are_said_with_what_is_needed(sides, tmp_path):
    few = write_arrows(tmp_path / "few", {"one": (0, 10), "other": (180, 10)}, 20)
    ranges = learn_changes(few)
    assert "100 are needed" in str(ranges)
    assert ranges.learned == []
    assert ranges.pipeline == "shift(0.06)"
    survey = survey_data(str(sides), Config(data=str(sides)))
    assert "4 s are left for it" in learn_ranges(survey, Config(data=str(sides)), seconds=4.0).flag


def test_a_slow_machine_is_said_with_the_time_that_is_needed(sides, monkeypatch):
    ticks = iter(range(0, 10**6, 5))
    monkeypatch.setattr("eyespot.invariances.learning.learner.time.monotonic", lambda: next(ticks))
    config = Config(data=str(sides))
    ranges = learn_ranges(survey_data(str(sides), config), config, seconds=30.0)
    assert "30 s are left for it, and about 60 are needed" in ranges.flag
    assert ranges.pipeline == "shift(0.06)"


def test_only_as_much_is_judged_as_there_is_time_for(sides, monkeypatch):
    config = Config(data=str(sides))
    survey = survey_data(str(sides), config)
    asked = []

    def judged(self, candidate, trainings):
        asked.append((candidate.name, trainings))
        self.start -= 1000
        monkeypatch.setattr(learn.time, "monotonic", lambda: 1e12)
        return learn.Learned(candidate, UNKNOWN, 1.0, [Tried(1.0, score(0, 1))], "")

    monkeypatch.setattr(learn.Learner, "judged", judged)
    ranges = learn_ranges(survey, config, seconds=1000.0, names=["hflip", "vflip"])
    assert asked == [("hflip", 2)]
    assert "no time was left for vflip" in ranges.reason


def test_what_cannot_be_learned_is_refused(sides, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in RUN_FILES:
        (run / name).write_text("")
    survey = survey_data(str(sides), Config(data=str(sides)))
    masks: Any = SimpleNamespace(source=SimpleNamespace(has_masks=True, name="cells"))
    for call, words in (
        (lambda: learn_ranges(survey, Config(data=str(sides), folds=3)), "validation set"),
        (lambda: learn_changes(sides, changes=["reverse"]), "cannot be learned"),
        (lambda: learn_ranges(masks, Config()), "masks"),
        (lambda: eyespot.augment_data(sides, augment="learn"), "--learn prints"),
        (lambda: learn_changes(run), "is a run"),
    ):
        with pytest.raises(UserError, match=words):
            call()


def score(value, reach, n=1000):
    return {"value": value, "low": value - reach, "high": value + reach, "n": n}


def candidate(name="rotate") -> Candidate:
    change = next(change for change in Catalogue(2, SIDE, SIDE).changes if change.name == name)
    return Candidate(change, change.severities)


def test_both_measurements_have_to_agree():
    for trained, probed, expected in (
        (score(0, 0.01), score(0, 0.02), SAFE),
        (score(0.1, 0.01), score(0.2, 0.02), HARMFUL),
        (score(0.01, 0.005), score(0.2, 0.02), HARMFUL),  # certain, and the probe says why
        (score(0.01, 0.005), score(0, 0.02), SAFE),
        (score(0, 0.01), score(0.2, 0.02), UNKNOWN),
        (score(0.1, 0.01), score(0, 0.02), UNKNOWN),
        (score(0.01, 0.03), score(0, 0.02), UNKNOWN),
    ):
        assert verdict(candidate(), [Tried(5.0, probed, trained)], MARGINS).status == expected, (
            trained,
            probed,
        )


def test_harm_of_the_kernel_and_the_border_is_not_the_transforms():
    harmful = Tried(5.0, score(0.2, 0.02), score(0.1, 0.01))
    assert harmful.status(MARGINS) == HARMFUL
    by_kernel = Tried(5.0, score(0.2, 0.02), score(0.1, 0.01), score(0.19, 0.02), score(0.1, 0.01))
    assert by_kernel.status(MARGINS) == UNKNOWN


def test_one_class_that_is_harmed_is_enough():
    probed, trained = score(0, 0.01), score(0, 0.01)
    hurt = Tried(5.0, probed, trained, classes={"6 is taken for 9 in 60 of 100": HARMFUL})
    assert verdict(candidate(), [hurt], MARGINS).status == HARMFUL
    doubtful = Tried(5.0, probed, trained, classes={"6 is taken for 9 in 60 of 100": UNKNOWN})
    learned = verdict(candidate(), [doubtful], MARGINS)
    assert learned.status == UNKNOWN
    assert "6 is taken for 9" in learned.why


def test_how_many_images_would_decide():
    assert needed(score(0.0, 0.04), 0.02) == 4000
    assert needed(score(0.02, 0.04), 0.02) is None
    learned = verdict(candidate(), [Tried(5.0, score(0, 0.01), score(0, 0.04))], MARGINS)
    assert "about 4,000 images" in learned.why


def test_nearest_neighbours_by_angle():
    pool = np.array([[1, 0.0], [1, 0.1], [0, 1], [0.1, 1]] * 3, np.float32)
    labels = np.array([0, 0, 1, 1] * 3)
    assert nearest_class(pool, labels, np.array([[2, 0.1], [0, 3]], np.float32)).tolist() == [0, 1]


def test_every_candidate_is_a_pipeline_that_training_takes():
    from eyespot.augment import parse
    from eyespot.data.preprocess.preprocessing import Preprocessing

    for dim in (1, 2, 3):
        read = Preprocessing(size=SIDE, channels=1, accepts=(1,), dim=dim)
        for one in candidates.candidates(read):
            for dose in one.doses:
                parse(one.pipeline(dose), dim)
