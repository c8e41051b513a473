"""What the values of masks mean: classes or objects, void, colours, transparency; and that they survive unchanged."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

import eyespot
from eyespot.config import Config
from eyespot.data.header import Unreadable
from eyespot.data.masks.mapping import COLOUR, VOID, Mapping, mapping_of
from eyespot.data.masks.meaning import propose
from eyespot.data.masks.pixels import read_mask
from eyespot.data.masks.statistics import describe
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError


def discs(seed: int, objects: int, side: int = 64) -> np.ndarray:
    """Ids 1, 2, ... of discs that do not touch."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    ids = np.zeros((side, side), np.int64)
    for _ in range(500):
        cy, cx = rng.integers(7, side - 7, 2)
        radius = rng.integers(4, 7)
        distance = (y - cy) ** 2 + (x - cx) ** 2
        if ids.max() < objects and not ids[distance < (radius + 2) ** 2].any():
            ids[distance < radius**2] = ids.max() + 1
    return ids


def numbered(ids: np.ndarray, number) -> np.ndarray:
    out = np.zeros_like(ids)
    for k in range(1, int(ids.max()) + 1):
        out[ids == k] = number(k)
    return out


def meaning(arrays, names=None, kind="", **options):
    masks = {f"{i}.png": describe(np.asarray(a, np.int64), kind) for i, a in enumerate(arrays)}
    return propose(masks, names, Config(**options))


def organs(seed: int) -> np.ndarray:
    """Four discs of their own sizes and places, one piece each: classes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :96]
    out = np.zeros((96, 96), np.int64)
    for value, (cy, cx, radius) in enumerate([(24, 24, 15), (24, 70, 9), (70, 24, 5), (70, 70, 20)], 1):
        cy, cx = np.array([cy, cx]) + rng.integers(-3, 4, 2)
        out[(y - cy) ** 2 + (x - cx) ** 2 < (radius * rng.uniform(0.9, 1.1)) ** 2] = value
    return out


def overlapping(seed: int) -> np.ndarray:
    """Ids 1 to 8 of discs, of which later ones lie on earlier ones and may cut or hide them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    ids = np.zeros((64, 64), np.int64)
    for k in range(1, 9):
        cy, cx = rng.integers(6, 58, 2)
        ids[(y - cy) ** 2 + (x - cx) ** 2 < rng.integers(5, 9) ** 2] = k
    return ids


