"""Multi-label masks: paired, packed, trained, scored, written and read back, and what is said where they are wrong."""

import io
import shutil

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import eyespot
from conftest import one_sentence
from eyespot.data.header import Unreadable
from eyespot.data.masks.mapping import VOID, Mapping, mapping_of
from eyespot.data.masks.multilabel import (
    channel_values,
    folder_of,
    propose_multilabel,
    read_bits,
    read_channels,
    unpack,
)
from eyespot.data.masks.statistics import MaskValues
from eyespot.data.sources.find import find_samples
from eyespot.data.sources.pairs import source_of_pairs
from eyespot.data.sources.samples import Sample
from eyespot.errors import UserError
from eyespot.labels import VOID as IGNORED
from eyespot.metrics.masks import count_each, score
from eyespot.overlays import SHARE, with_mask
from eyespot.pictures import MAP_COLOURS
from eyespot.prediction import mask_files as module
from eyespot.prediction.tiled_inference import SeamMeter, hard, probabilities
from eyespot.tasks.losses import LOSSES, MULTILABEL, parse_loss
from eyespot.tasks.losses import unpack as unpack_targets
from test_mask_outputs import make

RNG = np.random.default_rng(0)


def load_strict(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values).astype(np.uint8)).save(path)


def touch(root, *names):
    for name in names:
        load_strict(root / name, np.zeros((4, 4)))


def found(root):
    pairs = source_of_pairs(root, "set")
    assert pairs is not None
    told = {
        str(s.path.relative_to(root)): {k: str(f.relative_to(root)) for k, f in s.masks}
        for s in pairs.samples
    }
    return pairs, told


# Which masks belong to which image.


def test_folders_in_masks_are_classes(tmp_path):
    touch(tmp_path, "images/a.png", "images/b.png", "images/c.png", "images/d.png")
    touch(tmp_path, "masks/Rim/a.png", "masks/core/a.png", "masks/core/b_mask.png", "masks/core/z.png")
    pairs, told = found(tmp_path)
    assert pairs.classes == ("Rim", "core")
    assert told == {
        "images/a.png": {"Rim": "masks/Rim/a.png", "core": "masks/core/a.png"},
        "images/b.png": {"core": "masks/core/b_mask.png"},
    }
    assert [p.name for p in pairs.without["mask"]] == ["c.png", "d.png"]
    assert [p.name for p in pairs.without["image"]] == ["z.png"]
    source = find_samples(tmp_path)
    assert source.classes == ("Rim", "core") and source.by_class and source.has_masks


@pytest.mark.parametrize(
    "image,mask",
    [
        ("train/images/a.png", "train/masks/{}/a.png"),
        ("images/train/a.png", "masks/train/{}/a.png"),
        ("images/train/a.png", "masks/{}/train/a.png"),
        ("images/train/x/a.png", "Labels/train/{}/x/a.png"),
    ],
)
def test_classes_below_splits_and_above_other_folders(tmp_path, image, mask):
    touch(tmp_path, image, mask.format("Rim"), mask.format("y"))
    pairs, told = found(tmp_path)
    assert told == {image: {"Rim": mask.format("Rim"), "y": mask.format("y")}}
    assert pairs.samples[0].split == "train" and "image" not in pairs.without


def test_masks_of_the_images_names_are_no_classes(tmp_path):
    touch(tmp_path, "images/x/a.png", "masks/x/a.png", "masks/y/a.png")
    pairs, told = found(tmp_path)
    assert told == {"images/x/a.png": {}} and pairs.samples[0].mask and not pairs.classes


def test_a_csv_has_a_column_for_each_class(tmp_path):
    (tmp_path / "a.csv").write_text(
        "path,mask:core,mask:a rim,split\ni.png,c.png,r.png,train\nj.png,,s.png,val\n"
    )
    source = find_samples(tmp_path / "a.csv")
    assert source.classes == ("core", "a rim") and source.by_class
    assert source.samples[0].masks == (("a rim", tmp_path / "r.png"), ("core", tmp_path / "c.png"))
    assert source.samples[1].masks == (("a rim", tmp_path / "s.png"),)
    (tmp_path / "b.csv").write_text("path,mask:core\ni.png,\n")
    with pytest.raises(UserError, match=r"b.csv line 2 has no mask"):
        find_samples(tmp_path / "b.csv")


