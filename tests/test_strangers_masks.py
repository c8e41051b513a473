"""Images with masks as strangers have them: which masks are meant, and patterns of refusals that work when they are given."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from eyespot.config import Config
from eyespot.data.sources.find import find_samples
from eyespot.data.sources.judge import PICTURES, judged
from eyespot.data.surveys.survey_data import survey_data
from eyespot.errors import UserError

N = 6


def photo(seed: int, n: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(30, 220, (n, n, 3)).astype(np.uint8)


def region(seed: int, value: int = 255, n: int = 40) -> np.ndarray:
    values = np.zeros((n, n), np.uint8)
    a, b = np.random.default_rng(seed).integers(2, n // 2, 2)
    values[a : a + 14, b : b + 12] = value
    return values


def save(path, values, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".jpg": "JPEG", ".tif": "TIFF", ".gif": "GIF"}.get(path.suffix, "PNG")
    with path.open("wb") as file:
        Image.fromarray(values).save(file, kind, **options)


def files(root, pattern, make, n=N):
    for i in range(n):
        save(root / pattern.format(i=i), make(i))


def suggested(refusal, option: str) -> str:
    """The pattern that a refusal names for an option."""
    return re.findall(rf"--{option} '(.*?)'", str(refusal.value))[0]


@pytest.mark.parametrize(
    "image, masks",
    [
        ("{s}/images/{i}_{s}.tif", ["{s}/1st_manual/{i}_manual1.gif", "{s}/mask/{i}_{s}_mask.gif"]),
        ("Image_{i}L.jpg", ["Image_{i}L_1stHO.png", "Image_{i}L_2ndHO.png"]),
        ("c{i}/nodule/images/s.png", ["c{i}/nodule/mask-0/s.png", "c{i}/nodule/mask-1/s.png"]),
        ("{s}/t{i}.tif", ["{s}_GT/SEG/man_seg{i}.tif", "{s}_GT/TRA/man_track{i}.tif"]),
    ],
)
def test_one_of_several_masks_is_chosen_by_the_pattern_of_the_refusal(tmp_path, image, masks):
    for s in ("training", "test"):
        files(tmp_path, image.replace("{s}", s), photo)
        for k, mask in enumerate(masks):
            files(tmp_path, mask.replace("{s}", s), lambda i, k=k: region(i + 9 * k))
    with pytest.raises(UserError, match="has 2 masks") as refusal:
        find_samples(tmp_path)
    assert len(str(refusal.value)) < 260
    source = find_samples(tmp_path, Config(masks=suggested(refusal, "masks")))
    expected = {tmp_path / masks[0].format(i=i, s=s) for i in range(N) for s in ("training", "test")}
    assert {sample.mask for sample in source.samples} == expected


def test_one_of_several_images_is_chosen_by_the_pattern_of_the_refusal(tmp_path):
    files(tmp_path, "data/ISIC_{i}.jpg", photo)
    files(tmp_path, "data/ISIC_{i}_superpixels.png", photo)
    files(tmp_path, "truth/ISIC_{i}_segmentation.png", region)
    with pytest.raises(UserError, match="is the mask of 2 images") as refusal:
        find_samples(tmp_path)
    source = find_samples(tmp_path, Config(images=suggested(refusal, "images")))
    assert {s.path for s in source.samples} == {tmp_path / f"data/ISIC_{i}.jpg" for i in range(N)}


@pytest.mark.parametrize("ending", ["_1stHO", "_vessel annotator A", "_lesion_area"])
def test_masks_have_several_words_more_than_their_images(tmp_path, ending):
    files(tmp_path, "Image_{i}L.jpg", photo)
    files(tmp_path, f"Image_{{i}}L{ending}.png", region)
    source = find_samples(tmp_path)
    assert {s.mask for s in source.samples} == {tmp_path / f"Image_{i}L{ending}.png" for i in range(N)}


@pytest.mark.parametrize(
    "label, shown",
    [
        ("{i}_json/label.png", "{i}_json/label_viz.png"),
        ("masks_machine/{i}.png", "masks_human/{i}.png"),
        ("SegmentationClass/{i}.png", "SegmentationClassVisualization/{i}.png"),
    ],
)
def test_pictures_of_masks_are_left_out_and_said(tmp_path, label, shown):
    files(tmp_path, "{i}_json/img.png" if "json" in label else "img/{i}.png", photo)
    files(tmp_path, label, lambda i: region(i, 1))
    files(tmp_path, shown, lambda i: photo(i + 50))
    source = find_samples(tmp_path)
    assert {s.mask for s in source.samples} == {tmp_path / label.format(i=i) for i in range(N)}
    guess = next(guess for guess in source.guesses if guess.name == "masks")
    assert shown.format(i=0).split("/")[-1] in guess.reason and guess.option == "--masks PATTERN"


def test_folders_called_masks_below_masks_are_no_classes(tmp_path):
    """As the cell tracking challenge has them: the folders hold two kinds of mask, and not one class each."""
    files(tmp_path, "01/t{i}.tif", photo)
    files(tmp_path, "01_GT/SEG/man_seg{i}.tif", region)
    files(tmp_path, "01_GT/TRA/man_track{i}.tif", region)
    with pytest.raises(UserError, match=r"2 masks \(SEG/man_seg0.tif, TRA/man_track0.tif\)"):
        find_samples(tmp_path)


def test_objects_in_folders_called_like_images_may_have_numbers(tmp_path):
    """masks/3/1.png is an object of images/3.png, though there is an image 1.png as well."""
    files(tmp_path, "images/{i}.png", photo)
    for i in range(N):
        for k in range(3):
            save(tmp_path / f"masks/{i}/{k}.png", region(7 * i + k))
    source = find_samples(tmp_path)
    assert {s.mask for s in source.samples} == {tmp_path / f"masks/{i}" for i in range(N)}


def test_folders_with_a_mask_of_each_image_are_classes(tmp_path):
    files(tmp_path, "images/{i}.png", photo)
    for label in (1, 2):
        files(tmp_path, f"masks/{label}/{{i}}.png", lambda i, k=label: region(i + 9 * k))
    assert find_samples(tmp_path).by_class


def box_file(root):
    """Images of a folder, and a COCO file that has boxes only."""
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 40, "height": 40} for i in range(N)]
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [3, 3, 9, 9], "area": 81} for i in range(N)]
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cell"}]}
    (root / "boxes.json").write_text(json.dumps(document))


def test_classes_are_offered_beside_boxes_only_where_there_are_some(tmp_path):
    files(tmp_path, "plain/images/{i}.jpg", photo)
    box_file(tmp_path / "plain")
    with pytest.raises(UserError, match="bounding boxes and no outlines") as refusal:
        find_samples(tmp_path / "plain")
    assert "--task" not in str(refusal.value)
    for label in ("cat", "dog"):
        for i in range(N):
            save(tmp_path / f"classes/{label}/{label}{i}.jpg", photo(i))
    box_file(tmp_path / "classes")
    with pytest.raises(UserError, match="use --task classification"):
        find_samples(tmp_path / "classes")
    assert len(find_samples(tmp_path / "classes", Config(task="classification")).classes) == 2


def test_a_folder_of_annotations_is_no_class(tmp_path):
    files(tmp_path, "cat/{i}.jpg", photo)
    files(tmp_path, "dog/{i}.jpg", lambda i: photo(i + 50))
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "0.xml").write_text("<annotation/>")
    assert find_samples(tmp_path, Config(task="classification")).classes == ("cat", "dog")


COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 0]], np.uint8)


def many_regions(seed: int) -> np.ndarray:
    """(96, 96) of 0 to 3 in a dozen areas."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :96]
    points = rng.integers(0, 96, (12, 2))
    return (np.argmin([(y - a) ** 2 + (x - b) ** 2 for a, b in points], 0) % 4).astype(np.uint8)


