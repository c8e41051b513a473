"""Finding, splitting and caching: sources, duplicates, hold-out, arrays."""

import os
import threading
import time
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import write_set
from eyespot.data import cache, images
from eyespot.data.duplicates.pairs import clusters, near, thumbnail, thumbnails
from eyespot.data.images import load_images
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.data.scan import scan
from eyespot.data.sources.find import find_samples
from eyespot.data.split import groups_of, hold_out
from eyespot.data.surveys.survey_data import survey_data
from eyespot.environment import cache_folder
from eyespot.errors import UserError
from eyespot.parallel import in_order


def test_classes_are_the_union_over_splits_in_a_fixed_order(tmp_path):
    for split, kinds in (("train", "ca"), ("validation", "ab"), ("test", "c")):
        for kind in kinds:
            folder = tmp_path / split / kind
            folder.mkdir(parents=True)
            Image.new("L", (4, 4)).save(folder / "x.png")
    found = find_samples(tmp_path)
    assert found.classes == ("a", "b", "c") and found.splits == ("train", "val", "test")
    assert [s.label for s in found.samples if s.split == "val"] == ["a", "b"]


def test_files_outside_the_class_folders_are_listed(photos):
    for name in ("000.png", "001.png"):
        (photos / "rows" / name).rename(photos / name)
    (photos / "labels.csv").write_text("a,b\n")
    beside = (photos / "000.png", photos / "001.png")
    assert find_samples(photos).without == {"class": beside} and len(find_samples(photos).samples) == 58
    problem = next(p for p in survey_data(photos).problems if "outside the class folders" in p.text)
    assert problem.level == "warning" and problem.files == tuple(map(str, beside))
    assert (
        "2 files outside the class folders are ignored: move each into the folder of its class"
        in problem.text
    )


def test_what_lies_in_no_split_is_told(tmp_path):
    for split in ("train", "val", "more"):
        write_set(tmp_path / split, per_class=2)
    (tmp_path / "train" / "x.png").write_bytes((tmp_path / "more" / "rows" / "000.png").read_bytes())
    left = find_samples(tmp_path).without["class"]
    assert len(left) == 7 and tmp_path / "train" / "x.png" in left


def test_an_image_outside_the_folder_of_images_is_listed(tmp_path):
    for folder in ("images", "masks", "notes"):
        (tmp_path / folder).mkdir()
        for name in ("a.png", "b.png") if folder != "notes" else ("sketch.png",):
            Image.new("L", (8, 8), 1 if folder == "masks" and name == "b.png" else 0).save(
                tmp_path / folder / name
            )
    (tmp_path / f"{tmp_path.name}-look.png").write_bytes((tmp_path / "notes" / "sketch.png").read_bytes())
    (tmp_path / "notes.csv").write_text("a,b\n")
    told = [p for p in survey_data(tmp_path).problems if "outside the folders called images" in p.text]
    assert [p.files for p in told] == [(str(tmp_path / "notes" / "sketch.png"),)]
    assert told[0].level == "warning" and told[0].text.startswith(
        "1 image outside the folders called images is skipped"
    )


def test_a_csv_names_an_image_once(photos, tmp_path):
    table = tmp_path / "list.csv"
    rows = [
        "path,label",
        *(f"{photos / c / n},{c}" for c in ("rows", "columns") for n in ("000.png", "001.png")),
    ]
    table.write_text("\n".join([*rows, rows[2]]))
    with pytest.raises(UserError, match=r"list\.csv line 6 repeats .*001\.png of line 3: delete one"):
        find_samples(table)


def test_the_runs_in_a_folder_are_no_data(photos):
    run = photos / "runs" / "photos"
    run.mkdir(parents=True)
    assert find_samples(photos).classes == (
        "columns",
        "diagonals",
        "rows",
    )  # a run that only has its name yet
    for name in ("plan.toml", "split.csv"):
        (run / name).write_text("")
    (run / "first-batch.png").write_bytes((photos / "rows" / "000.png").read_bytes())
    (photos / "rows" / "run").symlink_to(run)
    (photos / "runs" / "answers.csv").write_text("")
    (photos / f"{photos.name}-look.png").write_bytes((photos / "rows" / "000.png").read_bytes())
    found = find_samples(photos)
    assert (
        found.classes == ("columns", "diagonals", "rows") and len(found.samples) == 60 and not found.without
    )


def test_an_empty_folder_is_no_run_and_no_class_but_listed(photos):
    (photos / "points" / "left").mkdir(parents=True)
    source = find_samples(photos)
    assert source.classes == ("columns", "diagonals", "rows") and source.skipped == (photos / "points",)
    notes = [p for p in survey_data(photos).problems if p.files == (str(photos / "points"),)]
    assert [p.level for p in notes] == ["note"] and "skipped" in notes[0].text


