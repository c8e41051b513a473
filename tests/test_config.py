"""Each setting is declared once: everything that is derived from the declaration agrees with it."""

import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from typer.main import get_command

import eyespot
from conftest import one_sentence
from eyespot import renamed
from eyespot.cli import app
from eyespot.config import (
    DECLARED,
    RENAMED,
    TYPES,
    Config,
    Settings,
    as_table,
    given_settings,
    help_text,
    on_shell,
    option,
    read_config,
    reading_settings,
    value_type,
    write_plan,
)
from eyespot.console import quiet
from eyespot.errors import UserError
from eyespot.recipe import RENAMED as RENAMED_PARTS
from eyespot.recipe import parse_recipe

SETTINGS_PAGE = Path(__file__).parent.parent / "docs" / "guide" / "settings.md"
EXAMPLES = {
    "data": "x", "minutes": 3.5, "epochs": 2.0, "model": "small", "size": 32, "fit": "pad", "dim": 2,
    "view": "samples", "void": "none", "multilabel": True, "loss": "ce", "batch": 16, "recipe": "none",
    "augment": "flip", "duplicates": "drop", "group": "a", "val_fraction": 0.3, "folds": 5, "fold": 2, "seed": 7, "precision": "float32", "threads": 1,
    "device": "cpu", "start_from": "w.pth", "fine_tune": True, "task": "segmentation", "objects": True,
    "align": "array", "nan": 0.5,
    "columns": "2", "decimal": "comma", "rate": 360.0,
    "axes": "ZYX", "scaling": "none", "background": "black",
    "harden": True, "lr": 0.1, "weight_decay": 0.0, "log": "jsonl",
    "images": "scans/*", "masks": "truth/*", "label_from": "(a)",
}  # fmt: skip


@pytest.fixture
def notes(capsys):
    """What was said on standard error, with no name said before."""
    renamed.report_renamed.cache_clear()
    return lambda: capsys.readouterr().err


def options_of(verb):
    return {p.name: p for p in get_command(app).commands[verb].params}  # type: ignore[attr-defined]


def test_the_options_of_the_shell_are_the_settings():
    own = {"data", "out", "config", "resume", "list_models", "force", "json", "full", "quiet"}
    options = options_of("train")
    assert set(options) == set(on_shell()) | own
    for name in on_shell():
        assert option(name) in options[name].opts
        assert options[name].help == help_text(name), name
        assert options[name].default in (None, False), name
    assert set(options_of("look")) - {"data", "out", "force", "json", "quiet"} == set(reading_settings())
    assert {"task", "size", "fit", "dim", "view", "objects", "void", "multilabel"} <= set(reading_settings())
    assert set(options_of("train")["objects"].secondary_opts) == {"--classes"}


def test_the_arguments_of_train_are_the_settings():
    parameters = inspect.signature(eyespot.train).parameters
    own = {"data", "out", "config", "resume", "force", "elapsed", "callback"}
    assert set(parameters) == set(DECLARED) | own and next(iter(parameters)) == "data"
    for name in set(DECLARED) - own:
        assert (
            parameters[name].annotation == TYPES[name] and parameters[name].default == DECLARED[name].default
        )
        assert re.search(rf"^    {name}  +\S", eyespot.train.__doc__ or "", re.M), name
    assert max(map(len, (eyespot.train.__doc__ or "").splitlines())) <= 120


def test_the_types_for_checkers_are_those_of_the_settings():
    hints = get_type_hints(Settings)
    assert list(hints) == [name for name in DECLARED if name != "data"]
    for name, hint in hints.items():
        kinds = {kind for kind in get_args(hint) if kind is not type(None)}
        assert {kind for kind in kinds if kind != os.PathLike[str]} == {value_type(TYPES[name])}, name
        assert type(None) in get_args(hint)


def test_the_page_of_settings_is_made_of_the_settings():
    """`python -m eyespot.config` prints the table, and docs/_extensions/derived.py puts it into the page."""
    assert "<!-- made: settings -->" in SETTINGS_PAGE.read_text()
    rows = [line.split("|")[1:3] for line in as_table().splitlines()[2:]]
    assert [name.strip(" `") for name, _ in rows] == list(DECLARED)
    typed = {option(name) for name in on_shell()} | {"DATA", ""}
    assert {text.strip(" `") for _, text in rows} <= typed


def test_every_setting_survives_plan_toml(tmp_path):
    assert set(EXAMPLES) == set(DECLARED)
    settings = Config(**EXAMPLES)
    write_plan(tmp_path / "plan.toml", settings, {"reasons": {"model": "small images"}})
    assert set(tomllib.loads((tmp_path / "plan.toml").read_text())) == {*DECLARED, "reasons"}
    assert read_config(tmp_path / "plan.toml", {}) == settings


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_every_setting_checks_its_type(name):
    wrong = 1 if value_type(TYPES[name]) in (str, bool) else "x"
    with pytest.raises(UserError, match=f"^{name} is {wrong!r}; give (a|true)"):
        Config(**{name: wrong})