# What they hold.


def tiff(values, **how):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **how)
    return buffer.getvalue()


@pytest.mark.parametrize("k", [2, 3, 4])
def test_channels_of_every_kind_of_file(k):
    planes = RNG.integers(0, 2, (k, 9, 11), dtype=np.uint8)
    last, npy = np.moveaxis(planes, 0, -1), io.BytesIO()
    np.save(npy, planes)
    pages = tiff(planes, photometric="minisblack")
    for content in (
        pages,
        tiff(planes, imagej=True, metadata={"axes": "CYX"}),
        tiff(last, photometric="minisblack", planarconfig="contig"),
        tiff(last),  # of four channels, tifffile calls the last one alpha
        npy.getvalue(),
    ):
        np.testing.assert_array_equal(read_channels(content, 2), last)
    volume = np.stack([planes] * 5)
    content = tiff(volume, imagej=True, metadata={"axes": "ZCYX"})
    np.testing.assert_array_equal(read_channels(content, 3), np.moveaxis(volume, 1, -1))


def test_bits_of_files_and_of_channels(tmp_path):
    planes = RNG.integers(0, 2, (7, 16, 15))
    void = RNG.random((16, 15)) < 0.2
    names = tuple("abcdefg")
    mapping = Mapping((), names, void=9, multilabel=True)
    stored = [np.where(void, 9, plane) if k == 2 else plane * 255 for k, plane in enumerate(planes)]
    for name, plane in zip(names, stored, strict=True):
        if name != "f":
            load_strict(tmp_path / name / "i.png", plane)
    tifffile.imwrite(tmp_path / "i.tif", np.array(stored, np.uint8), photometric="minisblack")
    files = tuple((name, tmp_path / name / "i.png") for name in names if name != "f")
    without, whole = planes.copy(), Sample(tmp_path, "", mask=tmp_path / "i.tif")
    without[5] = 0  # nothing where there is no file
    for sample, wanted in ((Sample(tmp_path, "", masks=files), without), (whole, planes)):
        bits = read_bits(sample, mapping, (16, 15))
        assert bits.dtype == np.uint8
        np.testing.assert_array_equal(bits == VOID, void)
        np.testing.assert_array_equal(unpack(bits, 7), wanted * ~void)
        targets = np.where(bits == VOID, IGNORED, bits.astype(np.int64))
        got = unpack_targets(torch.from_numpy(targets)[None], 7)[0].numpy()
        np.testing.assert_array_equal(got, np.where(void, IGNORED, wanted))
    with pytest.raises(Unreadable, match=r"its mask i.tif has 7 channels, and there are 2 classes"):
        read_bits(whole, Mapping((), ("a", "b"), multilabel=True), (16, 15))
    with pytest.raises(Unreadable, match=r"its mask a/i.png is 15 x 16, and it is 16 x 15"):
        read_bits(Sample(tmp_path, "", masks=files), mapping, (15, 16))
    with pytest.raises(
        Unreadable,
        match=f"its mask c/i.png has the value 9 in {void.sum()} pixels, which is not one of 0, 1, 255",
    ):
        read_bits(Sample(tmp_path, "", masks=files), Mapping((), names, multilabel=True), (16, 15))


def facts(*counts, channels=1):
    return {f"{i}.png": MaskValues((8, 8), c, "", channels) for i, c in enumerate(counts)}


def test_the_mapping_that_is_proposed():
    proposal = propose_multilabel(facts({0: 9, 1: 3}, {0: 9, 255: 3}), ("a", "b"), True, None)
    assert proposal.mapping == Mapping((), ("a", "b"), multilabel=True) and not proposal.mapping.has_objects
    assert proposal.reason == "multi-label masks, 2 classes, a folder each"
    assert mapping_of(proposal.mapping.as_dict()) == proposal.mapping
    channels = propose_multilabel(facts({0: 9, 255: 3, 7: 1}, channels=3), (), False, "7").mapping
    assert channels.classes == ("1", "2", "3") and channels.void == 7
    assert propose_multilabel(facts({0: 9, 1: 3, 255: 1}), ("a",), True, "255").mapping.void == 255
    assert propose_multilabel(facts({0: 9, 1: 3, 255: 1}), ("a",), True, "none").mapping.void is None
    assert (
        not Mapping((), ("background", "b"), multilabel=True).has_objects
        and Mapping((0, 1), ("background", "b")).has_objects
    )
    assert [folder_of(n) for n in ("a b", "../x", "a/b", "T.c")] == ["a b", "__x", "a_b", "T.c"]


