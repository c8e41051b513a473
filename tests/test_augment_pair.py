"""Images and the labels of their pixels are changed alike: every operation, in every rank it has."""

import math

import pytest
import torch
from scipy import ndimage

from eyespot.augment.geometry import Elastic, Rotate, Scale, grid, resample, resample_labels
from eyespot.augment.pipeline import Bright, Contrast, Flips, Noise, Turn, augment, augment_pair, parse
from eyespot.errors import UserError

SHAPES = {1: (64,), 2: (36, 44), 3: (14, 20, 24)}
MOVES = ["flip", "flips", "shift(0.1)", "scale(0.8,1.3)", "elastic(4)"]
PLANE = ["turn", "rotate(30)", "turn|rotate|scale|elastic(3)|flips"]
CASES = [(dim, text) for dim in SHAPES for text in MOVES + (PLANE if dim > 1 else [])]


def blobs(dim: int, batch: int = 6, seed: int = 0):
    """Smooth images (B, 1, *S) around 0 and where they are above it (B, *S)"""
    g = torch.Generator().manual_seed(seed)
    noise = torch.randn(batch, *SHAPES[dim], generator=g).numpy()
    smooth = torch.from_numpy(ndimage.gaussian_filter(noise, (0, *[2.5] * dim)))[:, None]
    return smooth / smooth.std(), (smooth[:, 0] > 0).long()


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dim,text", CASES)
def test_labels_follow_the_image(dim, text):
    x, y = blobs(dim)
    x, y = torch.cat([x, x.abs()], 1), y * 5 - 100 * (y == 0)  # 5 and void
    changed, labels = augment_pair(x, y, parse(text, dim), seeded(1))
    assert changed.shape == x.shape and labels.shape == y.shape and labels.dtype == torch.int64
    assert set(labels.unique().tolist()) == {-100, 5}
    window = (1, *[5] * dim)  # away from its border, an object's pixels are all above 0
    low, high = (f(labels.numpy(), size=window) for f in (ndimage.minimum_filter, ndimage.maximum_filter))
    clear = torch.from_numpy(low == high) & (changed[:, 0].abs() > 0.05)
    assert ((labels == 5) == (changed[:, 0] > 0))[clear].all() and clear.float().mean() > 0.1
    assert torch.equal(changed, augment(x, parse(text, dim), seeded(1)))


@pytest.mark.parametrize("dim,text", CASES)
def test_each_image_changes_in_its_own_way_that_the_generator_repeats(dim, text):
    x, y = blobs(dim, batch=1)
    x, y = x.repeat_interleave(12, 0), y.repeat_interleave(12, 0)
    before = x.clone(), y.clone()
    changed, labels = augment_pair(x, y, parse(text, dim), seeded(1))
    assert 1 < len(changed.flatten(1).unique(dim=0)) and 1 < len(labels.flatten(1).unique(dim=0))
    again = augment_pair(x, y, parse(text, dim), seeded(1))
    assert torch.equal(changed, again[0]) and torch.equal(labels, again[1])
    assert not torch.equal(changed, augment_pair(x, y, parse(text, dim), seeded(2))[0])
    assert torch.equal(x, before[0]) and torch.equal(y, before[1])


@pytest.mark.parametrize("dim", SHAPES)
def test_nothing_drawn_is_nothing_changed(dim):
    x, y = blobs(dim)
    none = torch.zeros(len(x))
    offsets = grid(x, [], seeded(0))
    for warp, parameters in (
        (Scale(), none + 1),
        (Elastic(), torch.zeros(len(x), dim, *[3] * dim)),
        *([(Rotate(), none)] if dim > 1 else []),
    ):
        pulled = warp.pull(offsets, parameters)
        assert torch.allclose(resample(x, pulled), x, atol=1e-5) and torch.equal(
            resample_labels(y, pulled), y
        )
    assert torch.equal(Flips().apply(x, torch.zeros(len(x), dim, dtype=torch.bool)), x)
    assert torch.equal(Bright().apply(x, none), x) and torch.equal(Contrast().apply(x, none), x)
    if dim > 1:
        assert torch.equal(Turn().apply(x, none.long()), x)


@pytest.mark.parametrize("dim", [2, 3])
def test_a_quarter_is_the_same_turned_and_rotated(dim):
    x = torch.randn(2, 3, *[5, 8, 8][3 - dim :])
    turned = Turn().apply(x, torch.tensor([1, 0]))
    offsets = Rotate().pull(grid(x, [], seeded(0)), torch.tensor([math.pi / 2, 0]))
    assert torch.allclose(resample(x, offsets), turned, atol=1e-5)
    assert torch.equal(turned[0], x[0].rot90(1, (-2, -1))) and torch.equal(turned[1], x[1])


def test_turns_of_what_is_not_square_are_half_turns():
    x = torch.randn(40, 1, 4, 6)
    assert set(Turn().sample(seeded(0), x).tolist()) == {0, 2}
    assert set(Turn().sample(seeded(0), x[..., :4]).tolist()) == {0, 1, 2, 3}
    assert Turn().apply(x, Turn().sample(seeded(0), x)).shape == x.shape


