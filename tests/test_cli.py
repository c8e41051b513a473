"""Each command as it is typed."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest
from PIL import Image

import eyespot
from conftest import one_sentence, texture
from eyespot.evaluation.run_split import split_rows
from eyespot.training.timing import Timed


def test_look_says_what_is_there(cli, photos, tmp_path):
    (photos / "rows" / "zero.png").write_bytes(b"")
    (photos / "rows" / "text.jpg").write_text("not an image")
    (photos / "columns" / "copy.png").write_bytes((photos / "columns" / "000.png").read_bytes())
    sheet = tmp_path / "sheet.png"
    result = cli("look", photos, "-o", sheet)
    assert result.code == 0
    for text in (
        "61 images in 3 classes",
        "24x24",
        "zero.png: the file is empty",
        "text.jpg: its content is not",
        "1 exact duplicate",
    ):
        assert text in result.out, text
    with Image.open(sheet) as picture:
        assert picture.width > 500


def test_look_json_is_one_document(cli, photos, tmp_path):
    result = cli("look", photos, "--json", "-o", tmp_path / "s.png")
    found = json.loads(result.out)
    assert found["images"] == 60 and found["classes"] == ["columns", "diagonals", "rows"]
    assert found["counts"]["all"]["rows"] == 20 and found["sizes"] == {"24x24": 60}
    assert found["preprocessing"]["size"] == 24 and found["unreadable"] == {}


def test_look_finds_leaks_contradictions_and_kinds(cli, tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("a", "b"):
            (tmp_path / "d" / split / kind).mkdir(parents=True)
            for i in range(4):
                Image.fromarray(texture(0, rng, 40)).save(tmp_path / "d" / split / kind / f"{i}.png")
    d = tmp_path / "d"
    (d / "val" / "a" / "leak.png").write_bytes((d / "train" / "a" / "0.png").read_bytes())
    (d / "train" / "b" / "clash.png").write_bytes((d / "train" / "a" / "1.png").read_bytes())
    with Image.open(d / "train" / "b" / "2.png") as picture:
        picture.resize((36, 36)).save(d / "val" / "b" / "near.png")
    Image.new("RGBA", (40, 40)).save(d / "train" / "a" / "alpha.png")
    frames = [Image.new("L", (40, 40), v) for v in (0, 99)]
    frames[0].save(d / "train" / "a" / "pages.tiff", save_all=True, append_images=frames[1:])
    out = cli("look", d, "-o", tmp_path / "s.png").out
    for text in (
        "1 exact duplicate across splits",
        "in two classes; keep one",
        "1 near duplicate across splits",
        "with transparency",
        "only the first is read",
        "grey among colour",
        "with a single value",
    ):
        assert text in out, text


def test_train_leaves_everything_that_was_promised(cli, photos, tmp_path):
    run = tmp_path / "run"
    result = cli("train", photos, "--epochs", 3, "--batch", 16, "--seed", 1, "--out", run)
    assert result.code == 0, result.err
    assert "as you asked" in result.err and "val loss" in result.err and "accuracy" in result.out
    assert {p.name for p in run.iterdir()} == {
        "model.safetensors", "plan.toml", "history.csv", "split.csv", "seen.npz", "first-batch.png", "report.html",
    }  # fmt: skip
    plan = tomllib.loads((run / "plan.toml").read_text())
    assert (
        plan["epochs"] == 3
        and plan["batch"] == 16
        and plan["model"] == "small"
        and plan["reasons"]["batch"] == "as you asked"
    )
    rows = split_rows(run)
    assert len(rows) == 60 and sum(r["split"] == "val" for r in rows) == 12
    history = list(csv.DictReader((run / "history.csv").read_text().splitlines()))
    assert history and float(history[-1]["fraction"]) <= 1
    report = (run / "report.html").read_text()
    assert (
        "<svg" in report
        and "data:image/png;base64" in report
        and "http://" not in report.replace("http://www.w3.org", "")
    )
    card = eyespot.load(run).card
    assert card.classes == ["columns", "diagonals", "rows"] and card.scores["accuracy"]["n"] == 12


def test_train_json_and_bad_files_give_one_document_and_code_1(cli, photos, tmp_path):
    (photos / "rows" / "000.png").write_bytes((photos / "rows" / "000.png").read_bytes()[:99])
    result = cli("train", photos, "--epochs", 1, "--json", "--out", tmp_path / "run")
    assert result.code == 1
    scores = json.loads(result.out)
    assert scores["accuracy"].keys() == {"value", "low", "high", "n"} and len(scores["unreadable"]) == 1
    assert result.err.splitlines()[-1].startswith(f"cannot be read: {photos / 'rows' / '000.png'}")


def test_a_group_stays_on_one_side(cli, photos, tmp_path):
    cli("train", photos, "--epochs", 1, "--group", r"(\d)\.png", "--out", tmp_path / "run")
    sides = {}
    for row in split_rows(tmp_path / "run"):
        sides.setdefault(row["group"], set()).add(row["split"])
    assert len(sides) == 10 and all(len(side) == 1 for side in sides.values())


def test_the_users_own_folders_are_kept(cli, tmp_path):
    from conftest import write_set

    for seed, split in enumerate(("train", "val", "test")):
        write_set(tmp_path / "d" / split, per_class=8, seed=seed)
    result = cli("train", tmp_path / "d", "--epochs", 2, "--batch", 8, "--out", tmp_path / "run")
    assert "24 images for training, 24 for validation, 24 for testing" in result.err
    assert {(r["path"].split("/")[-3], r["split"]) for r in split_rows(tmp_path / "run")} == {
        (s, s) for s in ("train", "val", "test")
    }


def test_the_trained_network_is_good_and_the_same_when_asked_again(cli, trained):
    run, _ = trained
    first = run.evaluation.scores["accuracy"]
    assert first["value"] > 0.9 and first["n"] == 18
    again = json.loads(cli("evaluate", run.folder, "--json").out)
    assert again["accuracy"] == first and again["confusion"] == run.evaluation.scores["confusion"]


def test_evaluate_on_other_data_says_what_it_saw(cli, trained, tmp_path):
    run, data = trained
    result = cli("evaluate", run.folder, data)
    assert result.code == 0 and "72 of these 90 images were trained on" in result.out
    (tmp_path / "new" / "rows").mkdir(parents=True)
    Image.fromarray(texture(0, np.random.default_rng(9))).save(tmp_path / "new" / "rows" / "x.png")
    assert "no image of columns, diagonals" in cli("evaluate", run.folder, tmp_path / "new").out
    (tmp_path / "new" / "rows").rename(tmp_path / "new" / "spirals")
    assert "does not know the class 'spirals'" in one_sentence(cli("evaluate", run.folder, tmp_path / "new"))


def test_predict_takes_files_folders_globs_and_standard_input(cli, trained, tmp_path, monkeypatch):
    run, data = trained
    one = data / "rows" / "000.png"
    result = cli("predict", run.folder, one)
    assert result.code == 0 and result.out.splitlines()[0] == "path,label,probability"
    assert len(cli("predict", run.folder, data).out.splitlines()) == 91
    assert len(cli("predict", run.folder, f"{data}/*/00?.png").out.splitlines()) == 31
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{one}\n\n{data / 'columns' / '001.png'}\n"))
    assert len(cli("predict", run.folder, "-").out.splitlines()) == 3
    out = tmp_path / "answers.jsonl"
    assert cli("predict", run.folder, one, "-o", out).out == ""
    answer = json.loads(out.read_text())
    assert answer["label"] == "rows" and sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert "rows" in cli("predict", run.folder, one, "--format", "table").out
    assert "did you mean 'json'" in one_sentence(cli("predict", run.folder, one, "--format", "jason"))


def test_predict_does_the_rest_and_lists_what_it_could_not_read(cli, trained, tmp_path):
    run, data = trained
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"x")
    result = cli(
        "predict", run.folder, data / "rows" / "000.png", bad, tmp_path / "none.png", "-o", tmp_path / "o.csv"
    )
    assert result.code == 1 and len((tmp_path / "o.csv").read_text().splitlines()) == 2
    assert result.err.splitlines() == [
        f"cannot be read: {bad}: its content is not an image of a known kind",
        f"cannot be read: {tmp_path / 'none.png'}: no such file or directory",
    ]
    assert "none of the files could be read" in one_sentence(cli("predict", run.folder, bad))


def test_nothing_that_is_read_or_there_is_written_over(cli, trained, tmp_path):
    run, data = trained
    mine, image = tmp_path / "mine.csv", tmp_path / "a.png"
    mine.write_text("mine")
    before = (data / "rows" / "000.png").read_bytes()
    image.write_bytes(before)
    assert f"{mine} exists" in one_sentence(cli("predict", run.folder, image, "-o", mine))
    for command in (
        ("predict", run.folder, image),
        ("convolve", image, "--kernel", "1 -1"),
    ):
        assert str(image) in one_sentence(cli(*command, "-o", image))
    sheet = data / "rows" / "000.png"
    assert "is one of the inputs" in one_sentence(cli("look", data, "-o", sheet))
    assert mine.read_text() == "mine" and image.read_bytes() == before == sheet.read_bytes()


def test_prediction_memory_does_not_grow(trained):
    """A stream is drawn from only as far as it is read."""
    run, data = trained
    drawn = 0

    def paths():
        nonlocal drawn
        for _ in range(100_000):
            drawn += 1
            yield data / "rows" / "000.png"

    stream = run.predictor.stream(paths())
    assert next(stream).label == "rows" and drawn < 500


def test_python_takes_paths_pictures_and_arrays(trained):
    run, data = trained
    path = data / "columns" / "003.png"
    with Image.open(path) as picture:
        answers = run.predict([path, picture, np.asarray(picture)])
    assert answers[0].label == "columns"
    assert [a.probability for a in answers] == pytest.approx([answers[0].probability] * 3, abs=1e-6)
    assert eyespot.predict(run.folder, str(path))[0].label == "columns"
    assert "columns" in str(answers) and "accuracy" in run._repr_html_() and "Run(" in repr(run)


def test_ctrl_c_keeps_the_best_and_returns_130(photos, tmp_path):
    # Where the tests run in the background, children inherit that Ctrl-C is ignored, and have to ask for it again.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from eyespot.cli import main; main()"
    asked = ["train", photos, "--minutes", "5", "--epochs", "100000", "--out", tmp_path / "run"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *asked], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    deadline = time.time() + 90
    while not (tmp_path / "run" / "history.csv").exists() and time.time() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "stopped by Ctrl-C" in err and "Traceback" not in err and "accuracy" in out
    assert f"resume  eyespot train --resume {tmp_path / 'run'}" in out
    assert eyespot.load(tmp_path / "run").card.scores["accuracy"]["n"] == 12
    assert (tmp_path / "run" / "report.html").exists()


def test_ctrl_c_before_the_first_step_is_said(cli, photos, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("eyespot.run.make_plan", stopped)
    result = cli("train", photos, "--epochs", 1, "--out", tmp_path / "run")
    assert result.code == 130 and "eyespot: stopped" in result.err


def test_ctrl_c_in_the_first_step_keeps_nothing(cli, photos, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("eyespot.tasks.classification.Classification.batch", stopped)
    timed = Timed({"float32 1": 100.0, "predict": 100.0})
    monkeypatch.setattr("eyespot.training.networks.largest", lambda task, *_, **__: (task, timed, ""))
    result = cli("train", photos, "--epochs", 1, "--out", tmp_path / "run")
    assert result.code == 130 and "stopped before the first step" in result.err


def test_names_beyond_the_terminals_letters(photos):
    (photos / "rows").rename(photos / "größe 細胞")
    command = [sys.executable, "-m", "eyespot", "look", photos, "-o", photos.parent / "sheet.png"]
    said = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True)
    assert said.returncode == 0 and "größe 細胞" in said.stdout.decode(), said.stderr


def test_the_installed_command_answers():
    result = subprocess.run([sys.executable, "-m", "eyespot", "--version"], capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout == f"eyespot {eyespot.__version__}\n"
    assert (
        subprocess.run(
            [sys.executable, "-m", "eyespot", "train", "--minuets", "1"], capture_output=True
        ).returncode
        == 2
    )


def test_a_look_shows_itself_in_a_notebook(photos):
    shown = eyespot.look(photos)._repr_html_()
    assert "60 images in 3 classes" in shown and "data:image/png;base64," in shown


def test_convolve_writes_edges(cli, photos, tmp_path):
    source, out = photos / "columns" / "000.png", tmp_path / "edges.npy"
    result = cli("convolve", source, "--kernel", "1 -1", "-o", out)
    assert result.code == 0 and "24 x 24 x 3 -> 24 x 24 x 3" in result.out
    image = _pixels(source)
    np.testing.assert_array_equal(np.load(out)[:, 1:], np.diff(image, axis=1))
    document = json.loads(cli("convolve", source, "--kernel", "1 -1", "-o", out, "--force", "--json").out)
    assert (document["path"], document["result_shape"]) == (str(out), [24, 24, 3])
    assert "is not rows of numbers" in one_sentence(cli("convolve", source, "--kernel", "1 x", "-o", out))


def _pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


def test_pandas_reads_predictions(trained, cli, tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas is what reads the files")
    run, data = trained
    for name in ("x.json", "x.jsonl"):
        assert cli("predict", run.folder, data / "rows", "-o", tmp_path / name).code == 0
        frame = pandas.read_json(tmp_path / name, lines=name.endswith("l"))
        assert list(frame.columns) == ["path", "label", "probability", "probabilities"] and len(frame) == 30
        assert frame.probability.between(0, 1).all()


def test_a_run_from_disk_has_its_evaluation(trained):
    run, _ = trained
    opened = eyespot.Run(run.folder, device="cpu")
    assert opened.evaluation.scores["accuracy"] == run.evaluation.scores["accuracy"]
    assert opened.evaluation is opened.evaluation