def test_masks_of_colours_in_jpeg_are_told_from_photographs(tmp_path):
    for i in range(N):
        save(tmp_path / f"images/{i}.jpg", photo(i, 96))
        save(tmp_path / f"masks/{i}.jpg", COLOURS[many_regions(i)], quality=90)
    assert judged(sorted((tmp_path / "images").iterdir())) == PICTURES
    assert judged(sorted((tmp_path / "masks").iterdir())) != PICTURES
    with pytest.raises(UserError, match=r"JPEG blurs them.*--harden"):
        survey_data(tmp_path)
    survey = survey_data(tmp_path, Config(harden=True))
    assert len(survey.classes) == 4


def test_refusals_of_masks_name_a_remedy(tmp_path):
    files(tmp_path / "small", "images/{i}.png", photo)
    files(tmp_path / "small", "masks/{i}.png", lambda i: region(i)[::2, ::2].copy())
    with pytest.raises(UserError, match="is 20 x 20, and it is 40 x 40; resize it without interpolation"):
        survey_data(tmp_path / "small")
    for i in range(N):
        for name, values in (("images", photo(i)), ("masks", region(i) / np.float32(300))):
            path = tmp_path / "shares" / name / f"{i}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, values)
    with pytest.raises(UserError, match=r"save classes, such as probability > 0\.5"):
        survey_data(tmp_path / "shares")