def test_a_folder_that_may_not_be_entered_is_told(photos, monkeypatch):
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("rows"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(UserError, match=r"cannot read the folder .*rows: Permission denied"):
        find_samples(photos)


def test_files_that_are_not_read_here_are_a_warning(photos):
    for name in ("a.heic", "b.HEIC", "notes.md"):
        (photos / "rows" / name).write_bytes(b"x")
    told = {p.level: p.text for p in survey_data(photos).problems if "ignored" in p.text}
    assert "2 .heic; save images as PNG or TIFF" in told["warning"] and "1 .md" in told["note"]


def test_a_spreadsheets_csv(photos):
    table = photos.parent / "table.csv"
    table.write_text("path;label\nphotos/rows/000.png;x\n", encoding="utf-8-sig")
    assert find_samples(table).samples[0].label == "x"
    for encoding in ("utf-16", "latin-1"):
        table.write_bytes("path,label\nphotos/rows/000.png,ä\n".encode(encoding))
        assert find_samples(table).samples[0].label == "ä"
    table.rename(photos.parent / "set.zip")
    with pytest.raises(UserError, match=r"set\.zip is an archive: unpack it, and give the folder"):
        find_samples(photos.parent / "set.zip")


def test_hidden_and_other_files_are_ignored(photos):
    (photos / "rows" / ".hidden.png").write_bytes(b"")
    (photos / "rows" / "notes.txt").write_text("x")
    (photos / ".git").mkdir()
    found = find_samples(photos)
    assert len(found.samples) == 60 and found.ignored == {".txt": 1}
    assert found.classes == ("columns", "diagonals", "rows")


def test_a_csv_names_paths_labels_and_splits(photos):
    table = photos.parent / "table.csv"
    table.write_text("path,label,split\nphotos/rows/000.png,x,train\nphotos/rows/001.png,y,valid\n")
    found = find_samples(table)
    assert [(s.label, s.split) for s in found.samples] == [("x", "train"), ("y", "val")]
    for text, message in (
        ("", "no rows"),
        ("thing,label\na,b\n", "no column path"),
        ("path,label\n,b\n", "line 2 has no path"),
        ("path,label,split\na,b,foo\n", "the split 'foo'"),
        ("path,label,split\na,b,train\nc,d,\n", "1 row has no split"),
        ("path,label,split\na,b,val\n", "no row has the split train"),
    ):
        table.write_text(text)
        with pytest.raises(UserError, match=message):
            find_samples(table)


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    found = find_samples("digits")
    assert len(found.samples) == 1797 and found.classes == tuple("0123456789")
    seven = next(s for s in found.samples if s.label == "7")
    image = np.asarray(Image.open(seven.path)).astype(float)
    np.testing.assert_allclose(image * 16 / 255, load_digits().images[int(seven.path.stem)], atol=0.04)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5), st.lists(st.integers(2, 40), min_size=2, max_size=5), st.floats(0.05, 0.5))
def test_hold_out_is_stratified_and_seeded(seed, counts, share):
    labels = np.repeat(np.arange(len(counts)), counts)
    held = hold_out(labels, np.arange(len(labels)), share, seed)
    for k, n in enumerate(counts):
        assert held[labels == k].sum() == min(max(1, round(share * n)), n - 1)
    np.testing.assert_array_equal(held, hold_out(labels, np.arange(len(labels)), share, seed))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99), st.integers(2, 9))
def test_groups_are_never_divided(seed, groups):
    rng = np.random.default_rng(seed)
    group, labels = rng.integers(0, groups, 60), rng.integers(0, 3, 60)
    held = hold_out(labels, group, 0.3, seed)
    assert all(len(set(held[group == g])) <= 1 for g in range(groups))


def test_a_group_is_held_out_even_if_all_are_too_large():
    held = hold_out(np.zeros(10, int), np.repeat([7, 3], [6, 4]), 0.1, 0)
    assert held.tolist() == [False] * 6 + [True] * 4
    assert not hold_out(np.zeros(10, int), np.zeros(10, int), 0.1, 0).any()


def test_group_names_come_from_the_expression():
    assert groups_of(["7_ann_1.wav", "7_bob_2.wav"], r"_([a-z]+)_") == ["ann", "bob"]
    in_folders = ["scans/imagesTr/case01_{0000,0001}.nii.gz", "scans/imagesTr/case02_{0000,0001}.nii.gz"]
    assert groups_of(in_folders, r"^(case\d+)") == ["case01", "case02"]
    assert groups_of(["p1/a.png", "p2/a.png"], r"^(p\d)") == ["p1", "p2"]
    with pytest.raises(UserError, match=r"matches nothing in b\.png"):
        groups_of(["a1.png", "b.png"], r"\d")
    with pytest.raises(UserError, match="not a regular expression"):
        groups_of(["a"], "(")


