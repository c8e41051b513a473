"""CSVs of strangers: columns of any name, without a header, in other encodings, and tables that are no lists of files."""

import json

import numpy as np
import pytest
from PIL import Image

from eyespot.config import Config
from eyespot.data.sources.find import find_samples
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError

N = 12


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (16, 16, 3), np.uint8)).save(path)


def table(root, header, row, encoding="utf-8", name="t.csv", n=N):
    """A CSV of n images; in a row {i} is the number, {c} one of two classes and {k} one of three."""
    lines = [header] if header else []
    for i in range(n):
        save(root / "im" / f"{i}.png", i)
        lines.append(row.format(i=i, c=("Öl", "Käse")[i % 2], k="xyz"[i % 3]))
    path = root / name
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    return path


def guess_of(source, name):
    return next(guess for guess in source.guesses if guess.name == name)


@pytest.mark.parametrize(
    "header,row",
    [
        ("Dateiname;Klasse", "im/{i}.png;{c}"),
        ("fichier,espèce,remarque", "im/{i}.png,{c},note {i}"),
        ("文件,类别", "im/{i}.png,{c}"),
        ("id,breed", "{i},{c}"),
        (",filename,target", "{i},im/{i}.png,{c}"),
        ("Image Index,Finding Labels,Patient Age", "{i}.png,{c},4{i}"),
        ("ClassId|Width|Roi.X1|Path", "{c}|30|5|im/{i}.png"),
        ("lesion,image_id,dx,dx_type,sex", "L{i},{i},{c},{k},m"),
        ("image,code,class_id,class_name", "{i},q,{c},{c}"),
        ("img;grade;", "{i}.png;{c};"),
        ("", "im/{i}.png,{c}"),
        ("", "im/{i}.png {c}"),
        ("sep=;\npath;label", "im/{i}.png;{c}"),
        ('"path","label"\n,', '"im/{i}.png","{c}"\n,'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_columns_whose_meaning_is_plain_by_their_values(tmp_path, header, row, encoding):
    source = find_samples(table(tmp_path, header, row, encoding))
    assert source.classes == ("Käse", "Öl")
    assert all(s.path.is_file() for s in source.samples) and len({s.path for s in source.samples}) == N
    if "path" not in header:
        guess = guess_of(source, "columns")
        assert guess.reason and guess.option == "--label-from COLUMN"


def test_text_that_is_not_utf_8_is_said(tmp_path):
    source = find_samples(table(tmp_path, "path,label", "im/{i}.png,{c}", "cp1252"))
    assert source.classes == ("Käse", "Öl") and "Windows" in guess_of(source, "encoding").value


@pytest.mark.parametrize(
    "header,row,words",
    [
        ("file,colour,form", "im/{i}.png,{c},{k}", r"several columns .*\(colour, form\): give --label-from"),
        ("file,note", "im/{i}.png,note {i}", r"none whose values recur"),
        ("name,label", "missing_{i},{c}", r"none that names files"),
        (
            "Path,Sex,Mass,Edema",
            "im/{i}.png,{c},1.0,-1.0",
            r"several labels an image: the columns Mass, Edema",
        ),
        ("Path,Sex,Mass,Edema", "im/{i}.png,{c},1,1", r"with several 1s in a row"),
        ("path,label", "im/{i}.png,nan", r"line 2 and 11 other lines have no label"),
        (
            "label," + ",".join(f"p{k}" for k in range(20)),
            "1" + ",7" * 20,
            r"21 values of a sample in each row",
        ),
        ("emotion,pixels", "1," + "7 " * 20, r"21 values of a sample in each row"),
        ("", "-0.5\t" * 30 + "1", r"31 values of a sample in each row"),
    ],
)
def test_tables_that_may_mean_two_things_or_none_are_refused(tmp_path, header, row, words):
    with pytest.raises(UserError, match=words) as refusal:
        find_samples(table(tmp_path, header, row))
    assert len(str(refusal.value)) < 260 + len(str(tmp_path))


def test_the_option_chooses_the_column_of_the_class(tmp_path):
    path = table(tmp_path, "file,colour,Form", "im/{i}.png,{c},{k}")
    assert find_samples(path, Config(label_from="form")).classes == ("x", "y", "z")
    assert find_samples(path, Config(label_from="colour")).classes == ("Käse", "Öl")
    with pytest.raises(
        UserError, match=r"no column 'size', which --label-from names: it has file, colour, Form"
    ):
        find_samples(path, Config(label_from="size"))


def test_columns_of_one_1_among_others(tmp_path):
    path = table(tmp_path, "image,age,oak,elm", "{i},{k},1,0")
    assert {s.label for s in find_samples(path).samples} == {"oak"}


def test_a_row_a_box_is_refused_with_a_remedy_that_works(tmp_path):
    path = table(tmp_path, "filename,xmin,ymin,class", "{i}.png,1,2,{c}")
    with pytest.raises(UserError, match=r"lists boxes .*--task classification"):
        find_samples(path)
    assert len(find_samples(path, Config(task="classification")).samples) == N


def test_folds_keep_recordings_together(tmp_path):
    source = find_samples(table(tmp_path, "filename,fold,category", "{i}.png,{k},{c}"))
    assert {s.group for s in source.samples} == {"x", "y", "z"} and guess_of(source, "groups")


def test_images_two_levels_beside_the_table(tmp_path):
    path = table(tmp_path / "meta", "slice_file_name,class", "{i}.png,{c}")
    (tmp_path / "meta" / "im").rename(tmp_path / "fold1")
    (tmp_path / "audio").mkdir()
    (tmp_path / "fold1").rename(tmp_path / "audio" / "fold1")
    assert all(s.path.is_file() for s in find_samples(path).samples)


@pytest.mark.parametrize(
    "name,content,words",
    [
        (
            "t.xlsx",
            b"PK\x03\x04....[Content_Types].xml",
            "is a spreadsheet, which is not read: save it as CSV",
        ),
        ("t.npz", b"PK\x03\x04....x.npy", "holds arrays"),
        ("t.csv", b"SQLite format 3\0", "is no CSV: it is a database"),
        ("t.csv", b"\xff\xd8\xff\xe0....", "holds one sample"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        find_samples(tmp_path / name)


def test_contradicting_rows_come_first(tmp_path):
    path = table(tmp_path, "path,label", "im/{i}.png,a")
    path.write_text(path.read_text() + "im/1.png,a\nim/2.png,b\n")
    with pytest.raises(
        UserError, match=r"line 15 repeats .*2\.png of line 4 with another class \(2 lines repeat"
    ):
        find_samples(path)


def test_names_in_any_bytes_are_kept(tmp_path, cli):
    folder = str(tmp_path).encode()
    for name in (b"\xe4", b"\xf6"):
        for i in range(3):
            save(tmp_path / "x.png", i)
            (tmp_path / "x.png").rename(
                (folder + b"/" + name + b"%d.png" % i).decode("utf-8", "surrogateescape")
            )
    rows = b"".join(b"%s%d.png,%s\n" % (name, i, name) for name in (b"\xe4", b"\xf6") for i in range(3))
    (tmp_path / "t.csv").write_bytes(b"path,label\n" + rows)
    look = cli("look", tmp_path / "t.csv", "--json")
    assert look.code == 0 and json.loads(look.out)["images"] == 6


@pytest.mark.parametrize(
    "header,train,val",
    [
        ("usage", "Training", "PublicTest"),
        ("is_train", "1", "0"),
        ("Is Training", "True", "False"),
        ("phase", "train", "dev"),
        ("set", "Tr", "Te"),
    ],
)
def test_splits_in_other_words_are_kept(tmp_path, header, train, val):
    path = table(tmp_path, f"path,label,{header}", "im/{i}.png,{c},")
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join([lines[0], *(f"{line}{train if i < 8 else val}" for i, line in enumerate(lines[1:]))])
    )
    source = find_samples(path)
    assert [s.split == "train" for s in source.samples] == [True] * 8 + [False] * 4
    assert "split is" in guess_of(source, "columns").value


def test_the_table_of_a_split_means_the_files_of_that_split(tmp_path):
    path = table(tmp_path, "id,label", "{i},{c}", name="train_labels.csv")
    (tmp_path / "im").rename(tmp_path / "train")
    save(tmp_path / "test" / "0.png")
    assert {s.path.parent.name for s in find_samples(path).samples} == {"train"}


def test_zeros_that_a_spreadsheet_dropped(tmp_path):
    path = table(tmp_path, "id,label", "{i},{c}")
    for i in range(N):
        (tmp_path / "im" / f"{i}.png").rename(tmp_path / "im" / f"{i:05}.png")
    source = find_samples(path)
    assert [s.path.name for s in source.samples] == [f"{i:05}.png" for i in range(N)]
    assert guess_of(source, "paths").value.endswith("00000.png")


@pytest.mark.parametrize("header", ["set", "subset", "split"])
def test_splits_of_which_some_are_unknown_are_refused(tmp_path, header):
    path = table(tmp_path, f"path,label,{header}", "im/{i}.png,{c},train")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-2], *(line.replace(",train", ",hold-out") for line in lines[-2:])]))
    with pytest.raises(UserError, match=f"'hold-out' in the column {header}; known: train, val, test"):
        find_samples(path)


def test_tags_that_are_joined_by_spaces_are_several_labels(tmp_path):
    path = table(tmp_path, "path,tags", "im/{i}.png,{c}")
    text = path.read_text().replace(",Öl\n", ",clear\n").replace(",Käse\n", ",clear water\n")
    path.write_text(text)
    with pytest.raises(UserError, match="several labels in the column tags, such as 'clear water'"):
        find_samples(path)
    path.write_text(text.replace("tags", "label"))
    assert find_samples(path).classes == ("clear", "clear water")


def test_the_table_that_is_given_is_no_list_beside_it(tmp_path):
    path = table(tmp_path, "id,label", "{i},{c}", name="train.csv")
    assert not [p.text for p in survey_data(path).problems if "may divide" in p.text]