@pytest.mark.parametrize("dim", SHAPES)
def test_scale_enlarges_about_the_middle_and_mirrors_what_is_outside(dim):
    x = torch.arange(8.0).view(1, 1, *[1] * (dim - 1), 8).expand(1, 1, *[8] * dim)
    half = resample(x, Scale().pull(grid(x, [], seeded(0)), torch.tensor([0.5])))
    expected = torch.tensor([2.5, 0.5, 0.5, 2.5, 4.5, 6.5, 6.5, 4.5])
    assert torch.allclose(half.flatten()[-8:], expected) and torch.allclose(half.flatten()[:8], expected)
    twice = resample(x, Scale().pull(grid(x, [], seeded(0)), torch.tensor([2.0])))
    assert torch.allclose(twice.flatten()[:8], torch.arange(8) / 2 + 1.75)


def test_parameters_fill_their_ranges():
    x = torch.zeros(2000, 1, 100, 200)
    degrees = torch.rad2deg(Rotate(30).sample(seeded(0), x))
    assert -30 <= degrees.min() < -29 and 29 < degrees.max() <= 30
    factors = Scale(0.5, 2).sample(seeded(0), x)
    assert 0.5 <= factors.min() < 0.51 and 1.95 < factors.max() <= 2.001 and abs(factors.log().mean()) < 0.05
    for sigma, expected in ((8, [8, 8]), (12, [100 / 12, 12])):  # at most a twelfth of the axis
        moves = Elastic(sigma).sample(seeded(0), x)
        assert moves.shape == (2000, 2, 3, 3)
        assert moves.std((0, 2, 3)).tolist() == pytest.approx(expected, rel=0.03)


def test_elastic_moves_its_points_as_told_and_does_not_fold():
    x = torch.zeros(4, 1, 41, 61)
    offsets, moves = grid(x, [], seeded(0)), Elastic(5).sample(seeded(0), x)
    field = Elastic().pull(offsets, moves) - offsets
    at = field[:, [0, 20, 40]][:, :, [0, 30, 60]].movedim(-1, 1)
    assert torch.allclose(at, moves, atol=1e-4)
    places = offsets + field
    assert places[..., 0].diff(dim=1).min() > 0 and places[..., 1].diff(dim=2).min() > 0


def test_warps_are_one_resampling_in_their_order():
    x = torch.randn(3, 1, 20, 30)
    turn, g = [Rotate(40), Scale(0.8, 1.2)], seeded(3)
    got = augment(x, turn, seeded(3))
    angle, factor = turn[0].sample(g, x), turn[1].sample(g, x)
    offsets = turn[0].pull(turn[1].pull(grid(x, [], g), factor), angle)
    assert torch.equal(got, resample(x, offsets))


@pytest.mark.parametrize("dim", SHAPES)
def test_light_is_of_the_image_alone_and_in_its_own_units(dim):
    x, y = blobs(dim)
    for text in ("bright(0.3)", "contrast(0.3)", "noise(0.1)"):
        changed, labels = augment_pair(x, y, parse(text), seeded(0))
        assert labels is y and not torch.equal(changed, x)
        larger = augment(40 * x + 100, parse(text), seeded(0))
        assert torch.allclose(larger, 40 * changed + 100, atol=1e-3), text
    amounts = torch.linspace(-0.2, 0.2, len(x))
    deviation = x.flatten(1).std(1, correction=0)
    assert torch.allclose((Bright().apply(x, amounts) - x).flatten(1).mean(1), amounts * deviation, atol=1e-5)
    assert torch.allclose(
        Contrast().apply(x, amounts).flatten(1).std(1, correction=0), (1 + amounts) * deviation, atol=1e-5
    )
    noise = Noise(0.1).apply(x, Noise(0.1).sample(seeded(0), x)) - x
    assert noise.std() == pytest.approx(0.1 * deviation.mean().item(), rel=0.2)


def test_flip_and_shift_are_what_they_were():
    x = torch.arange(2 * 3 * 6 * 7, dtype=torch.float32).view(2, 3, 6, 7)
    got = augment(x, parse("flip|shift(0.3)"), seeded(5))
    assert got.sum() == 33678 and got[0, 0, 0].tolist() == [16, 17, 18, 19, 20, 19, 18]
    assert got[1, 2, :, 0].tolist() == [228, 235, 242, 249, 242, 235]


def test_new_operations_are_parsed_strictly():
    assert parse("rotate|scale(0.5,2)|elastic(3)") == [Rotate(15), Scale(0.5, 2), Elastic(3)]
    assert parse("bright|noise(0.1)|turn|flips", 2) == [Bright(0.2), Noise(0.1), Turn(), Flips()]
    for text, message in (
        ("rotate(0)", "most degrees"),
        ("scale(2, 1)", "a low and a high factor"),
        ("scale('a')", "a low and a high factor"),
        ("elastic(-1)", "standard deviation in pixels"),
        ("bright(3)", r"bright\(3\): give a share"),
        ("rotat", "did you mean 'rotate'"),
    ):
        with pytest.raises(UserError, match=message):
            parse(text)
    for text in ("turn", "flip|rotate(10)"):
        with pytest.raises(UserError, match="needs two axes"):
            parse(text, 1)
