"""NIfTI in every orientation: read in the body's axes, masks placed by affines, predictions in the order of the file."""

import gzip
import io
import struct
from contextlib import nullcontext
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile

from conftest import one_sentence
from eyespot.config import Config
from eyespot.data.formats.nifti import nifti_grid
from eyespot.data.formats.read import decode, read_header
from eyespot.data.header import ReadOptions, Unreadable
from eyespot.data.masks.alignment import aligned
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.data.surveys.survey_data import survey_data
from eyespot.prediction.mask_files import target, write_map, write_maps
from test_mask_outputs import make

RNG = np.random.default_rng(0)
ORIENTATIONS = list(product(permutations(range(3)), product((1, -1), repeat=3)))
VALUES = RNG.integers(-9, 99, (3, 4, 5)).astype(np.int16)


def affine(order=(0, 1, 2), signs=(1, 1, 1), spacing=(0.5, 1.0, 3.0), origin=(3.0, -7.0, 11.0)):
    """Axis k of the file points along axis order[k] of the body, forwards or backwards."""
    matrix = np.zeros((4, 4))
    for k in range(3):
        matrix[order[k], k] = signs[k] * spacing[k]
    matrix[:, 3] = (*origin, 1)
    return matrix


def oblique(degrees=25.0):
    """An affine with its axes turned."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    matrix = affine()
    matrix[:3, :3] = turn @ matrix[:3, :3]
    return matrix


def content(values, matrix=None, kind=nibabel.Nifti1Image, **settings):
    return kind(values, affine() if matrix is None else matrix, **settings).to_bytes()


def save(path: Path, values, matrix=None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content(values, matrix)))
    return path


def restored(values, matrix, order, signs):
    """The same voxels stored otherwise: the array and its affine. order: of the present axes."""
    orientation = np.array([[order.index(k), signs[order.index(k)]] for k in range(3)])
    moved = nibabel.orientations.apply_orientation(values, orientation)
    return moved, matrix @ nibabel.orientations.inv_ornt_aff(orientation, values.shape)


# Reading.


@pytest.mark.parametrize("order,signs", ORIENTATIONS)
def test_every_orientation_is_read_in_the_axes_of_the_body(order, signs):
    file = content(VALUES, affine(order, signs))
    header, decoded, grid = read_header(file), decode(file, 3), nifti_grid(file)
    canonical = nibabel.as_closest_canonical(nibabel.Nifti1Image.from_bytes(file))
    expected = np.asarray(canonical.dataobj).transpose(2, 1, 0)
    np.testing.assert_array_equal(decoded.array[..., 0], expected)
    assert decoded.array.flags.c_contiguous and decoded.array.shape[:-1] == header.shape
    assert decoded.spacing == header.spacing == pytest.approx(canonical.header.get_zooms()[::-1])
    np.testing.assert_array_equal(grid.as_stored(decoded.array[..., 0]), VALUES)


def test_oblique_files_are_read_along_the_nearest_axes():
    file = content(VALUES, oblique())
    np.testing.assert_array_equal(decode(file, 3).array[..., 0], VALUES.transpose(2, 1, 0))
    assert read_header(file).spacing == pytest.approx((3, 1, 0.5))


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", ">i2", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_values_of_every_type(dtype, kind):
    values = VALUES.clip(0).astype(dtype)
    header = kind.header_class(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(values.dtype)
    file = content(values, affine(signs=(-1, 1, 1)), kind, header=header)
    read, decoded = read_header(file), decode(file, 3).array
    np.testing.assert_array_equal(decoded[..., 0], values[::-1].transpose(2, 1, 0))
    assert read.depth == decoded.dtype == {"u1": "uint8", "u2": "uint16"}.get(dtype, "float32")


def test_slope_and_intercept_are_applied_in_every_orientation():
    file = bytearray(content(VALUES, affine(signs=(-1, -1, 1))))
    file[112:120] = struct.pack("<ff", 0.5, -1000)  # scl_slope and scl_inter
    decoded = decode(bytes(file), 3).array
    np.testing.assert_allclose(decoded[..., 0], (VALUES[::-1, ::-1] * 0.5 - 1000).transpose(2, 1, 0))
    assert read_header(bytes(file)).depth == decoded.dtype == "float32"


def test_masks_that_were_saved_with_a_slope_are_whole_numbers():
    labels = (VALUES % 3).astype(float)
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)  # that of the image, as when its header is reused
    file = content(labels, header=header)
    assert (decode(file, 3).array != labels.transpose(2, 1, 0)[..., None]).any()
    raw = decode(file, 3, options=ReadOptions(raw=True)).array
    np.testing.assert_array_equal(raw[..., 0], labels.transpose(2, 1, 0))
    ids = VALUES.astype(np.int32) + 2**25
    raw = decode(content(ids), 3, options=ReadOptions(raw=True)).array
    np.testing.assert_array_equal(raw[..., 0], ids.transpose(2, 1, 0))


def test_a_fourth_axis_of_one_frame_and_of_several_channels():
    for shape, channels in (((3, 4, 5, 1), 1), ((3, 4, 5, 2), 2), ((3, 4, 5, 1, 3), 3), ((3, 4, 5, 1, 1), 1)):
        values = RNG.normal(size=shape).astype(np.float32)
        file = content(values, affine(signs=(1, -1, 1)))
        assert read_header(file).channels == channels
        expected = values.reshape(3, 4, 5, -1)[:, ::-1].transpose(2, 1, 0, 3)
        np.testing.assert_array_equal(decode(file, 3).array, expected)


def test_units_other_than_millimetres():
    image = nibabel.Nifti1Image(VALUES, affine(spacing=(500.0, 1000.0, 3000.0)))
    image.header.set_xyzt_units("micron")
    assert read_header(image.to_bytes()).spacing == pytest.approx((3, 1, 0.5))


def pair_header() -> bytes:
    header = nibabel.Nifti1Header()
    header["magic"] = b"ni1"
    header.set_data_shape((3, 4, 5))
    return bytes(header.binaryblock)


def colours() -> bytes:
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    return content(np.zeros((3, 4, 5), kind))


def flat() -> bytes:
    file = bytearray(content(VALUES))
    file[280:296] = bytes(16)  # srow_x
    return bytes(file)


@pytest.mark.parametrize(
    "file,reason",
    [
        (pair_header(), r"NIfTI pair \(.hdr and .img\), which is not read: save both as one"),
        (colours(), "type RGB, which is not one number each"),
        (content(np.zeros((3, 4), np.int16)), r"shape \(3, 4\) is not a volume"),
        (content(np.zeros((3, 4, 5, 2, 3), np.int16)), "is not a volume"),
        (content(np.zeros((3, 4, 5), np.complex64)), "complex64"),
        (flat(), "its affine has no inverse"),
        (content(VALUES)[:-9], "damaged or cut short"),
        (gzip.compress(content(RNG.normal(size=(9, 9, 9))))[:-300], "damaged or cut short"),
    ],
)
def test_what_is_not_read_is_named(file, reason):
    with pytest.raises(Unreadable, match=reason):
        decode(file, read_header(file).dim)


@pytest.mark.parametrize(
    "file,reason",
    [
        (b"NRRD0004\ntype: short\n\n" + bytes(99), "it is NRRD, which is not read: convert it to NIfTI"),
        (b"ObjectType = Image\nNDims = 3\n" + bytes(99), r"it is MetaImage \(MHA\), which is not read"),
        (bytes(128) + b"DICM" + bytes(99), "it is DICOM, which is not read"),
        (bytes(nibabel.AnalyzeHeader().binaryblock), "header of an Analyze pair"),
        (
            gzip.compress(nibabel.MGHImage(np.ones((3, 4, 5), np.int16), np.eye(4)).to_bytes(), mtime=0),
            "it is MGH",
        ),
    ],
)
def test_other_kinds_of_volume_are_called_by_their_names(file, reason):
    with pytest.raises(Unreadable, match=reason):
        read_header(file)


def test_folders_of_other_kinds_say_what_they_hold(tmp_path, cli):
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / "0.nrrd").write_bytes(b"NRRD0004\ntype: short\n\n" + bytes(99))
    sentence = one_sentence(cli("look", tmp_path / "data", "--out", tmp_path / "sheet.png"))
    assert "0.nrrd: it is NRRD, which is not read: convert it to NIfTI" in sentence


def test_a_fourth_axis_of_several_is_a_guess():
    assert not read_header(content(np.zeros((3, 4, 5, 1), np.int16))).guesses
    (guess,) = read_header(content(np.zeros((3, 4, 5, 2), np.int16))).guesses
    assert guess.value == "channels"


# Masks and images.


def both(tmp_path, image_affine, mask_affine, mask=VALUES):
    image = save(tmp_path / "image.nii.gz", VALUES, image_affine)
    return image, save(tmp_path / "mask.nii.gz", mask, mask_affine)


def place(image, mask, align=None):
    return aligned(decode(mask.read_bytes(), 3).array[..., 0], mask, image, align)


@pytest.mark.parametrize("matrix", [affine(), affine((2, 0, 1), (-1, 1, -1)), oblique(), oblique(44.9999)])
def test_rounding_of_affines_is_no_difference(tmp_path, matrix):
    noisy = matrix + RNG.normal(0, 1e-4, (4, 4)) * [[1], [1], [1], [0]]
    image, mask = both(tmp_path, matrix, noisy)
    for align in (None, "affine", "array"):
        np.testing.assert_array_equal(place(image, mask, align), decode(image.read_bytes(), 3).array[..., 0])


@pytest.mark.parametrize(
    "matrix,words",
    [
        (affine(signs=(-1, -1, 1)), "orientation is LPS, and the image's RAS.*does not cover.*--align array"),
        (affine(origin=(3.0, -7.0, 12.5)), "0.5 voxels apart.*--align affine.*--align array"),
        (affine(spacing=(1, 1, 3)), "voxels apart.*--align"),
        (oblique(5), "voxels apart.*--align"),
    ],
)
def test_another_affine_is_refused_though_shapes_are_equal(tmp_path, matrix, words):
    image, mask = both(tmp_path, affine(), matrix)
    with pytest.raises(Unreadable, match=f"its mask mask.nii.gz has another affine.*{words}"):
        place(image, mask)
    np.testing.assert_array_equal(place(image, mask, "array"), decode(image.read_bytes(), 3).array[..., 0])


@pytest.mark.parametrize("order,signs", ORIENTATIONS[1::5])
def test_align_affine_turns_a_mask_that_is_stored_otherwise(tmp_path, order, signs):
    moved, matrix = restored(VALUES, affine((1, 2, 0), (-1, 1, 1)), order, signs)
    image, mask = both(tmp_path, affine((1, 2, 0), (-1, 1, 1)), matrix, moved)
    with pytest.raises(Unreadable, match="--align affine"):
        place(image, mask)
    np.testing.assert_array_equal(place(image, mask, "affine"), decode(image.read_bytes(), 3).array[..., 0])


def test_align_affine_takes_the_nearest_voxel_of_a_finer_mask_and_no_mask_of_a_part(tmp_path):
    fine = VALUES.repeat(2, 0).repeat(2, 1)
    matrix = affine(spacing=(0.25, 0.5, 3.0), origin=(3 - 0.125, -7 - 0.25, 11))
    image, mask = both(tmp_path, affine(), matrix, fine)
    with pytest.raises(
        Unreadable, match=r"another affine or size.*; use --align affine to place it by its affine$"
    ):
        place(image, mask)
    np.testing.assert_array_equal(place(image, mask, "affine"), decode(image.read_bytes(), 3).array[..., 0])
    image, mask = both(tmp_path, affine(), affine(), VALUES[:2])
    for align in (None, "affine"):
        with pytest.raises(Unreadable, match="does not cover the image: save a mask of all of the image"):
            place(image, mask, align)


def test_a_mask_without_affine_needs_to_be_asked_for(tmp_path):
    image = save(tmp_path / "image.nii.gz", VALUES, affine((1, 0, 2), (1, -1, 1)))
    read = decode(image.read_bytes(), 3).array[..., 0]
    np.save(tmp_path / "mask.npy", VALUES)
    tifffile.imwrite(tmp_path / "mask.tif", VALUES.transpose(2, 1, 0), photometric="minisblack")
    for name in ("mask.npy", "mask.tif"):
        with pytest.raises(Unreadable, match=f"its mask {name} has no affine.*--align array"):
            place(image, tmp_path / name)
        np.testing.assert_array_equal(place(image, tmp_path / name, "array"), read)
        with pytest.raises(Unreadable, match="its mask is NIfTI and it has no affine"):
            place(tmp_path / name, image)
        plain = decode((tmp_path / name).read_bytes(), 3).array[..., 0]
        np.testing.assert_array_equal(place(tmp_path / name, image, "array"), plain)


def blob(i: int) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((16, 14, 12), np.uint8)
    mask[2 + i % 3 : 8, 6:12, 3:9] = 1
    rng = np.random.default_rng(i)
    return (rng.normal(0, 20, mask.shape) + 300.0 * mask).astype(np.int16), mask


def write_pairs(root: Path, mask_affine=None, n: int = 4, **nan) -> Path:
    for i in range(n):
        values, mask = blob(i)
        save(root / "images" / f"{i}.nii.gz", values, affine())
        save(root / "masks" / f"{i}.nii.gz", mask, mask_affine)
    return root


def test_the_option_reaches_the_masks_of_a_data_set(tmp_path, cli):
    data = write_pairs(tmp_path / "data", affine(signs=(-1, 1, 1)))
    arguments = ("look", data, "--out", tmp_path / "sheet.png")
    assert "another affine" in one_sentence(cli(*arguments))
    assert cli(*arguments, "--align", "array").code == 0
    assert "align is 'aray'" in one_sentence(cli(*arguments, "--align", "aray"))


# Predictions.


def written_for(source: Path, labels: np.ndarray, out: Path) -> Path:
    out.mkdir()
    return write_map(labels, target(source, out, None, 3), source)


@pytest.mark.parametrize("order,signs", ORIENTATIONS)
def test_label_maps_are_written_as_the_input_is_stored(tmp_path, order, signs):
    source = save(tmp_path / "a.nii.gz", VALUES, affine(order, signs))
    labels = (decode(source.read_bytes(), 3).array[..., 0] > 50).astype(np.uint8)
    written = nibabel.load(written_for(source, labels, tmp_path / "out"))
    np.testing.assert_array_equal(np.asarray(written.dataobj), VALUES > 50)
    np.testing.assert_allclose(written.affine, affine(order, signs), atol=1e-5)


@pytest.mark.parametrize("codes", [(1, 0), (0, 3), (2, 1), (0, 0)])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_the_header_is_the_inputs(tmp_path, codes, kind):
    header = kind.header_class()
    header.set_data_dtype(np.int16)
    header.set_data_shape((3, 4, 5, 1))
    header.set_zooms((0.5, 1, 3, 2))
    header.set_sform(affine((1, 0, 2)), codes[0])
    header.set_qform(affine((1, 0, 2)), codes[1])
    header.set_xyzt_units("mm", "sec")
    header["cal_max"] = 900
    header["descrip"] = b"scanner"
    source = tmp_path / "a.nii"
    source.write_bytes(kind(VALUES[..., None], header.get_best_affine(), header).to_bytes())
    labels = (decode(source.read_bytes(), 3).array[..., 0] > 50).astype(np.uint16)
    path = written_for(source, labels, tmp_path / "out")
    made, given = nibabel.load(path), nibabel.load(source)
    assert path.name == "a.nii.gz" and type(made) is type(given) and made.shape == (3, 4, 5)
    np.testing.assert_array_equal(np.asarray(made.dataobj), VALUES > 50)
    np.testing.assert_allclose(made.affine, given.affine, atol=1e-6)
    for field in ("sform_code", "qform_code", "xyzt_units", "descrip"):
        assert made.header[field] == given.header[field], field
    np.testing.assert_allclose(made.header["pixdim"][:4], given.header["pixdim"][:4], atol=1e-6)
    assert made.get_data_dtype() == np.uint16 and made.header["cal_max"] == 0


def test_one_volume_stored_in_several_ways_has_one_prediction(tmp_path, cli):
    predictor = make(tmp_path / "run", dim=3)
    values = np.kron(RNG.integers(0, 255, (3, 4, 2)), np.ones((8, 8, 8))).astype(np.uint8)
    files = {}
    for k, (order, signs) in enumerate([ORIENTATIONS[0], *ORIENTATIONS[5::17]]):
        moved, matrix = restored(values, affine(), order, signs)
        files[save(tmp_path / "in" / f"{k}.nii.gz", moved, matrix)] = (order, signs)
    out = tmp_path / "out"
    assert cli("predict", tmp_path / "run", tmp_path / "in", "-o", out, "--probabilities").code == 0
    labels = predictor(next(iter(files)))[0].labels.transpose(
        2, 1, 0
    )  # this file is stored as right, anterior, superior
    assert 0.02 < labels.mean() < 0.98
    for file, (order, signs) in files.items():
        given, made = nibabel.load(file), nibabel.load(out / file.name)
        assert np.allclose(made.affine, given.affine) and made.shape == given.shape
        np.testing.assert_array_equal(np.asarray(made.dataobj), restored(labels, affine(), order, signs)[0])
        shares = nibabel.load(out / f"{file.name[:-7]}_probabilities.nii.gz")
        assert shares.shape == (*given.shape, 2) and np.allclose(shares.affine, given.affine)
        chosen = np.asarray(shares.dataobj).argmax(-1)
        assert (chosen == np.asarray(made.dataobj)).mean() > 0.99


def test_ids_and_large_volumes_are_nifti_as_well(tmp_path, monkeypatch):
    predictor = make(tmp_path / "run", dim=3)
    values = np.kron(RNG.integers(0, 255, (3, 4, 2)), np.ones((8, 8, 8))).astype(np.uint8)
    source = save(tmp_path / "a.nii.gz", values, affine((2, 1, 0), (1, -1, 1)))
    labels = predictor(source)[0].labels
    grid = nifti_grid(source.read_bytes())
    monkeypatch.setattr("eyespot.prediction.mask_files.LARGE", 1)
    for instances in (False, True):
        out = tmp_path / f"out-{instances}"
        assert write_maps(predictor.output, [source], out, None, instances) == ({}, [out / "a.nii.gz"], [])
        expected = predictor.output.ids(labels) if instances else labels
        made = np.asarray(nibabel.load(out / "a.nii.gz").dataobj)
        np.testing.assert_array_equal(made, grid.as_stored(expected))


def test_images_in_memory_are_read_as_files_and_arrays_with_a_warning(tmp_path):
    predictor = make(tmp_path / "run", dim=3, oriented=True)
    values = np.kron(RNG.integers(0, 255, (3, 4, 2)), np.ones((8, 8, 8))).astype(np.uint8)
    source = save(tmp_path / "a.nii.gz", values, affine((2, 0, 1), (1, -1, 1)))
    expected = predictor(source)[0].labels
    np.testing.assert_array_equal(predictor(nibabel.load(source))[0].labels, expected)
    with pytest.warns(UserWarning, match="does not state where its axes point"):
        labels = predictor(decode(source.read_bytes(), 3).array[..., 0])[0].labels
    np.testing.assert_array_equal(labels, expected)
    assert survey_data(write_pairs(tmp_path / "data", affine())).preprocessing.oriented


@pytest.mark.parametrize(
    "scale,dtype,words",
    [(1, np.int16, None), (5, np.int16, None), (0.001, np.float32, "another scale"), (100, np.float32, "far from"),
     (1, np.uint8, "it stores 8 bits")],
)  # fmt: skip
def test_volumes_of_another_scale_are_named_before_they_are_predicted(tmp_path, scale, dtype, words):
    predictor = make(tmp_path / "run", dim=3, depth="float32", scaling="none", stored=("float32",))
    values = np.kron(RNG.normal(0, 60, (3, 4, 2)), np.ones((8, 8, 8))) * scale
    source = save(tmp_path / "a.nii.gz", np.abs(values).astype(dtype), affine())
    for call in (
        lambda: predictor(source),
        lambda: write_maps(predictor.output, [source], tmp_path / "out", None),
    ):
        with pytest.warns(UserWarning, match=words) if words else nullcontext():
            call()


def test_voxels_of_another_size_are_named(tmp_path):
    predictor = make(tmp_path / "run", dim=3, voxel_size=(3.0, 1.0, 0.5))
    values = np.kron(RNG.integers(0, 255, (3, 4, 2)), np.ones((8, 8, 8))).astype(np.uint8)
    for spacing, other in (((0.5, 1.0, 3.0), False), ((0.6, 1.2, 2.5), False), ((1.0, 1.0, 3.0), True)):
        source = save(tmp_path / f"{spacing[0]}.nii.gz", values, affine(spacing=spacing))
        for call in (
            lambda file: predictor(file),
            lambda file: write_maps(predictor.output, [file], tmp_path / "out", None),
        ):
            with (
                pytest.warns(match="its voxels are 3 x 1 x 1 mm, and those trained on 3 x 1 x 0.5 mm")
                if other
                else nullcontext()
            ):
                call(source)
    data = write_pairs(tmp_path / "data", affine())
    survey = survey_data(data)
    assert survey.preprocessing.voxel_size == pytest.approx((3, 1, 0.5))
    assert not [problem for problem in survey.problems if "voxels" in problem.text]
    for folder in ("images", "masks"):
        file = data / folder / "0.nii.gz"
        save(file, np.asarray(nibabel.load(file).dataobj), affine(spacing=(0.5, 1.0, 6.0)))
    texts = [problem.text for problem in survey_data(data).problems]
    assert any(
        text.startswith("1 volume has voxels of another size than the others' (3 x 1 x 0.5 mm)")
        for text in texts
    )


def test_volumes_without_orientation_beside_nifti_are_named(tmp_path):
    data = write_pairs(tmp_path / "data", affine())
    for folder, values in zip(("images", "masks"), blob(9), strict=True):
        (data / folder / "0.nii.gz").unlink()
        np.save(data / folder / "0.npy", values.transpose(2, 1, 0))
    texts = [problem.text for problem in survey_data(data).problems]
    assert any(text.startswith("1 volume is not NIfTI: their axes are taken as") for text in texts)


# Values that are not finite.


def encoded(values: np.ndarray, kind: str) -> bytes:
    if kind == "nifti":
        return content(values)
    buffer = io.BytesIO()
    if kind == "numpy":
        np.save(buffer, values)
    else:
        tifffile.imwrite(buffer, values, photometric="minisblack")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["nifti", "numpy", "tiff"])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_or_replaced(kind, odd):
    values = RNG.normal(size=(6, 7, 8)).astype(np.float32)
    values[:2, 3] = odd
    file = encoded(values, kind)
    preprocessing = Preprocessing(1, "own", 1, (1,), "float32", 3)
    assert preprocessing.as_dict() == Preprocessing.from_dict(preprocessing.as_dict()).as_dict()
    with pytest.raises(Unreadable, match=r"16 of its 336 values are not finite.*--nan VALUE"):
        preprocessing(file)
    replacing = Preprocessing.from_dict(preprocessing.as_dict() | {"nan": -4.0})
    expected = np.where(np.isfinite(values), values, np.float32(-4))
    expected = expected.transpose(2, 1, 0) if kind == "nifti" else expected
    np.testing.assert_array_equal(replacing(file)[..., 0], expected)
    assert Preprocessing.from_dict(replacing.as_dict()) == replacing


def test_values_beyond_32_bits_count_as_infinite():
    file = content(np.array([1.0, 1e300, 2.0]).reshape(3, 1, 1))
    with pytest.raises(Unreadable, match="1 of its 3 values is not finite"):
        decode(file, 3)


def test_the_value_for_nan_travels_with_the_model(tmp_path, cli):
    data = write_pairs(tmp_path / "data", affine())
    values = blob(0)[0].astype(np.float32)
    values[0] = np.nan
    save(data / "images" / "0.nii.gz", values)
    arguments = ("look", data, "--out", tmp_path / "sheet.png")
    assert "168 of its 2,688 values are not finite" in cli(*arguments, "--json").out
    assert "not finite" not in cli(*arguments, "--json", "--nan", "-1000").out
    survey = survey_data(data, Config(nan=-1000.0))
    assert survey.preprocessing.nan == -1000 and survey.images.low.min() == -1000
    out = tmp_path / "out"
    make(tmp_path / "strict", dim=3, depth="float32")
    refused = cli("predict", tmp_path / "strict", data / "images", "-o", out)
    assert refused.code == 1 and "0.nii.gz: 168 of its 2,688 values are not finite" in refused.err
    make(tmp_path / "run", dim=3, depth="float32", nan=-1000.0)
    assert cli("predict", tmp_path / "run", data / "images" / "0.nii.gz", "-o", out).code == 0
    assert nibabel.load(out / "0.nii.gz").shape == values.shape


def test_what_headers_leave_open_about_places_and_time_is_a_guess(tmp_path):
    values = np.zeros((5, 6, 7), np.int16)
    places = np.diag([1.0, 1, 2, 1])
    without = nibabel.Nifti1Image(values, None)
    without.set_sform(None, 0)
    without.set_qform(None, 0)
    two = nibabel.Nifti1Image(values, places)
    two.set_sform(places, 1)
    two.set_qform(np.diag([-1.0, -1, 2, 1]), 1)
    one = nibabel.Nifti1Image(values, places)
    one.set_sform(places, 1)
    one.set_qform(places, 1)
    frames = nibabel.Nifti1Image(np.zeros((5, 6, 7, 3), np.int16), places)
    frames.header.set_xyzt_units("mm", "sec")
    expected = {"neither sform nor qform": without, "the qform places": two, "one of time": frames}
    for text, image in expected.items():
        guesses = read_header(image.to_bytes()).guesses
        assert len(guesses) == 1 and text in guesses[0].reason
    assert not read_header(one.to_bytes()).guesses