RNG = np.random.default_rng(0)
OBJECTS = {
    "few": [discs(i, 3 + i % 4) for i in range(8)],
    "gaps": [numbered(discs(i, 4), lambda k: 37 * k + RNG.integers(30)) for i in range(8)],
    "16 bits": [numbered(discs(i, 1 + i % 4), lambda k: RNG.integers(1, 60000)) for i in range(8)],
    "32 bits": [numbered(discs(i, 3), lambda k: RNG.integers(1, 2**32)) for i in range(8)],
    "class * 1000": [
        numbered(discs(i, 4), lambda k: 26000 + k if k < 3 else 24000 + k - 2) for i in range(8)
    ],
    "class * 256": [numbered(discs(i, 4), lambda k: 26 * 256 + k - 1) for i in range(8)],
    "void around": [np.where(d == 3 + i % 3, 255, d) for i in range(9) for d in [discs(i, 3 + i % 3)]],
}
CLASSES = {
    "three in pieces": [numbered(discs(i, 7), lambda k: 1 + k % 3) for i in range(8)],
    "organs": [organs(i) for i in range(8)],
    "layers": [np.repeat(np.arange(5), [10 + i % 3, 12, 9, 14, 19 - i % 3])[:, None].repeat(64, 1) for i in range(6)],
    "even levels": [np.array([0, 255, 128, 128, 128])[discs(i, 4)] for i in range(8)],
    "four levels": [np.array([0, 85, 170, 255, 85])[discs(i, 4)] for i in range(8)],
    "a hundred": [np.kron(np.random.default_rng(i).integers(0, 100, (12, 12)), np.ones((8, 8))) for i in range(8)],
    "70000": [np.array([0, 70000, 2, 70000, 2])[discs(i, 4)] for i in range(8)],
    "2 ** 25": [np.array([0, 2**25, 7, 7, 7])[discs(i, 4)] for i in range(8)],
}  # fmt: skip
EITHER = {
    "1 to 4 in all": [discs(i, 4) for i in range(8)],
    "1 to 6 in all": [discs(i, 6, 128) for i in range(8)],
    "cut by others": [overlapping(i) for i in range(12)],
    "one or two": [discs(i, 1 + i % 2) for i in range(8)],
    "some of eight": [np.where(np.isin(d, RNG.permutation(8)[:4] + 1), d, 0) for i in range(8) for d in [discs(i, 8, 128)]],
    "objects and classes": [np.where(d > 2, 7, np.where(d > 0, 26000 + d, 0)) for i in range(8) for d in [discs(i, 5)]],
    "three numbers": [numbered(discs(i, 1), lambda k, i=i: 30000 + 511 * i) for i in range(3)],
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_are_recognised(name):
    proposal = meaning(OBJECTS[name])
    assert proposal.mapping.objects and proposal.mapping.classes == ("background", "object")
    assert proposal.guesses[0].value == "objects" and proposal.guesses[0].option == "--classes"
    assert not meaning(OBJECTS[name], objects=False).mapping.objects


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_recognised(name):
    proposal = meaning(CLASSES[name])
    values = sorted({int(v) for mask in CLASSES[name] for v in np.unique(mask)})
    assert not proposal.mapping.objects and proposal.mapping.values == tuple(values)
    assert proposal.mapping.void is None
    assert proposal.guesses[0].value == "classes" and proposal.guesses[0].option == "--objects"
    assert meaning(CLASSES[name], objects=True).mapping.objects


@pytest.mark.parametrize("name", EITHER)
def test_what_may_be_either_is_refused(name):
    with pytest.raises(UserError, match=r"may number objects or be classes: .*use --objects or --classes"):
        meaning(EITHER[name])
    for objects in (True, False):
        proposal = meaning(EITHER[name], objects=objects)
        assert proposal.mapping.objects == objects and not proposal.guesses


def test_names_say_that_values_are_classes():
    assert meaning(EITHER["1 to 4 in all"], list("abcde")).mapping.classes == tuple("abcde")


def test_names_that_objects_do_not_use_are_reported():
    proposal = meaning(OBJECTS["few"], ["nothing", "nucleus"])
    assert proposal.mapping.objects and "nothing, nucleus are not used" in proposal.warnings[0]


def test_too_many_values_are_refused_and_not_taken_for_objects():
    mask = np.kron(np.arange(300).reshape(15, 20), np.ones((8, 8)))
    with pytest.raises(UserError, match=r"300 values .*254 classes: use --objects"):
        meaning([mask], objects=False)


def test_void_is_a_guess_that_is_listed():
    for value in (255, -1):
        arrays = [np.array([0, 1, 2, 1, value])[discs(i, 4)] for i in range(4)]
        proposal = meaning(arrays)
        assert proposal.mapping.void == value
        assert [(g.name, g.value, g.option) for g in proposal.guesses[1:]] == [
            ("void", str(value), "--void none")
        ]
        assert value in meaning(arrays, void="none").mapping.values
        assert meaning(arrays, void=str(value)).mapping.void == value
        with pytest.raises(UserError, match=f"use --void none or --void {value}"):
            meaning([np.where(a == 0, value, np.where(a == value, 0, a)) for a in arrays])
    background = [np.array([-1, 3, 7, 3, 3])[discs(i, 4)] for i in range(4)]
    assert meaning(background).mapping.values == (-1, 3, 7)
    with pytest.raises(UserError, match="void is '77', and no mask has that value"):
        meaning(OBJECTS["few"], void="77")


def test_void_of_objects_is_not_dropped():
    assert meaning(OBJECTS["void around"], void="255").mapping.void == 255
    mapping = meaning(OBJECTS["few"], void="2", objects=True).mapping
    assert mapping.objects and mapping.void == 2
    labels = mapping.labels(np.array([[0, 1, 1, 0, 2, 0, 3]]))
    assert labels.tolist() == [[0, 1, 1, 0, VOID, 0, 1]]
    with pytest.raises(UserError, match="no object has a number below 0: use --void -7"):
        meaning([np.where(d == 1, -7, d) for d in OBJECTS["few"]], objects=True)


# Files.


def encoded(array, form="PNG", mode=None, **how) -> bytes:
    buffer = io.BytesIO()
    if form == "TIFF":
        tifffile.imwrite(buffer, array, **how)
    else:
        image = Image.fromarray(array)
        (image.convert(mode) if mode else image).save(buffer, form, **how)
    return buffer.getvalue()


IDS = discs(1, 4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "uint32", "int64", "float32"])
def test_tiff_and_numpy_keep_every_value(dtype):
    top = (
        250
        if dtype == "uint8"
        else 30000
        if dtype[-2:] == "16"
        else 2**24
        if dtype == "float32"
        else 2**25 + 1
    )
    values = np.array([0, top, top - 1, 2, -1 if dtype[0] in "if" else 3])[IDS]
    buffer = io.BytesIO()
    np.save(buffer, values.astype(dtype))
    for content in (encoded(values.astype(dtype), "TIFF"), buffer.getvalue()):
        np.testing.assert_array_equal(read_mask(content, 2)[0], values)


