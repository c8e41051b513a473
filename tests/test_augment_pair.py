"""Images and the labels of their pixels are changed alike: every operation, in every rank it has."""

import math

import pytest
import torch
from scipy import ndimage

from eyespot.augment.colour import Brightness, Contrast, Noise, apply_linear
from eyespot.augment.geometry import Elastic, FlipAxes, Rotate, Rotate90, Scale, composed, identity
from eyespot.augment.pipeline import augment, augment_pair, parse
from eyespot.augment.warp import Warp
from eyespot.errors import UserError

SHAPES = {1: (64,), 2: (36, 44), 3: (14, 20, 24)}
MOVES = ["flip", "flip_axes", "shift(0.1)", "scale(0.8,1.3)", "elastic(4)"]
PLANE = ["rotate90", "rotate(30)", "rotate90|rotate|scale|elastic(3)|flip_axes"]
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
def test_neutral_parameters_change_nothing(dim):
    x, y = blobs(dim)
    none = torch.zeros(len(x))
    still = torch.zeros(len(x), dim, *[3] * dim)
    for transform, parameters in (
        (Scale(), none + 1),
        (Elastic(), still),
        *([(Rotate(), none)] if dim > 1 else []),
    ):
        assert torch.allclose(transform.apply(x, parameters), x, atol=1e-5)
        assert torch.equal(transform.apply_labels(y, parameters), y)
    interpolated = Warp(identity(len(x), dim), still).apply(x, y)
    assert torch.allclose(interpolated[0], x, atol=1e-5) and torch.equal(interpolated[1], y)
    assert torch.equal(FlipAxes().apply(x, torch.zeros(len(x), dim, dtype=torch.bool)), x)
    assert torch.equal(Brightness().apply(x, none), x) and torch.allclose(Contrast().apply(x, none), x)
    if dim > 1:
        assert torch.equal(Rotate90().apply(x, none.long()), x)


@pytest.mark.parametrize("dim", [2, 3])
def test_a_quarter_is_the_same_turned_and_rotated(dim):
    x = torch.randn(2, 3, *[5, 8, 8][3 - dim :])
    turned = Rotate90().apply(x, torch.tensor([1, 0]))
    rotated = Rotate().apply(x, torch.tensor([math.pi / 2, 0]))
    assert torch.allclose(rotated, turned, atol=1e-5)
    assert torch.equal(turned[0], x[0].rot90(1, (-2, -1))) and torch.equal(turned[1], x[1])


def test_turns_of_what_is_not_square_are_half_turns():
    x = torch.randn(40, 1, 4, 6)
    assert set(Rotate90().sample(seeded(0), x.shape).tolist()) == {0, 2}
    assert set(Rotate90().sample(seeded(0), x[..., :4].shape).tolist()) == {0, 1, 2, 3}
    assert Rotate90().apply(x, Rotate90().sample(seeded(0), x.shape)).shape == x.shape


@pytest.mark.parametrize("dim", SHAPES)
def test_scale_enlarges_about_the_middle_and_mirrors_what_is_outside(dim):
    x = torch.arange(8.0).view(1, 1, *[1] * (dim - 1), 8).expand(1, 1, *[8] * dim)
    half = Scale().apply(x, torch.tensor([0.5]))
    expected = torch.tensor([3.5, 1.5, 0.5, 2.5, 4.5, 6.5, 5.5, 3.5])
    assert torch.allclose(half.flatten()[-8:], expected) and torch.allclose(half.flatten()[:8], expected)
    twice = Scale().apply(x, torch.tensor([2.0]))
    assert torch.allclose(twice.flatten()[:8], torch.arange(8) / 2 + 1.75)