@pytest.mark.parametrize(
    "facts,names,void,sentence",
    [
        (facts({0: 9}, {0: 9, 1: 2, 3: 5, 4: 2}), ("a", "b"), None, "mask 1.png has the value 3 in 5 pixels, .* or use --void 3"),
        (facts({0: 9, 1: 2, 255: 5}), ("a", "b"), None, "mask 0.png has the value 1 in 2 pixels and 255 in 5: use --void 255"),
        (facts({0: 9, 1: 2}), tuple("abcdefgh"), None, "the masks have 8 classes, and multi-label masks can have up to 7"),
        (facts({0: 9, 1: 2}), ("a", "b"), "7", "void is '7', and no mask has that value; they have 0, 1"),
        (facts({0: 9, 1: 2}), ("a", "A"), None, "two of the classes a, A have one name"),
        (facts({0: 5000, 255: 3000} | dict.fromkeys(range(1, 90), 1)), ("a", "b"), None, "0.png has soft edges, 91 different"),
    ],
)  # fmt: skip
def test_masks_that_make_no_sense(facts, names, void, sentence):
    with pytest.raises(UserError, match=sentence):
        propose_multilabel(facts, names, True, void)


def test_channels_that_differ_from_file_to_file():
    two, three = facts({0: 1}, channels=2), {"3.png": MaskValues((8, 8), {0: 1}, "", 3)}
    with pytest.raises(UserError, match=r"mask 0.png has 2 channels, and another mask has 3"):
        propose_multilabel(two | three, (), False, None)
    with pytest.raises(UserError, match=r"mask 0.png has 2 channels, and classes.txt names 1"):
        propose_multilabel(two, ("a",), False, None)


# The loss.


def some(shape, k=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, k, *shape, generator=g, dtype=torch.float64).requires_grad_()
    labels = torch.randint(1 << k, (2, *shape), generator=g)
    labels[torch.rand(labels.shape, generator=g) < 0.2] = IGNORED
    return logits, unpack_targets(labels, k)


@pytest.mark.parametrize("shape", [(12,), (5, 6), (3, 4, 5)])
def test_losses_are_those_of_loops_over_pixels(shape):
    logits, labels = some(shape)
    p, entropies, dices = logits.detach().sigmoid(), [], []
    for c in range(3):
        pixels = [
            (q, y)
            for q, y in zip(p[:, c].flatten().tolist(), labels[:, c].flatten().tolist(), strict=True)
            if y != IGNORED
        ]
        entropies += [-np.log(q if y else 1 - q) for q, y in pixels]
        dices.append(2 * sum(q * y for q, y in pixels) / sum(q + y for q, y in pixels))
    expected = {"bce": np.mean(entropies), "dice": 1 - np.mean(dices)}
    got = {name: f(logits, labels).item() for name, f in MULTILABEL.items()}
    assert got == pytest.approx(expected, rel=1e-12)
    total, bordered = parse_loss("bce+dice", multilabel=True)
    assert total(logits, labels).item() == pytest.approx(sum(expected.values())) and not bordered


@pytest.mark.parametrize("name", [*MULTILABEL, "bce+dice"])
def test_void_has_no_gradient_and_hard_batches_have_a_finite_one(name):
    logits, labels = some((5, 6))
    parse_loss(name, True)[0](logits, labels).backward()
    assert ((logits.grad == 0) == (labels == IGNORED)).all()
    for labels in (torch.full((2, 3, 6), IGNORED), torch.zeros(2, 3, 6, dtype=torch.long)):
        logits = (1000 * torch.randn(2, 3, 6)).bfloat16().requires_grad_()
        loss = parse_loss(name, True)[0](logits, labels)
        loss.backward()
        assert loss.isfinite() and logits.grad.isfinite().all() and loss.dtype == torch.float32
        assert loss == 0 or labels.max() == 0
    assert MULTILABEL["dice"](torch.randn(1, 2, 9), torch.zeros(1, 2, 9).long()) == 0  # no class occurs