def test_near_duplicates_are_found_among_many():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (300, 6, 6, 3), dtype=np.uint8)
    images = [np.asarray(Image.fromarray(c).resize((48, 48))) for c in coarse]
    again = np.asarray(Image.fromarray(images[7]).resize((40, 40)).resize((48, 48)))
    thumbs = np.stack([thumbnail(i) for i in [*images, again]])
    assert near(thumbs, 48).tolist() == [[7, 300]]
    assert near(thumbs, 8).size == 0


def test_pairs_are_those_of_comparing_each_with_each():
    """Of pictures made less and less alike, on both sides of the limit."""
    rng = np.random.default_rng(1)
    thumbs = rng.standard_normal((60, 256)).astype(np.float32)
    thumbs = np.concatenate(
        [thumbs, thumbs + rng.uniform(0.05, 0.15, (60, 1)) * rng.standard_normal((60, 256))]
    )
    thumbs -= thumbs.mean(1, keepdims=True)
    thumbs = (thumbs / np.linalg.norm(thumbs, axis=1, keepdims=True)).astype(np.float32)
    a, b = np.nonzero(np.triu(thumbs @ thumbs.T > 0.995, 1))
    assert 10 < len(a) < 50
    assert near(thumbs, 48).tolist() == np.stack([a, b], 1).tolist()


