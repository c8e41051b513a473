"""What each transform of values, of signals and of batches does, its ranges, and what is refused."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy import ndimage
from torch.nn import functional

from eyespot.augment.colour import Brightness, Contrast, apply_linear
from eyespot.augment.exchange import check_classes, exchanged_channels, exchanged_labels
from eyespot.augment.mixing import Cutmix, Mixup
from eyespot.augment.photo import Grayscale, Hue, Saturation
from eyespot.augment.pipeline import Pipeline, augment, check_fit, parse
from eyespot.augment.policies import Trivial, choices, drawn
from eyespot.augment.quality import Blur, Erase, Gamma, Jpeg
from eyespot.augment.signals import BandStop, FrequencyMask, Gain, TimeMask
from eyespot.augment.transform import TRANSFORMS
from eyespot.errors import UserError


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(batch: int = 4, side: int = 24) -> torch.Tensor:
    """(B, 3, side, side) whole numbers from 0 to 255"""
    smooth = functional.interpolate(torch.rand(batch, 3, 5, 5, generator=seeded(0)), side, mode="bicubic")
    return (smooth * 255).round().clamp(0, 255)


def test_saturation_is_pillows():
    x, amounts = photos(), torch.tensor([-0.9, -0.3, 0.0, 0.4])
    changed = Saturation(0.9).apply(x, amounts)
    for row, amount in enumerate(amounts.tolist()):
        image = Image.fromarray(x[row].byte().permute(1, 2, 0).numpy())
        expected = np.array(ImageEnhance.Color(image).enhance(1 + amount)).astype(float)
        ours = changed[row].permute(1, 2, 0).clamp(0, 255).numpy()
        assert np.abs(ours - expected).max() <= 1.5  # Pillow rounds the grey value and the result
    assert torch.allclose(changed[2], x[2], atol=1e-3)


def test_grayscale_is_pillows():
    x = photos()
    grey = Grayscale().apply(x, torch.tensor([True, False, True, True]))
    expected = np.array(Image.fromarray(x[0].byte().permute(1, 2, 0).numpy()).convert("L"))
    assert np.abs(grey[0].numpy() - expected).max() <= 1 and torch.allclose(grey[1], x[1], atol=1e-3)


def test_hue_turns_about_the_grey_axis():
    x = photos()
    third = Hue(180).apply(x, torch.full((4,), 2 * torch.pi / 3))
    assert torch.allclose(third, x.roll(1, 1), atol=1e-3)  # red becomes green, green blue
    some = Hue().apply(x, torch.tensor([0.3, -0.2, 0.0, 1.0]))
    assert torch.allclose(some.sum(1), x.sum(1), atol=1e-2)
    assert torch.allclose(some.square().sum(1), x.square().sum(1), rtol=1e-4)
    grey = torch.full((1, 3, 4, 4), 90.0)
    assert torch.allclose(Hue().apply(grey, torch.tensor([0.7])), grey, atol=1e-3)


def test_colours_compose_to_one_matrix():
    x = photos()
    steps = parse("brightness(0.3)|saturation(0.5)|contrast(0.4)|hue(60)|brightness(0.5)|grayscale(0.5)", 2)
    parameters = [t.sample(seeded(k), x.shape) for k, t in enumerate(steps)]
    expected = x
    for transform, values in zip(steps, parameters, strict=True):
        expected = transform.apply(expected, values)
    once = apply_linear(x, list(zip(steps, parameters, strict=True)))
    assert torch.allclose(once, expected, atol=0.05) and not torch.allclose(once, x, atol=5)


def test_gamma_keeps_the_extremes_and_raises_between():
    x = torch.tensor([[[0.0, 50, 200]], [[-3, 0, 9]]])
    changed = Gamma().apply(x, torch.tensor([2.0, 0.5]))
    assert torch.allclose(changed[0, 0], torch.tensor([0, 12.5, 200]))
    assert torch.allclose(changed[1, 0], torch.tensor([-3, -3 + 12 * 0.25**0.5, 9]))
    flat = torch.full((1, 1, 5), 7.0)
    assert torch.equal(Gamma().apply(flat, torch.tensor([1.5])), flat)


@pytest.mark.parametrize("shape", [(40,), (20, 31), (9, 12, 14)])
def test_blur_is_scipys(shape):
    x = torch.randn(2, 1, *shape, generator=seeded(0))
    blurred = Blur(1.4).apply(x, torch.tensor([1.2, 0.0]))
    expected = ndimage.gaussian_filter(x[0, 0].numpy(), 1.2, mode="mirror", radius=6)
    assert np.allclose(blurred[0, 0].numpy(), expected, atol=1e-4) and torch.equal(blurred[1], x[1])


def test_jpeg_is_pillows():
    x = photos()
    changed = Jpeg().apply(x, torch.tensor([30, 0, 90, 5]))
    buffer = io.BytesIO()
    Image.fromarray(x[0].byte().permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=30)
    assert np.array_equal(changed[0].permute(1, 2, 0).numpy(), np.array(Image.open(buffer)))
    assert torch.equal(changed[1], x[1]) and not torch.equal(changed[2], x[2])
    qualities = Jpeg(40, 42).sample(seeded(0), (200, 3, 8, 8))
    assert set(qualities.tolist()) == {40, 41, 42}


@pytest.mark.parametrize("shape", [(200,), (40, 50), (16, 18, 20)])
def test_erased_boxes_have_their_share_and_the_mean(shape):
    x = torch.rand(300, 2, *shape, generator=seeded(0))
    erase = Erase(0.1, 0.3, p=1)
    boxes = erase.sample(seeded(0), x.shape)
    erased = erase.apply(x, boxes) != x
    shares = erased[:, 0].flatten(1).float().mean(1)
    assert (
        0.07 < shares.min() < 0.15 and 0.25 < shares.max() < 0.35 and torch.equal(erased[:, 0], erased[:, 1])
    )
    first = erase.apply(x, boxes)[0, 1][erased[0, 1]]
    assert torch.allclose(first, x[0, 1].mean().expand_as(first))


def test_masks_of_time_and_of_frequency():
    x = torch.randn(200, 6, 100, generator=seeded(0))
    for transform, axis, n in ((TimeMask(0.3), 2, 100), (FrequencyMask(0.5), 1, 6)):
        spans = transform.sample(seeded(1), x.shape)
        masked = transform.apply(x, spans) != x
        lengths = masked.any(3 - axis).sum(1)
        assert torch.equal(lengths, spans[:, 1]) and lengths.max() == int(transform.share * n)
    time = torch.arange(100) / 100
    low, high = (2 * torch.pi * 5 * time).sin(), (2 * torch.pi * 30 * time).sin()
    stopped = BandStop().apply((low + high + 2)[None, None], torch.tensor([[28, 4]]))
    assert torch.allclose(stopped[0, 0], low + 2, atol=1e-4)


def test_gain_is_in_decibels():
    x = torch.randn(3, 2, 50, generator=seeded(0))
    changed = Gain(20).apply(x, torch.tensor([20.0, -20, 0]))
    assert torch.allclose(changed[0], 10 * x[0], atol=1e-5) and torch.allclose(
        changed[1], x[1] / 10, atol=1e-5
    )
    assert torch.equal(changed[2], x[2])


def test_mixup_mixes_images_and_labels_alike():
    x = torch.randn(5, 1, 4, 4, generator=seeded(0))
    parameters = torch.tensor([[1, 0.7], [2, 1.0], [3, 0.5], [4, 0.9], [0, 0.6]])
    mixed = Mixup().apply(x, parameters)
    assert torch.allclose(mixed[0], 0.7 * x[0] + 0.3 * x[1]) and torch.equal(mixed[1], x[1])
    targets = Mixup().mix_targets(torch.eye(5), parameters, x.shape[2:])
    assert torch.allclose(targets[4], torch.tensor([0.4, 0, 0, 0, 0.6])) and torch.allclose(
        targets.sum(1), torch.ones(5)
    )
    shares = Mixup(0.2).sample(seeded(0), (500, 1, 4, 4))
    assert (shares[:, 1] >= 0.5).all() and torch.equal(shares[:, 0].sort()[0], torch.arange(500.0))
    assert torch.equal(Mixup().apply(x[:1], Mixup().sample(seeded(0), x[:1].shape)), x[:1])


@pytest.mark.parametrize("shape", [(30,), (12, 20), (6, 7, 8)])
def test_cutmix_pastes_the_box_and_counts_it(shape):
    x = torch.arange(6.0).view(6, 1, *[1] * len(shape)).expand(6, 1, *shape).clone()
    cutmix = Cutmix(p=1)
    parameters = cutmix.sample(seeded(0), x.shape)
    mixed, labels = cutmix.apply(x, parameters), cutmix.apply_labels(x[:, 0].long(), parameters)
    assert torch.equal(mixed[:, 0].long(), labels)
    targets = cutmix.mix_targets(torch.eye(6), parameters, shape)
    for row in range(6):
        counted = torch.bincount(labels[row].flatten(), minlength=6) / labels[row].numel()
        assert torch.allclose(targets[row], counted, atol=1e-5)
    assert (targets.amax(1) < 1).any()


def test_a_share_p_is_changed():
    for name, kind in TRANSFORMS.items():
        if "p" not in getattr(kind, "__dataclass_fields__", {}) or kind.mixes:
            continue
        dim = kind.least_axes if kind.most_axes == kind.least_axes else min(2, kind.most_axes)
        bands = 40 if kind.view == "spectrum" else 3
        x = torch.rand(400, bands, *[16] * dim, generator=seeded(1)) * 255
        transform = kind(p=0.25)
        changed = (transform.apply(x, transform.sample(seeded(2), x.shape)) - x).abs().flatten(1).amax(
            1
        ) > 1e-3
        assert 0.08 < changed.float().mean() < 0.32, name


GOLDEN = {
    "flip": [1, 0, 1],
    "flip_axes": [1, 0, 1, 1, 1, 0],
    "rotate90": [0, 2, 0],
    "shift(0.2)": [0, 1, -3, -2, -1, 1],
    "rotate(30)": [-0.00392, 0.28088, -0.43095],
    "scale": [0.99424, 1.05001, 0.91612],
    "elastic(4)": [-1.50112, -1.53648, -0.3341, -0.57851, 1.13161, 0.92268],
    "brightness": [-0.0015, 0.10729, -0.16461],
    "contrast": [-0.0015, 0.10729, -0.16461],
    "noise": [-0.05629, -0.05762, -0.01253, -0.02169, 0.04244, 0.0346],
}
"""Of the seed 0, runs are repeated and resumed only if these stay."""


@pytest.mark.parametrize("text", GOLDEN)
def test_parameters_are_those_of_earlier_versions(text):
    (transform,) = parse(text, 2)
    parameters = transform.sample(seeded(0), (3, 1, 16, 12)).float().flatten()
    assert parameters[:6].tolist() == pytest.approx(GOLDEN[text], abs=1e-5)


def test_trivial_is_one_transform_for_each_image():
    x, trivial = photos(300, 16), Trivial()
    parameters = trivial.sample(seeded(0), x.shape)
    counts = torch.bincount(parameters[:, 0], minlength=12)
    assert len(counts) == 12 and counts.min() >= 10  # none, and 11 for photographs
    steps = drawn(parameters, x.shape)
    assert sum(len(rows) for _, rows, _ in steps) == 300 - counts[0]
    changed = trivial.apply(x, parameters)
    for transform, rows, sampled in steps:
        assert torch.allclose(changed[rows], transform.apply(x[rows], sampled), atol=1e-3)
    untouched = parameters[:, 0] == 0
    assert torch.equal(changed[untouched], x[untouched])
    labels = (x[:, 0] > 128).long()
    moved = trivial.apply_labels(labels, parameters)
    geometric = {k for k, t in enumerate(choices(2), 1) if t.geometric}
    stays = torch.tensor([k not in geometric for k in parameters[:, 0].tolist()])
    assert torch.equal(moved[stays], labels[stays]) and not torch.equal(moved, labels)
    grey = trivial.sample(seeded(0), (500, 1, 16, 16))[:, 0]
    assert not any(choices(2)[k - 1].channels for k in grey.tolist() if k)


def test_whole_numbers_stay_what_they_are():
    x = photos().byte()
    for text in ("rotate(30)|contrast(0.9)|hue(90)", "flip|shift(0.1)", "gamma|blur|noise(0.3)"):
        pipeline = Pipeline(parse(text, 2))
        parameters = pipeline.sample(seeded(0), x.shape)
        changed = pipeline.apply(x, parameters)
        expected = pipeline.apply(x.float(), parameters).round().clamp(0, 255)
        assert changed.dtype == torch.uint8 and torch.equal(changed.float(), expected)


@pytest.mark.parametrize(
    "text", ["rotate|saturation|noise", "elastic(2)|flip", "rotate|trivial", "mixup|flip"]
)
def test_whole_numbers_are_the_same_a_few_at_a_time(monkeypatch, text):
    x = photos(7).byte()
    pipeline = Pipeline(parse(text, 2))
    parameters = pipeline.sample(seeded(0), x.shape)
    at_once = pipeline.apply(x, parameters)
    monkeypatch.setattr("eyespot.augment.pipeline.CHUNK", 2 * x[0].numel())
    assert (pipeline.apply(x, parameters).int() - at_once.int()).abs().max() <= 1  # by rounding


def test_classes_are_exchanged_where_an_image_is_mirrored():
    (flip,) = parse("hflip(p=1, swaps='left,right; a , b')", 2)
    classes = ("a", "b", "left", "other", "right")
    steps = [(flip, torch.tensor([True, True, True, False]))]
    labels = torch.tensor([2, 4, 3, 2])
    assert exchanged_labels(labels, steps, classes).tolist() == [4, 2, 3, 2]
    maps = torch.tensor([[0, 1, -100, 2]] * 4)
    assert exchanged_labels(maps, steps, classes)[0].tolist() == [1, 0, -100, 4]
    assert exchanged_labels(maps, steps, classes)[3].tolist() == maps[3].tolist()
    planes = torch.arange(5).view(1, 5, 1).repeat(4, 1, 2)
    assert exchanged_channels(planes, steps, classes)[0, :, 0].tolist() == [1, 0, 4, 3, 2]
    check_classes([flip], classes)
    with pytest.raises(UserError, match="'rihgt', which the data do not have; did you mean 'right'"):
        check_classes(parse("flip(swaps='left,rihgt')"), classes)
    for swaps in ("left", "left,right,up", "a,a", "a,", 3):
        with pytest.raises(UserError, match="give pairs of"):
            parse(f"flip(swaps={swaps!r})")


@pytest.mark.parametrize(
    ("text", "dim", "message"),
    [
        ("rotate3d", 2, "'rotate3d', which needs three axes; an image has two"),
        ("vflip", 1, "'vflip', which needs two axes; a signal has one"),
        ("time_mask", 2, "'time_mask', which is for signals, and not for an image"),
        ("gain", 3, "'gain', which is for signals, and not for a volume"),
        ("jpeg", 3, "'jpeg', which is for images, and not for a volume"),
        ("jpeg", 1, "'jpeg', which needs two axes"),
        ("shear(80)", 2, r"shear\(80\): give the most degrees, above 0 and up to 60"),
        ("gamma(2, 1)", 2, r"gamma\(2, 1\): give a low and a high power from 0.1 to 10"),
        ("crop(0, 1)", 2, "low and a high share of the image"),
        ("blur(p=0)", 2, r"blur\(p=0\): give the share of images"),
        ("scale(anisotropic=2)", 2, "give True or False"),
        ("jpeg(0, 50)", 2, "quality from 1 to 100"),
        ("hflipp", 2, "did you mean 'hflip'"),
    ],
)
def test_refusals(text, dim, message):
    with pytest.raises(UserError, match=message):
        parse(text, dim)


def test_data_that_a_transform_does_not_fit():
    for text, channels, depth, view, message in (
        ("hue", 1, "uint8", "samples", "'hue' is for 3 channels, and these data have 1"),
        ("jpeg", 3, "uint16", "samples", "'jpeg' is for values of 8 bits, and these are uint16"),
        ("gain", 96, "float32", "spectrum", "'gain' is for samples and not for a spectrum"),
        ("frequency_mask", 1, "float32", "samples", "'frequency_mask' is for a spectrum and not for samples"),
    ):
        with pytest.raises(UserError, match=message):
            check_fit(parse(text, TRANSFORMS[text].least_axes), channels, depth, view)
    check_fit(parse("hue|jpeg|trivial", 2), 3, "uint8")


def test_names_of_signals_are_those_of_the_field():
    assert parse("time_shift(0.1)|stretch(0.9,1.1)", 1) == parse("shift(0.1)|scale(0.9,1.1)", 1)
    assert parse("hflip", 2) == parse("flip", 2)


def test_a_pipeline_of_every_kind_replays():
    x = photos(3)
    text = "flip|perspective|rotate|saturation|contrast|gamma|blur|noise|jpeg|erase|trivial"
    pipeline = Pipeline(parse(text, 2))
    parameters = pipeline.sample(seeded(0), x.shape)
    assert torch.equal(pipeline.apply(x, parameters), augment(x, pipeline.transforms, seeded(0)))
    assert parse(str(pipeline), 2) == list(pipeline.transforms)
    assert (
        str(Brightness()) == "brightness(share=0.2)" and str(Contrast(p=0.5)) == "contrast(share=0.2, p=0.5)"
    )