@pytest.mark.parametrize("name", [n for n in LOSSES if n not in MULTILABEL] + ["ce+dice"])
def test_losses_of_the_other_kind_are_refused(name):
    with pytest.raises(
        UserError, match=r"is for masks of one class per pixel; multi-label masks take bce, dice or a sum"
    ):
        parse_loss(name, multilabel=True)
    with pytest.raises(
        UserError, match=r"has 'bce', which is for multi-label masks; masks of one class per pixel take ce"
    ):
        parse_loss("bce+dice")
    with pytest.raises(UserError, match="has 'bcee'; did you mean 'bce'"):
        parse_loss("bcee", multilabel=True)


# The scores.


def test_scores_are_sums_over_pixels():
    shape, k = (4, 3, 8, 9), 3
    truth, said, valid = RNG.random(shape) < 0.4, RNG.random(shape) < 0.5, RNG.random((4, 8, 9)) < 0.8
    truth[:, 2] = False  # a class that does not occur
    counts = [count_each(t, s, v) for t, s, v in zip(truth, said, valid, strict=True)]
    got = score(counts, list("abc"))
    ious, dices = [], []
    for i in range(k):
        pairs = [(t, s) for t, s, v in zip(truth[:, i].flat, said[:, i].flat, valid.flat, strict=True) if v]
        both, there, said_ = (
            sum(t and s for t, s in pairs),
            sum(t for t, _ in pairs),
            sum(s for _, s in pairs),
        )
        if i < 2:
            ious.append(both / (there + said_ - both))
            dices.append(2 * both / (there + said_))
            c = got["classes"]["abc"[i]]
            assert [c[s]["value"] for s in ("iou", "dice", "recall", "precision")] == pytest.approx(
                [ious[-1], dices[-1], both / there, both / said_]
            )
    assert got["mean_iou"]["value"] == pytest.approx(np.mean(ious)) and got["mean_iou"]["n"] == 4
    assert got["mean_dice"]["value"] == pytest.approx(np.mean(dices))
    assert got["mean_iou"]["low"] < got["mean_iou"]["value"] < got["mean_iou"]["high"]
    assert got["classes"]["c"]["iou"]["value"] is None and got["classes"]["c"]["false_alarm"]["value"] == 1
    assert "pixel_accuracy" not in got and "confusion" not in got and "v_rand" not in got
    perfect = score([count_each(truth[0], truth[0], valid[0])], list("abc"))
    assert perfect["mean_iou"]["value"] == perfect["boundary_f"]["value"] == 1


def test_classes_are_painted_one_over_the_other():
    row = np.repeat([[0, 1, 1, 0], [0, 0, 1, IGNORED]], 5, axis=1)
    planes = np.repeat(row[:, None], 5, axis=1)
    black = Image.new("RGB", (20, 5))
    got = np.asarray(with_mask(black, planes, overlap=True)).astype(float)
    one, two = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in MAP_COLOURS[:2])
    wanted = (0 * one, SHARE * one, (1 - SHARE) * SHARE * one + SHARE * two, 0 * one)
    for pixel, colour in zip(got[2, 2::5], wanted, strict=True):
        assert pixel == pytest.approx(colour, abs=1)
    volume = with_mask(black, np.stack([planes] * 3, 1), overlap=True)
    np.testing.assert_array_equal(np.asarray(volume), got)


def test_what_is_said_of_logits():
    logits = np.array([[-1.0, 2.0, 3.0], [1.0, 1.0, -3.0]])
    assert hard(logits, True).tolist() == [2, 3, 1] and hard(logits).tolist() == [1, 0, 0]
    np.testing.assert_allclose(probabilities(logits, True), 1 / (1 + np.exp(-logits)))
    assert hard(np.full((7, 1), 9.0), True).tolist() == [127]


# Through the commands.


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    """Two discs that overlap, each of a class; in two of the images there is one only."""
    root = tmp_path_factory.mktemp("discs")
    y, x = np.mgrid[:48, :44]
    for i in range(14):
        image = RNG.normal(60, 8, (48, 44))
        for light, name in ((50, "dim"), (90, "lit")):
            if (i, name) in ((3, "dim"), (9, "lit")):
                continue
            centre = RNG.uniform(16, 30, 2)
            disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 11**2
            image += light * disc
            load_strict(root / "masks" / name / f"{i:02}.png", 255 * disc)
        load_strict(root / "images" / f"{i:02}.png", image.clip(0, 255))
    return root