def test_values_are_not_inverted_or_coloured():
    values = IDS.astype(np.uint8)
    white = encoded(values, "TIFF", photometric="miniswhite")
    colormap = RNG.integers(0, 65536, (3, 256), dtype=np.uint16)
    table = encoded(values, "TIFF", photometric="palette", colormap=colormap)
    palette = Image.fromarray(values, "P")
    palette.putpalette([int(c) for c in RNG.integers(0, 256, 768)])
    files = [white, table]
    for form in ("PNG", "GIF", "BMP"):
        buffer = io.BytesIO()
        palette.save(buffer, form)
        files.append(buffer.getvalue())
    for content in files:
        np.testing.assert_array_equal(read_mask(content, 2)[0], IDS)


def rgba(colours, alpha) -> bytes:
    return encoded(np.dstack([colours, alpha]).astype(np.uint8))


def test_transparency_is_the_mask_or_is_not_used_and_never_laid_on_white():
    inside = IDS > 0
    black = np.zeros((64, 64, 3))
    red = np.where(inside[..., None], [255, 0, 0], 0)
    values, kind = read_mask(rgba(black, inside * 255), 2)
    assert kind == "alpha" and (values == inside * 255).all()
    values, kind = read_mask(rgba(red, inside * 255), 2)
    assert kind == "hidden" and set(np.unique(values)) == {COLOUR, COLOUR + 0xFF0000}
    values, kind = read_mask(rgba(red, inside * 0 + 255), 2)
    assert kind == "opaque" and set(np.unique(values)) == {COLOUR, COLOUR + 0xFF0000}
    with pytest.raises(Unreadable, match="transparent and opaque pixels of the same colour"):
        read_mask(rgba(red, (IDS > 2) * 255), 2)
    alpha = describe(inside * 255, "alpha")
    with pytest.raises(UserError, match=r"alpha channel only.*save all without transparency"):
        propose({"a.png": alpha, "b.png": describe(inside * 255)})


def test_grey_masks_among_coloured_ones_are_colours():
    colours = [COLOUR + np.array([0, 0xFF0000, 0xFFFFFF])[np.minimum(discs(i, 4), 2)] for i in range(4)]
    grey = np.where(IDS > 1, 255, 0)
    mapping = meaning([*colours, grey]).mapping
    assert mapping.values == (COLOUR, COLOUR + 0xFF0000, COLOUR + 0xFFFFFF)
    np.testing.assert_array_equal(mapping.labels(grey), np.where(IDS > 1, 2, 0))


