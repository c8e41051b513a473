"""Images whose channels lie in several files: how they are named, read, compared, and predicted."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import eyespot
from eyespot.data.formats.channel_files import (
    contents_of,
    files_of,
    join,
    joined_path,
    name_without_channels,
)
from eyespot.data.formats.read import decode, load_bytes, read_header
from eyespot.data.header import Unreadable
from eyespot.data.sources.find import find_samples
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError
from eyespot.prediction.channel_groups import grouped

N = 6


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Image.fromarray(values).save(file, "TIFF" if path.suffix == ".tif" else "PNG")


def channel(i: int, value: int, n: int = 24) -> np.ndarray:
    rng = np.random.default_rng(100 * i + value)
    return (rng.integers(0, 60, (n, n)) + value).astype(np.uint8)


def mask(i: int, n: int = 24) -> np.ndarray:
    values = np.zeros((n, n), np.uint8)
    values[2 + i : 10 + i, 4:14] = 255
    return values


def scans(root, pattern="scans/{i}_{kind}.png", kinds=("bf", "gfp"), n=N):
    for i in range(n):
        for k, kind in enumerate(kinds):
            write(root / pattern.format(i=i, kind=kind), channel(i, 50 * k) + mask(i) // 4)
        write(root / "truth" / f"{i}.png", mask(i))


@pytest.mark.parametrize(
    "paths, joined",
    [
        (["a/x_t1.nii", "a/x_t2.nii"], "a/x_{t1,t2}.nii"),
        (["x_t1.nii", "x_t1ce.nii", "x_flair.nii"], "x_{t1,t1ce,flair}.nii"),
        (["x_ct_venous.nii", "x_mr.nii"], "x_{ct_venous,mr}.nii"),
        (["red/red_1.tif", "green/green_1.tif"], "{red,green}/{red,green}_1.tif"),
        (["t_red/1.tif", "t_blue/1.tif"], "t_{red,blue}/1.tif"),
        (["1/ct.nii", "1/pet.nii"], "1/{ct,pet}.nii"),
    ],
)
def test_one_path_names_all_files(paths, joined):
    path = joined_path([Path(p) for p in paths])
    assert path is not None and path == Path(joined)
    assert files_of(path) == [Path(p) for p in paths]


def test_names_that_braces_cannot_hold_have_no_such_path():
    assert joined_path([Path("a,b_1.png"), Path("a,b_2.png")]) is None
    assert joined_path([Path("a/b/1.png"), Path("a/1.png")]) is None
    assert name_without_channels("case_{t1,t2}.nii.gz") == "case.nii.gz"
    assert name_without_channels("{red,blue}_7.tif") == "7.tif"
    assert name_without_channels("{ct,pet}.nii") == "ct_pet.nii"


def test_a_file_that_has_braces_in_its_name_is_one_file(tmp_path):
    path = tmp_path / "x_{a,b}.png"
    write(path, channel(0, 0))
    assert files_of(path) == [path] and read_header(load_bytes(path)).channels == 1


def test_content_and_arrays_are_joined_in_the_order_of_the_names(tmp_path):
    assert contents_of(join([("t1", b"\n\nabc"), ("t 2", b"")])) == [("t1", b"\n\nabc"), ("t 2", b"")]
    write(tmp_path / "x_b.png", channel(1, 9))
    write(tmp_path / "x_a.tif", channel(2, 90).astype(np.uint16) * 300)
    content = load_bytes(tmp_path / "x_{b.png,a.tif}")
    header = read_header(content)
    array = decode(content).array
    assert (header.channels, header.depth, header.shape) == (2, "uint16", (24, 24))
    assert np.array_equal(array[..., 0], channel(1, 9))
    assert np.array_equal(array[..., 1], channel(2, 90).astype(np.uint16) * 300)


def test_files_of_different_sizes_are_no_channels(tmp_path):
    write(tmp_path / "x_a.png", channel(1, 9))
    write(tmp_path / "x_b.png", channel(1, 9, n=20))
    content = load_bytes(tmp_path / "x_{a,b}.png")
    with pytest.raises(Unreadable, match="different sizes: a 24x24, b 20x20"):
        read_header(content)
    with pytest.raises(Unreadable, match="no such file"):
        load_bytes(tmp_path / "x_{a,c}.png")


def test_files_that_lie_elsewhere_are_no_channels(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    for name, shift in (("a", 0.0), ("b", 0.0), ("c", 3.0)):
        affine = np.diag([1.0, 1, 2, 1])
        affine[0, 3] = shift
        nibabel.save(
            nibabel.Nifti1Image(np.zeros((5, 6, 7), np.int16), affine), tmp_path / f"x_{name}.nii.gz"
        )
    assert read_header(load_bytes(tmp_path / "x_{a,b}.nii.gz")).channels == 2
    with pytest.raises(Unreadable, match="a and c have different affines"):
        read_header(load_bytes(tmp_path / "x_{a,c}.nii.gz"))


def test_cases_that_lack_a_file_are_named(tmp_path):
    scans(tmp_path, kinds=("bf", "gfp", "rfp"))
    (tmp_path / "scans" / "4_gfp.png").unlink()
    with pytest.raises(
        UserError, match=r"1 case of 6 .* other images than bf, gfp, rfp, .*4\.png"
    ) as refusal:
        find_samples(tmp_path)
    assert str(refusal.value).count("\n") == 0


def test_copies_and_unnamed_folders_are_no_channels(tmp_path):
    scans(tmp_path / "copies", kinds=("bright", "dark"))
    with pytest.raises(UserError, match=r"is the mask of 2 images .*--images '\*\*/\*_bright.png'"):
        find_samples(tmp_path / "copies")
    scans(tmp_path / "folders", pattern="{kind}/{i}.png", kinds=("first", "second"))
    with pytest.raises(UserError, match=r"by a CSV \(.*\{first,second\}/0.png\)"):
        find_samples(tmp_path / "folders")


def test_a_table_may_name_several_files(tmp_path):
    scans(tmp_path, pattern="{kind}/{i}.png", kinds=("first", "second"))
    with (tmp_path / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "mask"])
        rows.writerows([f"{{first,second}}/{i}.png", f"truth/{i}.png"] for i in range(N))
    survey = survey_data(tmp_path / "list.csv")
    assert survey.preprocessing.channels == 2 and len(survey.headers) == N
    assert survey.preprocessing.channel_files == ("first", "second")


def test_files_are_grouped_as_those_trained_on(tmp_path):
    files = [tmp_path / f"new/{i}_{kind}.png" for i in (7, 8) for kind in ("gfp", "bf", "dic")]
    (tmp_path / "new").mkdir()
    paths = list(grouped([*files, tmp_path / "new/9_bf.png"], ("bf", "gfp")))
    assert paths == [
        tmp_path / "new/7_{bf,gfp}.png",
        tmp_path / "new/7_dic.png",
        tmp_path / "new/8_{bf,gfp}.png",
        tmp_path / "new/8_dic.png",
        tmp_path / "new/9_bf.png",
    ]


def test_channels_in_files_are_trained_evaluated_and_predicted(tmp_path, capsys):
    scans(tmp_path / "d")
    run = eyespot.train(tmp_path / "d", out=tmp_path / "run", epochs=1)
    assert run.evaluation is not None
    result = eyespot.evaluate(tmp_path / "run")
    assert not result.errors
    from eyespot.cli import app

    out = tmp_path / "out"
    for i in (7, 8):
        for k, kind in enumerate(("bf", "gfp")):
            write(tmp_path / "new" / f"{i}_{kind}.png", channel(i, 50 * k))
    app(["predict", str(tmp_path / "run"), str(tmp_path / "new"), "-o", str(out)], standalone_mode=False)
    assert sorted(path.name for path in out.iterdir()) == ["7.png", "8.png"]
    with pytest.raises(eyespot.UserError, match="a file for each of bf,gfp"):
        eyespot.load(tmp_path / "run")(str(tmp_path / "new" / "7_bf.png"))