@pytest.fixture(scope="module")
def run(discs, tmp_path_factory):
    return eyespot.train(discs, epochs=24, batch=4, size=48, out=tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def channels(discs, tmp_path_factory):
    """The same data in one file per image."""
    root = tmp_path_factory.mktemp("channels")
    shutil.copytree(discs / "images", root / "images")
    (root / "masks").mkdir()
    for file in (root / "images").iterdir():
        own = [discs / "masks" / name / file.name for name in ("dim", "lit")]
        planes = [np.asarray(Image.open(f)) if f.exists() else np.zeros((48, 44), np.uint8) for f in own]
        tifffile.imwrite(
            root / "masks" / f"{file.stem}.tif", np.array(planes) // 255, photometric="minisblack"
        )
    (root / "classes.txt").write_text("dim\nlit\n")
    return root


def test_look_tells_of_classes_and_overlap(discs, channels, cli, tmp_path):
    look = eyespot.look(discs, sheet=tmp_path / "a.png").as_dict()
    masks = {n: list((discs / "masks" / n).iterdir()) for n in ("dim", "lit")}
    area = {n: sum((np.asarray(Image.open(f)) > 0).sum() for f in files) for n, files in masks.items()}
    assert look["shares"] == pytest.approx({n: a / (14 * 48 * 44) for n, a in area.items()}, abs=1e-5)
    assert look["images_with"] == {"dim": 13, "lit": 13} and look["mapping"]["multilabel"]
    assert look["overlap"] > 0.02
    text = cli("look", channels, "--multilabel", "-o", tmp_path / "b.png").out
    assert (
        f"multi-label masks, 2 classes, a channel each; {look['overlap']:.1%} of the pixels belong to several"
        in text
    )
    assert eyespot.look(channels, multilabel=True).as_dict()["shares"] == look["shares"]


def test_classes_that_overlap_are_learned_and_scored(run, discs, channels):
    scores = run.evaluation.scores
    assert set(scores["classes"]) == {"dim", "lit"} and "pixel_accuracy" not in scores
    assert all(c["iou"]["value"] > 0.75 for c in scores["classes"].values()), str(run.evaluation)
    again = run.evaluate()  # from split.csv, which has a column for each class
    assert again.scores["mean_iou"] == scores["mean_iou"]
    assert "mask:dim,mask:lit" in (run.folder / "split.csv").read_text()
    assert "data:image/png" in (run.folder / "report.html").read_text()
    assert run.evaluate(channels).scores == run.evaluate(discs).scores
    rows = (run.folder / "history.csv").read_text().splitlines()[1:]
    validated = [float(row.split(",")[-2]) for row in rows]  # the last one, or a better one that was kept
    assert any(value == pytest.approx(scores["mean_iou"]["value"], abs=0.02) for value in validated)


@pytest.mark.parametrize("large", [False, True])
def test_what_is_predicted_is_written_and_can_be_read_back(run, discs, tmp_path, cli, monkeypatch, large):
    monkeypatch.setattr(module, "LARGE", 1 if large else 2**25)
    done = cli("predict", run.folder, discs / "images", "-o", tmp_path / "masks", "--probabilities")
    assert done.code == 0 and "28 masks in" in done.out
    files = sorted((discs / "images").iterdir())
    ending = "tif" if large else "png"
    for file, answer in zip(files, run.predict(files), strict=True):
        assert answer.labels.shape == (2, 48, 44) and answer.labels.dtype == bool
        for name, plane in zip(("dim", "lit"), answer.labels, strict=True):
            path = tmp_path / "masks" / name / f"{file.stem}.{ending}"
            written = tifffile.imread(path) if large else np.asarray(Image.open(path))
            np.testing.assert_array_equal(written, plane * np.uint8(255))
        logits = torch.from_numpy(run.predictor.logits(np.asarray(Image.open(file))[None, ..., None])[0])
        soft = tifffile.imread(tmp_path / "masks" / f"{file.stem}_probabilities.tif")
        assert abs(soft - 255 * logits.sigmoid().numpy()).max() < 0.51
        (tmp_path / "masks" / f"{file.stem}_probabilities.tif").unlink()
    shutil.copytree(discs / "images", tmp_path / "images")
    scores = run.evaluate(tmp_path).scores
    assert scores["mean_iou"]["value"] == 1 and scores["mean_iou"]["n"] == 14


def test_what_is_refused(run, discs, channels, tmp_path, cli):
    said = one_sentence(
        cli("predict", run.folder, discs / "images" / "00.png", "-o", tmp_path / "o", "--instances")
    )
    assert "this run has multi-label masks: predict without --instances" in said
    assert "is for masks of one class per pixel" in one_sentence(
        cli("train", discs, "--loss", "ce", "--out", tmp_path / "r")
    )
    assert "multilabel is for images with masks" in one_sentence(cli("look", "digits", "--multilabel"))
    make(tmp_path / "plain")
    said = one_sentence(cli("evaluate", tmp_path / "plain", discs))
    assert (
        "has masks for each of dim, lit; this run needs one mask per image, with background, object" in said
    )
    shutil.copytree(discs, tmp_path / "data")
    (tmp_path / "data" / "masks" / "lit").rename(tmp_path / "data" / "masks" / "lost")
    said = one_sentence(cli("evaluate", run.folder, tmp_path / "data"))
    assert "has masks for each of dim, lost; this run needs a mask for each of dim, lit" in said
    shutil.copytree(channels, tmp_path / "png")
    for file in (tmp_path / "png" / "masks").iterdir():
        Image.open(tmp_path / "png" / "images" / f"{file.stem}.png").save(file.with_suffix(".png"))
        file.unlink()
    assert "a channel per class is read from TIFF and NumPy" in one_sentence(
        cli("look", tmp_path / "png", "--multilabel")
    )


def test_void_counts_neither_in_shares_nor_in_scores(run, discs, tmp_path):
    shutil.copytree(discs, tmp_path / "data")
    for file in sorted((tmp_path / "data" / "masks" / "lit").iterdir()):
        values = np.array(Image.open(file))
        values[:24] = 9
        load_strict(file, values)
    look = eyespot.look(tmp_path / "data", void="9")
    half = np.asarray(Image.open(discs / "masks" / "dim" / "00.png"))[24:]
    assert look.survey.shares[0, 0] == pytest.approx((half > 0).mean())
    with pytest.raises(UserError, match="has the value 9 in 1,056 pixels"):
        eyespot.look(tmp_path / "data")
    seams = SeamMeter(run.predictor.output.plan((48, 44)), True)
    assert list(seams.watch([((slice(0, 4), slice(0, 4)), np.zeros((2, 4, 4)))]))


def test_signals_and_volumes_of_several_labels(tmp_path):
    for dim, shape in ((1, (96,)), (3, (16, 18, 12))):
        root = tmp_path / str(dim)
        (root / "images").mkdir(parents=True)
        for i in range(5):
            low, high = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
            low[tuple(slice(2, n // 2 + i % 3) for n in shape)] = 1
            high[tuple(slice(n // 3, n - 2) for n in shape)] = 1
            np.save(
                root / "images" / f"{i}.npy",
                (RNG.normal(size=shape) * 0.2 + low + 2 * high).astype(np.float32),
            )
            for name, mask in (("low", low), ("high", high)):
                (root / "masks" / name).mkdir(parents=True, exist_ok=True)
                np.save(root / "masks" / name / f"{i}.npy", mask)
        run = eyespot.train(root, epochs=2, batch=4, out=tmp_path / f"run{dim}")
        assert set(run.evaluation.scores["classes"]) == {"low", "high"}
        assert run.predict(root / "images" / "0.npy")[0].labels.shape == (2, *shape)


def test_axes_say_which_pages_are_classes():
    """Pages are not named: without --axes the five slices would be taken as classes."""
    buffer = io.BytesIO()
    stored = np.random.default_rng(0).integers(0, 2, (5, 2, 20, 24)).astype(np.uint8)
    tifffile.imwrite(buffer, stored, photometric="minisblack")
    channels = read_channels(buffer.getvalue(), 3, "ZCYX")
    assert np.array_equal(channels, np.moveaxis(stored, 1, -1))
    assert channel_values(buffer.getvalue(), 3, "ZCYX").channels == 2