def test_colours_are_no_numbers_and_old_files_are_read():
    mapping = Mapping((0, COLOUR + 0x010203, 2**25), ("a", "b", "c"))
    assert mapping_of(mapping.as_dict()) == mapping
    assert mapping.as_dict()["values"] == ["0", "#010203", str(2**25)]
    old = mapping.as_dict() | {"values": ["0", "#010203", f"#{2**25 - 2**24:06x}"]}
    assert mapping_of(old) == mapping  # as written before colours had numbers of their own


def write_pairs(root, masks, ending):
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for i, mask in enumerate(masks):
        grey = np.asarray(mask).reshape(64, 64, -1).sum(-1) % 251
        noise = np.random.default_rng(i).integers(0, 30, (64, 64))
        Image.fromarray((grey // 2 + noise).astype(np.uint8)).save(root / "images" / f"{i}.png")
        path = root / "masks" / f"{i}.{ending}"
        if ending == "tif":
            tifffile.imwrite(path, mask)
        elif mask.dtype == np.uint8 and mask.ndim == 2 and ending == "palette":
            raise AssertionError
        else:
            Image.fromarray(mask).save(path)


ROUND_TRIPS = {
    "bits": ([d > 1 for d in map(discs, range(6), [4] * 6)], "png", {0, 255}),
    "16 bits": ([np.array([0, 500, 40000, 500, 500], np.uint16)[discs(i, 4)] for i in range(6)], "png", {0, 500, 40000}),
    "32 bits": ([np.array([-1, 70000, 2**25, 7, 7], np.int32)[discs(i, 4)] for i in range(6)], "tif", {-1, 7, 70000, 2**25}),
}  # fmt: skip


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_predictions_have_the_values_of_the_masks(tmp_path, name):
    masks, ending, values = ROUND_TRIPS[name]
    write_pairs(tmp_path / "set", masks, ending)
    run = eyespot.train(tmp_path / "set", epochs=1, void="none", size=32, batch=4, out=tmp_path / "run")
    mapping = run.predictor.output.mapping
    assert {int(v) for v in mapping.values} == values
    table = mapping.value_of()
    assert set(table.tolist()) == values
    from eyespot.prediction.mask_files import write_map

    labels = np.arange(len(values)).repeat(12).reshape(4, -1)
    path = write_map(table[labels], tmp_path / "out.png", tmp_path / "set" / "images" / "0.png")
    np.testing.assert_array_equal(read_mask(path.read_bytes(), 2)[0], np.array(mapping.values)[labels])


def test_images_turned_beside_masks_that_are_not_are_named(tmp_path):
    write_pairs(tmp_path, [(discs(i, 4) > 0).astype(np.uint8) * 255 for i in range(4)], "png")
    exif = Image.Exif()
    exif[0x0112] = 3
    for i in range(3):
        path = tmp_path / "images" / f"{i}.png"
        Image.open(path).save(path, exif=exif)
    warnings = [
        p for p in survey_data(tmp_path).problems if "EXIF orientation" in p.text and "mask" in p.text
    ]
    assert len(warnings) == 1 and len(warnings[0].files) == 3 and warnings[0].level == "warning"
    for i in range(3):
        path = tmp_path / "masks" / f"{i}.png"
        Image.open(path).save(path, exif=exif)
    assert not [
        p for p in survey_data(tmp_path).problems if "EXIF orientation" in p.text and "mask" in p.text
    ]
    path = tmp_path / "masks" / "3.png"
    Image.open(path).save(path, exif=exif)
    assert "beside masks that are turned" in next(
        p.text for p in survey_data(tmp_path).problems if "EXIF orientation" in p.text and "mask" in p.text
    )


def test_a_mask_that_lies_across_its_image_is_named(tmp_path):
    write_pairs(tmp_path, [(discs(i, 4) > 0).astype(np.uint8) * 255 for i in range(4)], "png")
    Image.fromarray(np.zeros((60, 40), np.uint8)).save(tmp_path / "images" / "0.png")
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / "masks" / "0.png")
    survey = survey_data(tmp_path)
    assert any("one of both is turned" in reason for reason in survey.images.errors.values())


@pytest.mark.parametrize("name", ["cells", "cells3d"])
def test_the_built_in_sets_have_no_warnings(name):
    assert not [p for p in survey_data(name).problems if p.level != "note"]
