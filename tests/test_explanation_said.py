"""What `eyespot explain` says of maps without an order, of repeated files, of stages without places and of cross-validations."""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import eyespot
from conftest import one_sentence
from eyespot.errors import UserError
from eyespot.evaluation.evaluation import Evaluation
from eyespot.explanation.gallery import write_evaluation
from eyespot.explanation.page import content, fragment, summary
from eyespot.explanation.result import Explanation
from eyespot.models import create
from eyespot.prediction.ensemble import EnsembleEngine
from eyespot.prediction.load_torch import torch_predictor
from eyespot.prediction.model_file import make_predictor
from eyespot.weights.card import Card, write_model
from eyespot.weights.ensemble_file import write_ensemble

CONSTANT = "this map is the same everywhere, so it says nothing about places"
CLASSES = ["rows", "columns"]
READING = dict(
    fit="pad", channels=1, accepts=[1], depth="uint8", dim=2, size=16, side=16, stored=["uint8"], mean=[120.0]
)
CARD = Card(
    "small", {"widths": (4, 4, 8)}, CLASSES, READING | dict(std=[60.0], tta_flip=False, tta_shift=False)
)


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    return torch_predictor(CARD, create("small", classes=2, channels=1, dim=2, widths=(4, 4, 8)).eval())


@pytest.fixture(scope="module")
def run(tmp_path_factory, predictor) -> tuple[Path, list[str]]:
    """A run folder with its model file and its split, of images that are there."""
    folder = tmp_path_factory.mktemp("said") / "run"
    rows = []
    for k in range(6):
        path = folder.parent / f"{k:02}.png"
        folder.mkdir(exist_ok=True)
        Image.fromarray(image(k)).save(path)
        rows.append([str(path), CLASSES[k % 2], "val", "00"])
    write_model(folder / "model.safetensors", predictor.network.state_dict(), CARD)
    with (folder / "split.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "split", "content"], *rows])
    return folder, [row[0] for row in rows]


def occlusion_of(predictor) -> Explanation:
    made = eyespot.explain(predictor, image(0), method="occlusion")
    assert isinstance(made, Explanation)
    return made


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)


@pytest.mark.parametrize("patch", [16, 500])
def test_a_patch_as_large_as_the_image_is_refused(cli, run, tmp_path, patch):
    folder, paths = run
    result = cli("explain", folder, paths[0], "--method", "occlusion", "--patch", patch, "-o", tmp_path / "x")
    sentence = one_sentence(result)
    assert result.code == 2 and f"a patch of {patch} samples" in sentence
    assert "whose longest axis has 16" in sentence and "a --patch of 15 or less, such as 2" in sentence
    assert not (tmp_path / "x").exists()


def test_the_largest_patch_that_is_taken_tells_places_apart(predictor):
    made = eyespot.explain(predictor, image(0), method="occlusion", patch=15)
    assert isinstance(made, Explanation)
    assert made.map.std() > 0 and CONSTANT not in made.warnings


def test_a_map_that_is_the_same_everywhere_says_so_and_has_no_order(predictor, monkeypatch):
    def same(score, x, *rest, **options):
        return torch.full(x.shape[2:], 3.0) + 1e-7 * torch.rand(x.shape[2:])

    normal = occlusion_of(predictor)
    monkeypatch.setattr("eyespot.explanation.occlusion.occlusion", same)
    made = occlusion_of(predictor)
    assert made.trust is None and made.warnings == [CONSTANT]
    page = fragment([made])
    assert CONSTANT[1:] in page and "colours end" not in page and "insertion" not in page
    assert summary([made]).endswith(f"warning: {CONSTANT}") and "the same everywhere" in page
    assert "1 map of 2 the same everywhere" in summary([normal, made])
    assert content([normal, made])["has_ends"]


def test_a_file_that_is_named_twice_is_explained_once(cli, run, tmp_path):
    folder, paths = run
    twice = Path(paths[0]).parent / ".." / Path(paths[0]).parent.name / Path(paths[0]).name
    result = cli(
        "explain", folder, paths[1], paths[0], twice, paths[1], "-o", tmp_path / "q", "--method", "gradient"
    )
    assert result.code == 0 and "2 paths left out: the same file is named before" in result.err
    assert [line.split()[0] for line in result.out.splitlines()[:2]] == [paths[1], paths[0]]
    assert sorted(p.name for p in (tmp_path / "q").glob("*.npy")) == ["00_gradient.npy", "01_gradient.npy"]


def test_progress_is_over_the_images(cli, run, tmp_path, monkeypatch):
    folder, paths = run
    tracked = []

    def track(items, total, what):
        tracked.append((total, what))
        yield from items

    monkeypatch.setattr("eyespot.explanation.explain.track", track)
    assert cli("explain", folder, *paths, "-o", tmp_path / "p").code == 0
    assert tracked == [(6, "grad-cam, images")]
    tracked.clear()
    assert cli("explain", folder, *paths, "-o", tmp_path / "o", "--method", "occlusion").code == 0
    assert len(tracked) == 6 and all(what.startswith("occlusion of ") for _, what in tracked)
    tracked.clear()
    monkeypatch.setattr("eyespot.explanation.explain.MANY", 6)
    assert cli("explain", folder, *paths, "-o", tmp_path / "m", "--method", "occlusion").code == 0
    assert tracked == [(6, "occlusion, images")]


def test_stages_without_places_are_named(cli, run, tmp_path):
    result = cli("explain", run[0], "--layers", "-o", tmp_path / "l", "-q")
    assert result.code == 0, result.err
    said = "eft out: blocks.2 has a grid of 1 x 1, and so no places to show"
    assert f"l{said}" in result.out and f"L{said}." in (tmp_path / "l" / "index.html").read_text()


def test_of_a_cross_validation_one_fold_is_named(cli, predictor, run, tmp_path):
    folds = tmp_path / "f2"
    for k in (1, 2):
        (folds / f"fold-{k}").mkdir(parents=True)
        write_model(folds / f"fold-{k}" / "model.safetensors", predictor.network.state_dict(), CARD)
    write_ensemble(folds, CARD, [1, 2])
    for arguments in ([run[1][0]], ["--layers"]):
        sentence = one_sentence(cli("explain", folds, *arguments, "-o", tmp_path / "x"))
        assert f"name one fold, such as {folds}/fold-1" in sentence and "logits only" not in sentence
    sentence = one_sentence(cli("evaluate", folds, "--explain", tmp_path / "x"))
    assert f"name one fold, such as {folds}/fold-1" in sentence
    assert cli("explain", folds, run[1][0], "--method", "occlusion", "-o", tmp_path / "y", "-q").code == 0
    engine = EnsembleEngine([predictor.engine] * 2, [CARD] * 2)
    with pytest.raises(UserError, match="name one fold, such as RUN/fold-1"):
        eyespot.explain(make_predictor(CARD, engine), image(0))


def test_the_page_of_an_evaluation_names_the_run_and_another_folder_is_asked_for(
    cli, predictor, run, tmp_path
):
    evaluation = Evaluation({}, CLASSES, SimpleNamespace(cases=[]), {})
    write_evaluation(predictor, evaluation, tmp_path / "e", False, "my-run")
    assert "What the run my-run looked at" in (tmp_path / "e" / "index.html").read_text()
    sentence = one_sentence(cli("evaluate", run[0], "--explain", tmp_path / "e"))
    assert "name another folder with --explain" in sentence
