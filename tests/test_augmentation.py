"""What training does with pipelines: classes that are exchanged, mixed labels, values of files, millimetres, policies."""

import numpy as np
import pytest
import torch
from PIL import Image

from eyespot.augment import parse
from eyespot.config import Config
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.recipe import ALTERNATE, TTA_FLIP
from eyespot.tasks.augmentation import apply_to_normalised, mirror_warning, sided_classes
from eyespot.tasks.batches import Normal
from eyespot.tasks.classification_settings import usual_augment, usual_recipe
from eyespot.tasks.order import first_draw
from eyespot.tasks.registry import task_of_survey
from eyespot.training.plan import Planner


def planner_of(path, **settings):
    config = Config(model="small", epochs=1, device="cpu", **settings)
    return Planner(survey_data(path, config), config, lambda: 0.0)


def task_of(path, **settings):
    planner = planner_of(path, **settings)
    planner.choose_settings()
    return planner.new_task()


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Photographs that are bright on the left, on the right or above."""
    root = tmp_path_factory.mktemp("sides")
    rng = np.random.default_rng(0)
    for name, window in {"left": np.s_[:, :8], "right": np.s_[:, 8:], "up": np.s_[:8]}.items():
        (root / name).mkdir()
        for i in range(12):
            image = rng.integers(0, 90, (16, 16, 3)).astype(np.uint8)
            image[window] += 120
            Image.fromarray(image).save(root / name / f"{i:02}.png")
    return root


@pytest.fixture(scope="module")
def organs(tmp_path_factory):
    """Images of which the left half is one organ and the right another."""
    root = tmp_path_factory.mktemp("organs")
    rng = np.random.default_rng(0)
    mask = np.repeat([1, 0, 2], [12, 8, 12]).astype(np.uint8) * np.ones((32, 1), np.uint8)
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for i in range(6):
        image = np.where(mask == 1, 200, 100) + rng.integers(0, 50, mask.shape)
        Image.fromarray(image.astype(np.uint8)).save(root / "images" / f"{i}.png")
        Image.fromarray(mask).save(root / "masks" / f"{i}.png")
    (root / "classes.txt").write_text("background\nleft lung\nright lung\n")
    return root


def test_mirrored_images_change_their_class(sides):
    task = task_of(sides, augment="flip(swaps='left,right')")
    assert task.mirrored_first is None  # which mirrors without changing classes
    rows = np.arange(36)
    x, y = task.batch(first_draw(rows, 0), 16)
    brighter = x.mean(1).unflatten(2, (2, 8)).mean((1, 3))  # (B, 2) of both halves
    left = brighter[:, 0] > brighter[:, 1]
    named = np.array(task.survey.classes)
    for row in rows.tolist():
        expected = "left" if left[row] else "right"
        before = named[task.labels[row]]
        assert named[y[row]] == (before if before == "up" else expected)
    assert not torch.equal(y, task.labels[rows])


def test_classes_to_exchange_must_be_there(sides):
    with pytest.raises(UserError, match="swaps the class 'links', which the data do not have"):
        planner_of(sides, augment="flip(swaps='links,right')").choose_settings()
    with pytest.raises(UserError, match="averages mirror images, whose classes are swapped"):
        planner_of(sides, augment="flip(swaps='left,right')", recipe=TTA_FLIP).choose_settings()


def test_views_and_alternation_are_of_plain_flips(sides):
    for augment, is_plain in (("flip", True), ("flip(p=0.3)", False), ("flip(swaps='left,right')", False)):
        recipe = usual_recipe(Config(augment=augment), 10)[0].split("|")
        assert (ALTERNATE in recipe, TTA_FLIP in recipe) == (is_plain, is_plain), augment


def test_an_alternating_recipe_leaves_other_flips_alone(sides):
    for augment, n in (("flip", 0), ("flip(p=0.3)", 1), ("flip(swaps='left,right')", 1)):
        task = task_of(sides, augment=augment, recipe="muon|alternate")
        assert len(task.operations) == n and (task.mirrored_first is None) == bool(n), augment


def test_left_and_right_are_not_mirrored_unasked(sides, organs):
    survey = survey_data(sides)
    assert usual_augment(survey, np.arange(36)) == ("shift(0.06)", "a mirrored image of left is one of right")
    task = task_of_survey(survey_data(organs)).training
    augment, reason = task.usual_augment(survey_data(organs), np.arange(6))
    assert "flip" not in augment and "left lung would become right lung" in reason
    assert sided_classes(["background", "Lung_L", "Lung_R"]) == ("Lung_L", "Lung_R")
    assert sided_classes(["cat", "left"]) is None
    assert sided_classes(["LeftHand", "RightHand"]) == ("LeftHand", "RightHand")
    assert sided_classes(["mano_izquierda", "mano_derecha"]) == ("mano_izquierda", "mano_derecha")
    assert sided_classes(["右", "左"]) == ("左", "右")
    assert sided_classes(["turn ccw", "turn cw"]) == ("turn cw", "turn ccw")
    assert sided_classes(["lung", "rung"]) is None


def test_masks_exchange_their_classes(organs):
    task = task_of(organs, augment="flip(p=1, swaps='left lung,right lung')", loss="ce")
    x, y = task.batch(first_draw(task.train, 0), 32)
    bright = x[:, 0] > x[:, 0].mean((1, 2), keepdim=True)
    assert (
        x[:, 0, :, -8:].mean() > x[:, 0, :, :8].mean()
    ) and bright.any()  # mirrored: the bright one is on the right, and is the right one
    assert set(y.labels[:, :, -8:].unique().tolist()) == {2} and set(
        y.labels[:, :, :8].unique().tolist()
    ) == {1}


def test_mixed_images_have_mixed_labels(sides):
    task = task_of(sides, augment="mixup(1.0)|cutmix(p=1)")
    x, y = task.batch(first_draw(np.arange(0, 36, 3), 0), 16)
    assert (
        y.shape == (12, 3) and torch.allclose(y.sum(1), torch.ones(12), atol=1e-5) and (y.amax(1) < 1).any()
    )
    logits = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = task.loss(logits, y)
    loss.backward()
    assert loss.item() > 0
    again = task.batch(first_draw(np.arange(0, 36, 3), 0), 16)
    assert torch.equal(again[0], x) and torch.equal(again[1], y)


def test_masks_are_mixed_by_boxes_only(organs):
    task = task_of(organs, augment="cutmix(p=1)", loss="ce")
    _, y = task.batch(first_draw(task.train, 0), 32)
    assert y.labels.shape == (len(task.train), 32, 32)
    with pytest.raises(UserError, match="'mixup' mixes classes, and a pixel of a mask has one"):
        planner_of(organs, augment="mixup").choose_settings()


def test_trivial_is_for_masks_too_but_not_for_border_weights(organs):
    task = task_of(organs, augment="trivial", loss="ce")
    task.batch(first_draw(task.train, 0), 32)
    with pytest.raises(UserError, match="which the border weights of the loss border cannot follow"):
        planner_of(organs, augment="trivial", loss="border").choose_settings()


def test_transforms_of_file_values_get_these():
    normal = Normal((100.0, 50.0, 20.0), (40.0, 20.0, 5.0))
    x = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 200
    from eyespot.augment.pipeline import apply_steps, parse, sampled_steps

    for text in ("saturation(0.9)|hue(90)", "gamma(0.5,2)", "jpeg(10,20)", "trivial"):
        steps = sampled_steps(parse(text, 2), x.shape, torch.Generator().manual_seed(1))
        expected, _ = apply_steps(x, None, steps)
        changed, _ = apply_to_normalised(normal.of_channels(x), None, steps, normal)
        # Whole values are coded: rounding errors of the normalisation may move one across a half.
        close = (normal.undo(changed) - expected).abs() < (0.05 if "jpeg" not in text else 60)
        assert close.all(), text


def test_data_that_lack_what_a_transform_needs(sides, organs):
    for path, augment, message in (
        (organs, "hue", "'hue' is for 3 channels, and these data have 1: leave it out"),
        (sides, "gain", "'gain', which is for signals, and not for an image"),
        ("waves", "rotate", "'rotate', which needs two axes; a signal has one"),
        ("waves", "frequency_mask", "'frequency_mask' is for a spectrum and not for samples"),
    ):
        with pytest.raises(UserError, match=message):
            planner_of(path, augment=augment).choose_settings()


def test_auto_is_what_is_chosen_where_nothing_is_given(sides):
    planners = [planner_of(sides, augment=augment) for augment in ("auto", None)]
    for planner in planners:
        planner.choose_settings()
    assert planners[0].config == planners[1].config and planners[0].reasons == planners[1].reasons
    assert planners[0].config.augment == "shift(0.06)"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_policy_trains(sides, tmp_path, precision):
    import eyespot

    (tmp_path / "settings.toml").write_text(f'precision = "{precision}"\nthreads = 1\n')
    run = eyespot.train(
        sides,
        config=tmp_path / "settings.toml",
        model="small",
        epochs=1,
        augment="trivial|mixup",
        out=tmp_path / "run",
    )
    assert run.evaluation is not None


def test_a_mirror_of_sided_classes_is_warned_of_unless_it_exchanges_them():
    classes = ("arrow_left", "arrow_right")
    assert "a mirrored image of arrow_left may show arrow_right" in mirror_warning(
        parse("shift|flip"), classes
    )
    assert mirror_warning(parse("flip_axes"), classes)
    assert not mirror_warning(parse("flip(swaps='arrow_left,arrow_right')"), classes)
    assert not mirror_warning(parse("vflip|shift"), classes) and not mirror_warning(
        parse("flip"), ("cat", "dog")
    )