def test_nan_in_a_mask_is_counted(tmp_path):
    for i in range(N):
        values = region(i, 1).astype(np.float32)
        values[0, :3] = np.nan
        for name, array in (("images", photo(i)), ("masks", values)):
            path = tmp_path / name / f"{i}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, array)
    with pytest.raises(UserError, match="3 of its values are NaN or infinite: save it with 0 there"):
        survey_data(tmp_path)


def write_masks(root, masks):
    files(root, "images/{i}.png", photo, len(masks))
    for i, values in enumerate(masks):
        save(root / f"masks/{i}.png", values)


def test_255_is_not_void_where_hardly_anything_else_is_there(tmp_path):
    """A stray pixel of 1 must not make it the class, and what is meant void."""
    masks = [region(i) for i in range(N)]
    masks[2][0, 0] = 1
    write_masks(tmp_path, masks)
    with pytest.raises(
        UserError, match=r"all other values above 0 \(1\) in 1: use --void none .* --void 255"
    ):
        survey_data(tmp_path)
    assert survey_data(tmp_path, Config(void="none")).classes == ("0", "1", "255")
    mapping = survey_data(tmp_path, Config(void="255")).mapping
    assert mapping is not None and mapping.void == 255


def test_white_and_nearly_white_are_no_two_classes(tmp_path):
    write_masks(tmp_path, [region(i, 254 if i < 3 else 255) for i in range(N)])
    with pytest.raises(UserError, match=r"0\.png has 254 where others .* have 255: .* --no-harden"):
        survey_data(tmp_path)
    assert len(survey_data(tmp_path, Config(harden=False)).classes) == 3


def test_255_may_be_a_class_where_many_masks_have_nothing_else(tmp_path):
    write_masks(tmp_path, [region(i, 100 if i < 3 else 255) for i in range(N)])
    with pytest.raises(UserError, match=r"3 of 6 masks have 255 and nothing else beside 0, .*--void none"):
        survey_data(tmp_path)
    assert len(survey_data(tmp_path, Config(void="none")).classes) == 3


def test_an_empty_folder_of_masks_is_named(tmp_path):
    files(tmp_path, "images/{i}.png", photo)
    (tmp_path / "masks").mkdir()
    with pytest.raises(UserError, match="masks is empty, and would hold the masks of 6 files"):
        find_samples(tmp_path)