def test_every_number_is_checked():
    numbers = {name for name in DECLARED if value_type(TYPES[name]) in (int, float)}
    assert numbers == {n for n in numbers if DECLARED[n].metadata["setting"].check}
    for name in numbers:
        with pytest.raises(UserError, match=f"^{name} is True; give a"):
            Config(**{name: True})


@pytest.mark.parametrize("name", [name for name, f in DECLARED.items() if f.metadata["setting"].check])
def test_every_check_refuses_in_one_sentence(name):
    wrong = {str: "none of these", int: -1, float: -float("inf")}[value_type(TYPES[name])]
    with pytest.raises(UserError, match=rf"^{name} is {wrong!r}; (give|known|did you mean)"):
        Config(**{name: wrong})


def test_old_names_of_settings_are_read_and_reported_once(tmp_path, notes):
    (tmp_path / "c.toml").write_text("held_out = 0.3")
    for _ in range(2):
        assert read_config(tmp_path / "c.toml", {}).val_fraction == 0.3
        assert given_settings({"held_out": 0.3}) == {"val_fraction": 0.3}
    assert notes().count("'held_out' was renamed 'val_fraction'") == 1
    assert not set(RENAMED) & set(DECLARED)


def test_old_parts_of_a_recipe_are_read_and_reported_once(notes):
    for _ in range(2):
        assert parse_recipe("muon|average|smooth|mirror|moved") == {
            "muon", "ema", "label_smoothing", "tta_flip", "tta_shift",
        }  # fmt: skip
    lines = notes().splitlines()
    assert len(lines) == len(RENAMED_PARTS) and "'average' was renamed 'ema'" in lines[0]


def test_the_fallback_of_a_setting_does_not_override_a_file(tmp_path):
    (tmp_path / "c.toml").write_text("seed = 3\nmultilabel = true")
    config = read_config(tmp_path / "c.toml", given_settings({"seed": None, "multilabel": None}))
    assert config.seed == 3 and config.multilabel
    assert not read_config(tmp_path / "c.toml", given_settings({"multilabel": False})).multilabel


def test_an_unknown_argument_names_the_nearest_setting():
    with pytest.raises(TypeError, match="'minuets' is not a setting; did you mean 'minutes'"):
        eyespot.train("digits", minuets=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("verb", sorted(get_command(app).commands))  # type: ignore[attr-defined]
@pytest.mark.parametrize("asked", ["-h", "--help"])
def test_help_breaks_no_word_at_80_columns(verb, asked, cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = cli(verb, asked)
    assert result.code == 0 and max(map(len, result.out.splitlines())) <= 80
    words = set(result.out.split())
    for parameter in options_of(verb).values():
        assert {*(getattr(parameter, "help", None) or "").split()} <= words


def test_help_and_config_import_nothing_heavy():
    code = (
        "import sys, eyespot.config\nfrom eyespot.cli import main\nsys.argv = ['eyespot', 'train', '-h']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "sys.exit(', '.join({'torch', 'numpy', 'scipy', 'PIL', 'rich.progress'} & set(sys.modules)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0 and "--minutes" in result.stdout, result.stderr


@pytest.mark.parametrize(
    "others", [["digits"], ["--epochs", 1], ["--force"], ["--out", "x"], ["--config", "c.toml"]]
)
def test_resume_takes_nothing_else(cli, tmp_path, others):
    assert "resume takes no other settings" in one_sentence(cli("train", "--resume", tmp_path, *others))


def test_resume_needs_a_run(cli, tmp_path):
    assert f"{tmp_path} holds no plan.toml" in one_sentence(cli("train", "--resume", tmp_path))


def test_quiet_leaves_progress_out(cli, photos, tmp_path):
    try:
        result = cli("train", photos, "--epochs", 1, "-q", "--out", tmp_path / "run")
    finally:
        quiet(False)
    assert result.code == 0 and result.err == "" and "accuracy" in result.out


def test_the_shell_completes_options(monkeypatch):
    code = "import sys; sys.argv[0] = 'eyespot'; from eyespot.cli import main; main()"
    asked = {"_EYESPOT_COMPLETE": "complete_bash", "COMP_WORDS": "eyespot train --mi", "COMP_CWORD": "2"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True
    )
    assert result.stdout.split() == ["--minutes"], result.stderr


def test_each_verb_is_described_in_one_line(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert "..." not in cli("-h").out.replace("[ARGS]...", "")