@pytest.mark.parametrize("shape", [(33, 20, 3), (9, 7, 1), (40, 30, 6), (300, 2), (20, 18, 17, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_thumbnails_of_many_are_those_of_each(shape, dtype):
    """Means over cells, computed cell by cell."""
    rng = np.random.default_rng(0)
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    images = (rng.random((5, *shape)) * top).astype(dtype)
    images[2] = images[2].flat[0]
    images[3], images[3, : shape[0] // 2] = 0.4 * top, 0.425 * top  # too flat to be compared
    grey = images.mean(-1, keepdims=True, dtype=float) if shape[-1] <= 4 else images.astype(float)
    if shape[-1] == 3:
        grey = images.astype(float) @ [[0.299], [0.587], [0.114]]  # the brightness that JPEG keeps
    edges = [np.linspace(0, n, min(256 if len(shape) == 2 else 16, n) + 1).astype(int) for n in shape[:-1]]
    cuts = [[slice(a, b) for a, b in pairwise(e)] for e in edges]
    for image, thumb in zip(grey, thumbnails(images), strict=True):
        cells = np.array([image[cell].mean(tuple(range(len(shape) - 1))) for cell in product(*cuts)]).ravel()
        cells /= top
        cells -= cells.mean()
        wanted = cells / np.linalg.norm(cells) if cells.std() > 0.02 else np.zeros(len(cells))
        np.testing.assert_allclose(thumb, wanted, atol=1e-6)


def test_flat_images_are_not_called_alike():
    thumbs = np.stack([thumbnail(np.full((20, 20, 3), v, np.uint8)) for v in (10, 200, 200)])
    assert near(thumbs, 20).size == 0


def test_clusters_join_what_is_linked():
    assert clusters(6, [[0, 3], [3, 5], [1, 2]]).tolist() == [0, 1, 1, 0, 4, 0]


def test_decoded_once_then_mapped(photos, monkeypatch):
    source, preprocessing = find_samples(photos), Preprocessing(24)
    headers = scan(source)
    first = load_images(source, headers, preprocessing)
    monkeypatch.setattr(cache, "decode_into", lambda *_: pytest.fail("decoded again"))
    again = load_images(source, headers, preprocessing)
    np.testing.assert_array_equal(first.pixels[:], again.pixels[:])
    assert isinstance(again.pixels[:], np.memmap) and again.pixels[:].shape == (60, 24, 24, 3)
    for row in (0, 59):
        expected = np.asarray(Image.open(source.samples[row].path))
        np.testing.assert_array_equal(again.pixels[row], expected)


def test_an_edited_file_is_decoded_anew_and_a_renamed_one_is_not(photos, monkeypatch):
    source = find_samples(photos)
    load_images(source, scan(source), Preprocessing(24))
    Image.new("RGB", (24, 24), "red").save(photos / "rows" / "000.png")
    changed = find_samples(photos)
    decoded = load_images(changed, scan(changed), Preprocessing(24))
    row = [s.path.parent.name + s.path.name for s in changed.samples].index("rows000.png")
    assert (decoded.pixels[row] == [255, 0, 0]).all()
    photos.rename(photos.with_name("moved"))
    moved = find_samples(photos.with_name("moved"))
    monkeypatch.setattr(cache, "decode_into", lambda *_: pytest.fail("decoded again"))
    load_images(moved, scan(moved), Preprocessing(24))


def test_no_sample_is_replaced_by_another(photos):
    (photos / "columns" / "005.png").write_bytes(b"broken")
    source = find_samples(photos)
    decoded = load_images(source, scan(source), Preprocessing(24))
    assert len(decoded.pixels) == 59 and list(decoded.errors) == [5] and 5 not in decoded.rows
    for row, i in enumerate(decoded.rows[:12]):
        np.testing.assert_array_equal(decoded.pixels[row], np.asarray(Image.open(source.samples[i].path)))


@pytest.mark.parametrize("alone", [0, 1])
def test_chunks_and_threads_change_nothing(photos, tmp_path, monkeypatch, alone):
    """Damaged files within a chunk, a whole chunk of them, and a chunk that is not full."""
    for i in (3, *range(7, 14), 19):
        path = photos / "rows" / f"{i:03}.png"
        path.write_bytes(path.read_bytes()[:-200])
    source = find_samples(photos)
    expected = load_images(source, scan(source), Preprocessing(24))
    monkeypatch.setenv("EYESPOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(images, "chunk_length", lambda *_: 7)
    monkeypatch.setattr(images, "SMALL", alone)
    got = load_images(source, scan(source), Preprocessing(24))
    assert got.errors == expected.errors and len(got.errors) == 9
    np.testing.assert_array_equal(got.pixels[:], expected.pixels[:])
    for name in ("rows", "low", "high"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))
    np.testing.assert_allclose(got.thumbs, expected.thumbs, atol=1e-6)
    for row, i in enumerate(got.rows):
        image = np.asarray(Image.open(source.samples[i].path))
        np.testing.assert_array_equal(got.pixels[row], image)
        assert (got.low[row], got.high[row]) == (image.min(), image.max())


def test_small_work_stays_in_this_thread_and_keeps_its_order():
    def work(seconds: float) -> tuple[float, bool]:
        time.sleep(seconds)
        return seconds, threading.current_thread() is threading.main_thread()

    asked = [0.001, 0.002, 0.0] * 3
    assert list(in_order(work, asked, alone=10)) == [(s, True) for s in asked]
    assert list(in_order(work, asked)) == [(s, False) for s in asked]
    slow = [0.0, 0.3, *asked]
    assert list(in_order(work, slow, alone=0.02)) == [(s, k < 2) for k, s in enumerate(slow)]


def test_whole_headers_of_images_all_cut_short(photos):
    for path in photos.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:-200])
    found = survey_data(photos)
    assert len(found.images.errors) == 60 and found.images.thumbs.shape == (0, 256)
    assert "no readable image" in found.problems[0].text


def test_a_cache_folder_that_is_not_whole_is_made_again(photos):
    source, preprocessing = find_samples(photos), Preprocessing(24)
    headers = scan(source)
    before = load_images(source, headers, preprocessing)
    for meta in (cache_folder() / "arrays").glob("*/meta.json"):
        meta.unlink()
    np.testing.assert_array_equal(load_images(source, headers, preprocessing).pixels[:], before.pixels[:])


def test_the_cache_drops_the_least_recently_used(tmp_path, monkeypatch):
    monkeypatch.setenv("EYESPOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "CACHE_GB", 3 * 60 * (24 * 24 * 3 + 1024) / 2 / 1e9)
    folders = []
    for seed in range(3):
        source = find_samples(write_set(tmp_path / f"set{seed}", seed=seed))
        load_images(source, scan(source), Preprocessing(24))
        for age, folder in enumerate(f for f in folders if f.exists()):
            os.utime(folder, (age, age))
        folders = sorted((tmp_path / "cache" / "arrays").iterdir(), key=lambda f: f.stat().st_mtime)
    assert len(folders) == 1


def test_a_survey_names_its_task(photos, tmp_path):
    assert survey_data(photos).task == "classification" and survey_data(photos).mapping is None
    for folder, value in (("images", 90), ("masks", 0)):
        (tmp_path / "d" / folder).mkdir(parents=True)
        for i in range(2):
            pixels = np.full((20, 20), value, np.uint8)
            pixels[5:9, 4:8] = 255
            Image.fromarray(pixels).save(tmp_path / "d" / folder / f"{i}.png")
    masks = survey_data(tmp_path / "d")
    assert masks.task == "segmentation" and masks.mapping is not None
