"""Columns of a CSV that say which images belong together keep these on one side of the split."""

import numpy as np
import pytest
from PIL import Image

import eyespot
from eyespot.config import Config
from eyespot.data.sources.csv_file import source_of_csv
from eyespot.data.surveys.survey_data import survey_data


def table(folder, header, cells, n=24):
    """A CSV of n images in two classes; `cells(i)` are what follows the path and the label."""
    for i in range(n):
        values = np.random.default_rng(i).integers(0, 200 + 50 * (i % 2), (24, 24, 3), np.uint8)
        (folder / "im").mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(folder / f"im/{i}.png")
    lines = [f"path,label{header}", *(f"im/{i}.png,{'ab'[i % 2]}{cells(i)}" for i in range(n))]
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    return folder / "t.csv"


def sides(run):
    """The splits of each group of four images."""
    of_group = {}
    for line in (run.folder / "split.csv").read_text().splitlines()[1:]:
        path, _, split = line.split(",")[:3]
        of_group.setdefault(int(path.rsplit("/", 1)[1][:-4]) // 4, set()).add(split)
    return of_group


@pytest.mark.parametrize("column", ["patient_id", "Subject", "slide", "group", "Speaker ID"])
def test_a_patient_stays_on_one_side(tmp_path, column):
    run = eyespot.train(
        table(tmp_path, f",{column},age", lambda i: f",P{i // 4},{40 + i}"), epochs=1, out=tmp_path / "run"
    )
    assert len(sides(run)) == 6 and all(len(splits) == 1 for splits in sides(run).values())


def test_it_is_said_and_overruled(tmp_path):
    csv = table(tmp_path, ",patient_id", lambda i: f",P{i // 4}")
    (guess,) = [g for g in survey_data(csv).guesses if g.name == "groups"]
    assert "patient_id" in guess.value and guess.option == "--group '.+' for no groups"
    run = eyespot.train(csv, epochs=1, group=".+", seed=0, out=tmp_path / "run")
    assert any(len(splits) > 1 for splits in sides(run).values())


def test_other_columns_are_no_groups(tmp_path):
    for header, cells in (
        (",age", lambda i: f",{i // 4}"),
        (",patient_id", lambda i: f",P{i}"),  # each image has its own
        (",patient_id", lambda i: ",P"),
    ):
        assert source_of_csv(table(tmp_path, header, cells), Config()).groups is None


def test_groups_across_the_users_splits_are_a_warning(tmp_path):
    csv = table(tmp_path, ",patient_id,split", lambda i: f",P{i // 4},{'train' if i % 4 < 3 else 'val'}")
    texts = [p.text for p in survey_data(csv).problems if p.level == "warning"]
    assert any("6 of the 6 groups are in several splits" in text for text in texts)


def test_the_split_of_a_run_keeps_its_groups(tmp_path):
    csv = table(tmp_path, ",patient_id", lambda i: f",P{i // 4}")
    run = eyespot.train(csv, epochs=1, out=tmp_path / "run")
    again = source_of_csv(run.folder / "split.csv", Config())
    assert again.groups == source_of_csv(csv, Config()).groups
