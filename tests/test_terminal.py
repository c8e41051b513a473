"""What the commands print: in terminals of 60 and 80 columns, in pipes, with --quiet; and the words for counts."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.main import get_command

import eyespot
from conftest import one_sentence
from eyespot import console, wrapping
from eyespot.cli import app
from eyespot.console import long_table
from eyespot.plurals import count
from eyespot.run_folder import table_row
from eyespot.shell import VERBS
from eyespot.wrapping import fitted, quoted

COUNTED = (
    "images classes files masks pixels channels values samples folds names axes arrays epochs layers".split()
)
AT_LEAST_TWO = set(
    "cases csv_file csv_paths checks declared ensemble meaning multilabel numpy_file object_files page photographs "
    "pixels score service".split()
)
"""Modules that count with a plural of their own what cannot be one."""


@pytest.fixture
def terminal(monkeypatch):
    """Standard output is a terminal of so many columns, without colours."""

    def of(columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    return of


@pytest.fixture(scope="module")
def commands(trained, tmp_path_factory):
    """Each command that is quick, as it is typed."""
    run, data = trained
    out = tmp_path_factory.mktemp("written")
    return {
        "look": ["look", data, "-o", out / "sheet.png"],
        "evaluate": ["evaluate", run.folder],
        "predict": ["predict", run.folder, data / "rows", "--format", "table"],
        "invariance": ["invariance", run.folder, "--changes", "hflip", "--most", 9],
        "augment": ["augment", data, "-o", out / "augment.png", "--augment", "flip"],
        "inspect": ["inspect", run.folder],
        "gradients": ["inspect", "tiny", "--gradients"],
        "networks": ["inspect", "--list-models"],
        "card": ["card", run.folder],
        "weights": ["weights", "list"],
    }


@pytest.mark.parametrize(
    "name",
    "look evaluate predict invariance augment inspect gradients networks weights".split(),
)
def test_no_command_breaks_a_word_at_60_and_80_columns(cli, commands, terminal, name):
    """Each word of the narrow output is one of the output without a limit; a longer line is one word, or a row of it."""
    torch.manual_seed(0)
    piped = cli(*commands[name])
    words = set(piped.out.split())
    assert "\x1b" not in piped.out + piped.err
    for columns in (60, 80):
        terminal(columns)
        torch.manual_seed(0)
        lines = cli(*commands[name]).out.splitlines()
        strange = {word for line in lines for word in line.split() if word.rstrip(":") not in words}
        strange -= set(
            "Not shown, as the terminal has 60 80 columns: --json all. training memory stride".split()
        )
        assert {w.rstrip(",.:") for w in strange} - {w.rstrip(",.:") for w in words} <= NAMES_OF_COLUMNS
        too_long = [line for line in lines if len(line) > columns]
        assert all(len(line.split()) == 1 or "/" in line for line in too_long), too_long


NAMES_OF_COLUMNS = set("if dense mult-adds parameters output stride memory training".split())
"""Words of the sentence about columns that are left out."""


def test_every_command_has_quiet_and_two_ways_to_ask_for_help():
    group = get_command(app)
    names = group.commands.keys() - {"weights"}  # type: ignore[attr-defined]
    assert names | {"weights"} >= set(VERBS)
    for name in names:
        options = {o for p in group.commands[name].params for o in p.opts}  # type: ignore[attr-defined]
        assert {"--quiet", "-q"} <= options or name == "course", name


@pytest.mark.parametrize("columns", [60, 100])
def test_the_list_of_commands_cuts_no_sentence(cli, terminal, columns):
    terminal(columns)
    text = cli("-h").out
    assert "..." not in text.partition("Commands:")[2] and max(map(len, text.splitlines())) <= columns
    positions = [text.index(f"\n  {verb} ") for verb in VERBS]
    assert positions == sorted(positions), "in the order in which they are needed"
    assert cli("train", "-h").out.startswith("Usage: eyespot train [OPTIONS] [DATA]")


def test_quiet_prints_the_result_alone(cli, commands, monkeypatch):
    monkeypatch.setattr(console, "FIRST_SECONDS", -1)
    monkeypatch.setattr(console, "FIRST_WORK", 0)
    assert "reading headers, files: " in cli(*commands["evaluate"]).err
    for name in ("evaluate", "inspect", "weights"):
        result = cli(*commands[name], "-q")
        assert result.code == 0 and result.out and result.err == "", name


@pytest.mark.parametrize("width", [20, 40, 60, 100])
def test_a_long_line_is_broken_at_spaces_and_continues_below_its_value(width):
    text = "formats   PNG (1,200), JPEG (17), TIFF (2) and " + "x" * 30 + "\n\n" + "a sentence of words " * 9
    lines = fitted(text, width).split("\n")
    assert " ".join(text.split()) == " ".join(" ".join(lines).split())
    assert all(len(line) <= width or len(line.split()) == 1 for line in lines)
    if width == 60:
        assert lines[1].startswith(" " * 10 + "x") and lines[4].startswith("    a sentence")


def test_nothing_is_wrapped_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    wrapping.show("word " * 5000)
    console.say("word " * 30)
    result = capsys.readouterr()
    assert result.out.count("\n") == 1 and result.err.count("\n") == 1


def test_a_path_can_be_pasted():
    assert [quoted(p) for p in ("runs/a", Path("my runs/a's"), "-x", "a$b")] == [
        "runs/a", "'my runs/a'\"'\"'s'", "./-x", "'a$b'",
    ]  # fmt: skip


def test_intervals_stay_on_one_line(terminal):
    terminal(44)
    rows = [[f"class {k}", "91.4% (88.2 to 93.3)", "7.0% (1.0 to 9.9)", "12"] for k in range(2)]
    lines = long_table(["class", "recall", "precision", "n"], rows, "class")
    assert "(88.2 to 93.3)" in lines[2] and max(map(len, lines)) <= 44


@pytest.mark.parametrize("columns", [60, 10_000])
def test_of_a_long_table_both_ends_are_shown(terminal, columns):
    terminal(columns)
    rows = [[f"class-{k}", "91.4% (88.2-93.3)"] for k in range(50)]
    text = "\n".join(long_table(["class", "recall"], rows, "class"))
    assert "class-9 " in text and "class-40 " in text and "class-20" not in text
    assert "... 30 other classes ... (--json lists all)" in text


def test_the_live_table_fits_a_narrow_terminal():
    cells = ["0.1", "4%", "16", "2.159", "0.944", "69.6%", "1,181", "1:16"]
    assert len(table_row(cells, 100)) > 60 >= len(table_row(cells, 60))
    assert {"69.6%", "1:16"} <= set(table_row(cells, 60).split()) and "1,181" not in table_row(cells, 60)


def test_one_helper_writes_counts():
    """A count of what may be one is written by `plurals.count`, which has the singular."""
    nouns = "|".join(COUNTED)
    own = {
        path.stem
        for path in Path(eyespot.__file__).parent.rglob("*.py")
        if re.search(rf"\{{len\([^{{}}]*\)(:,)?\}} ({nouns})\b", path.read_text())
    }
    assert own <= AT_LEAST_TWO
    assert count(1, "file is", "files are") == "1 file is" and count(np.int64(2), "axis", "axes") == "2 axes"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnt18", "did you mean 'resnet18'?"),
        ("efficientnet_b0", "for classes take"),
        ("banana", "see eyespot inspect --list-models"),
    ],
)
def test_a_network_is_offered_only_where_its_name_is_near(cli, name, expected):
    assert expected in one_sentence(cli("inspect", name))


def test_the_share_of_the_validation_set_and_which_set_is_evaluated_are_options(cli, photos, tmp_path):
    run = tmp_path / "a run"
    result = cli("train", photos, "--epochs", 1, "--model", "tiny", "--val-fraction", 0.5, "-o", run)
    assert "30 images for training, 30 for validation" in result.err
    assert f"predict eyespot predict '{run}' FILE..." in result.out
    assert cli("evaluate", run, "--split", "validation").out == cli("evaluate", run).out
    assert "has no test set (its sets: train, validation)" in one_sentence(
        cli("evaluate", run, "--split", "test")
    )
    assert "give validation or test" in one_sentence(cli("evaluate", run, "--split", "train"))
    assert "has no validation set" in one_sentence(cli("evaluate", run, photos, "--split", "val"))


def test_of_a_data_set_and_of_a_run_the_set_that_was_asked_for_is_evaluated(cli, trained, tmp_path):
    run, data = trained
    for split, names in {"train": ["005"], "val": ["000", "001"], "test": ["002", "003", "004"]}.items():
        for kind in ("rows", "columns", "diagonals"):
            folder = tmp_path / "d" / split / kind
            folder.mkdir(parents=True)
            for name in names:
                (folder / f"{name}.png").write_bytes((data / kind / f"{name}.png").read_bytes())
    assert eyespot.evaluate(run.folder, tmp_path / "d", split="validation").scores["accuracy"]["n"] == 6
    assert eyespot.evaluate(run.folder, tmp_path / "d").scores["accuracy"]["n"] == 9