def test_parameters_fill_their_ranges():
    x = torch.zeros(2000, 1, 100, 200)
    degrees = torch.rad2deg(Rotate(30).sample(seeded(0), x.shape))
    assert -30 <= degrees.min() < -29 and 29 < degrees.max() <= 30
    factors = Scale(0.5, 2).sample(seeded(0), x.shape)
    assert 0.5 <= factors.min() < 0.51 and 1.95 < factors.max() <= 2.001 and abs(factors.log().mean()) < 0.05
    for sigma, expected in ((8, [8, 8]), (12, [100 / 12, 12])):  # at most a twelfth of the axis
        moves = Elastic(sigma).sample(seeded(0), x.shape)
        assert moves.shape == (2000, 2, 3, 3)
        assert moves.std((0, 2, 3)).tolist() == pytest.approx(expected, rel=0.03)


def test_elastic_moves_its_points_as_sampled_and_does_not_fold():
    x = torch.zeros(4, 1, 41, 61)
    moves = Elastic(5).sample(seeded(0), x.shape)
    half_spans = torch.tensor([30.0, 20.0])  # of the last axis and the one before, as places have them
    places = Warp(identity(4, 2), moves).places(x) * half_spans
    field = (places - Warp(identity(4, 2)).places(x) * half_spans).flip(-1)
    at = field[:, [0, 20, 40]][:, :, [0, 30, 60]].movedim(-1, 1)
    assert torch.allclose(at, moves, atol=1e-4)
    places = places.flip(-1)
    assert places[..., 0].diff(dim=1).min() > 0 and places[..., 1].diff(dim=2).min() > 0


def test_warps_are_one_resampling_in_their_order():
    x = torch.randn(3, 1, 20, 30)
    transforms, g = [Rotate(40), Scale(0.8, 1.2)], seeded(3)
    changed = augment(x, transforms, seeded(3))
    angle, factor = transforms[0].sample(g, x.shape), transforms[1].sample(g, x.shape)
    matrix = transforms[0].matrix(angle, 2) @ transforms[1].matrix(factor, 2)
    assert torch.equal(changed, Warp(matrix).apply(x)[0])


def test_matrices_are_those_of_scipy():
    """An asymmetric matrix on an asymmetric picture, against scipy.ndimage's resampling."""
    for shape in ((9, 14), (6, 9, 7)):
        dim = len(shape)
        matrix = identity(1, dim)
        matrix[0, :-1] += 0.3 * torch.randn(dim, dim + 1, generator=seeded(dim))
        x = torch.randn(1, 1, *shape, generator=seeded(1))
        middle = (torch.tensor(shape) - 1) / 2
        linear = matrix[0, :-1, :-1]
        offset = middle + matrix[0, :-1, -1] - linear @ middle
        expected = ndimage.affine_transform(
            x[0, 0].double().numpy(), linear.numpy(), offset.numpy(), order=1, mode="mirror"
        )
        assert torch.allclose(Warp(matrix).apply(x)[0][0, 0], torch.tensor(expected).float(), atol=1e-4)


def test_a_displacement_is_turned_by_what_is_before_it():
    """Scaled to twice the size, an elastic displacement moves half as many pixels of the input."""
    moves = Elastic(2).sample(seeded(0), (2, 1, 24, 24))
    warp = composed([(Scale(), torch.tensor([2.0, 2.0])), (Elastic(2), moves)], 2)
    assert torch.allclose(warp.displacements, moves / 2)
    after = composed([(Elastic(2), moves), (Scale(), torch.tensor([2.0, 2.0]))], 2)
    assert torch.equal(after.displacements, moves) and torch.equal(after.matrix, warp.matrix)


@pytest.mark.parametrize("dim", SHAPES)
def test_whole_pixels_are_copied_as_interpolation_would_place_them(dim):
    x, y = blobs(dim)
    text = "flip_axes|shift(0.2)|shift(0.4)" + ("|rotate90" if dim > 1 else "")
    steps = [(t, t.sample(seeded(k), x.shape)) for k, t in enumerate(parse(text, dim))]
    warp = composed(steps, dim)
    still = torch.zeros(len(x), dim, *[3] * dim)
    copied, copied_labels = warp.apply(x, y)
    assert warp.copies(x.shape[2:]).all()
    interpolated, labels = Warp(warp.matrix, still).apply(x, y)
    assert torch.allclose(copied, interpolated, atol=1e-4) and torch.equal(copied_labels, labels)
    assert set(copied.unique().tolist()) <= set(x.unique().tolist())


def test_only_the_images_that_need_it_are_interpolated():
    x, y = blobs(2)
    angles = torch.tensor([0, 0.3] * 3)
    changed, labels = Rotate().apply(x, angles), Rotate().apply_labels(y, angles)
    assert torch.equal(changed[::2], x[::2]) and torch.equal(labels[::2], y[::2])
    alone = Rotate().apply(x[1::2], angles[1::2])
    assert torch.equal(changed[1::2], alone) and not torch.equal(alone, x[1::2])


def test_linear_changes_of_values_compose():
    x = torch.randn(5, 3, 12, 13) * torch.tensor([1.0, 3, 0.2]).view(3, 1, 1) + 2
    transforms = [Brightness(0.9), Contrast(0.9), Brightness(0.5)]
    parameters = [t.sample(seeded(k), x.shape) for k, t in enumerate(transforms)]
    expected = x
    for transform, amounts in zip(transforms, parameters, strict=True):
        expected = transform.apply(expected, amounts)
    once = apply_linear(x, list(zip(transforms, parameters, strict=True)))
    assert torch.allclose(once, expected, atol=1e-4) and not torch.allclose(once, x, atol=0.1)


@pytest.mark.parametrize("dim", SHAPES)
def test_light_is_of_the_image_alone_and_in_its_own_units(dim):
    x, y = blobs(dim)
    for text in ("brightness(0.3)", "contrast(0.3)", "noise(0.1)"):
        changed, labels = augment_pair(x, y, parse(text), seeded(0))
        assert labels is y and not torch.equal(changed, x)
        larger = augment(40 * x + 100, parse(text), seeded(0))
        assert torch.allclose(larger, 40 * changed + 100, atol=1e-3), text
    amounts = torch.linspace(-0.2, 0.2, len(x))
    deviation = x.flatten(1).std(1, correction=0)
    assert torch.allclose(
        (Brightness().apply(x, amounts) - x).flatten(1).mean(1), amounts * deviation, atol=1e-5
    )
    assert torch.allclose(
        Contrast().apply(x, amounts).flatten(1).std(1, correction=0), (1 + amounts) * deviation, atol=1e-5
    )
    noise = Noise(0.1).apply(x, Noise(0.1).sample(seeded(0), x.shape)) - x
    assert noise.std() == pytest.approx(0.1 * deviation.mean().item(), rel=0.2)


def test_flip_and_shift_are_what_they_were():
    x = torch.arange(2 * 3 * 6 * 7, dtype=torch.float32).view(2, 3, 6, 7)
    got = augment(x, parse("flip|shift(0.3)"), seeded(5))
    assert got.sum() == 33678 and got[0, 0, 0].tolist() == [16, 17, 18, 19, 20, 19, 18]
    assert got[1, 2, :, 0].tolist() == [228, 235, 242, 249, 242, 235]


def test_new_operations_are_parsed_strictly():
    assert parse("rotate|scale(0.5,2)|elastic(3)") == [Rotate(15), Scale(0.5, 2), Elastic(3)]
    assert parse("brightness|noise(0.1)|rotate90|flip_axes", 2) == [
        Brightness(0.2),
        Noise(0.1),
        Rotate90(),
        FlipAxes(),
    ]
    for text, message in (
        ("rotate(0)", "most degrees"),
        ("scale(2, 1)", "a low and a high factor"),
        ("scale('a')", "a low and a high factor"),
        ("elastic(-1)", "standard deviation in pixels"),
        ("brightness(3)", r"brightness\(3\): give a share"),
        ("rotat", "did you mean 'rotate'"),
    ):
        with pytest.raises(UserError, match=message):
            parse(text)
    for text in ("rotate90", "flip|rotate(10)"):
        with pytest.raises(UserError, match="needs two axes"):
            parse(text, 1)
