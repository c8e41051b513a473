"""Geometry is exact: against scipy and NumPy, for images, masks and points, with any spacing of the samples."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from eyespot.augment.geometry import Rotate, Rotate90, Scale, composed, identity
from eyespot.augment.pipeline import Pipeline, parse
from eyespot.augment.views import Crop, Perspective, Rotate3d, Shear, VFlip, homography
from eyespot.augment.warp import Warp
from eyespot.errors import UserError

SHAPES = {1: (23,), 2: (11, 17), 3: (7, 12, 9)}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def asymmetric(dim: int, channels: int = 2) -> torch.Tensor:
    """(1, C, *S) without any symmetry"""
    return torch.randn(1, channels, *SHAPES[dim], generator=seeded(dim))


def by_scipy(x: torch.Tensor, matrix: np.ndarray) -> torch.Tensor:
    """The image (1, C, *S) whose pixels come from where a matrix of centred positions says"""
    middle = (np.array(x.shape[2:]) - 1) / 2
    linear = matrix[:-1, :-1]
    offset = middle + matrix[:-1, -1] - linear @ middle
    channels = [
        ndimage.affine_transform(c.double().numpy(), linear, offset, order=1, mode="mirror") for c in x[0]
    ]
    return torch.tensor(np.stack(channels)).float()[None]


def in_samples(linear: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """A matrix of millimetres as one of samples, homogeneous"""
    lengths = np.diag(spacing)
    matrix = np.eye(len(spacing) + 1)
    matrix[:-1, :-1] = np.linalg.inv(lengths) @ linear @ lengths
    return matrix


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (3.0, 0.7)])
def test_rotation_and_shear_are_scipys_in_millimetres(spacing):
    x, angle, slant = asymmetric(2), math.radians(25), math.radians(20)
    turned = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    slanted = np.array([[1, 0], [math.tan(slant), 1]])
    for transform, parameters, linear in (
        (Rotate(), torch.tensor([angle]), turned),
        (Shear(), torch.tensor([[slant]]), slanted),
    ):
        changed = Pipeline([transform], spacing).apply(x, (parameters,))
        assert torch.allclose(changed, by_scipy(x, in_samples(linear, spacing)), atol=1e-4)
    both = Pipeline([Rotate(), Shear()], spacing)
    parameters = (torch.tensor([angle]), torch.tensor([[slant]]))
    expected = by_scipy(x, in_samples(turned @ slanted, spacing))
    assert torch.allclose(both.apply(x, parameters), expected, atol=1e-4)


def test_a_rotation_in_space_is_scipys_with_thick_slices():
    from scipy.spatial.transform import Rotation

    x, axis, spacing = asymmetric(3), torch.tensor([[0.2, -0.3, 0.25]]), (5.0, 0.8, 1.1)
    expected = by_scipy(x, in_samples(Rotation.from_rotvec(axis[0].numpy()).as_matrix(), spacing))
    changed = Pipeline([Rotate3d()], spacing).apply(x, (axis,))
    assert torch.allclose(changed, expected, atol=1e-4)
    assert not torch.allclose(changed, Rotate3d().apply(x, axis), atol=0.1)


def test_each_image_may_have_its_own_spacing():
    x = asymmetric(3).repeat(2, 1, 1, 1, 1)
    axes = torch.tensor([[0.2, -0.3, 0.25]]).repeat(2, 1)
    spacings = torch.tensor([[5.0, 0.8, 1.1], [1.0, 1.0, 1.0]])
    both = Pipeline([Rotate3d()], spacings).apply(x, (axes,))
    for row, spacing in enumerate(spacings):
        alone = Pipeline([Rotate3d()], spacing.tolist()).apply(x[:1], (axes[:1],))
        assert torch.allclose(both[row], alone[0], atol=1e-5)
    with pytest.raises(UserError, match="not above 0"):
        Pipeline([Rotate3d()], (0.0, 1, 1)).apply(x, (axes,))


def test_a_quarter_turn_is_copied_where_the_plane_is_square_in_millimetres():
    x = asymmetric(3)[..., :9, :]
    turned = Pipeline([Rotate90()], (5.0, 0.7, 0.7)).apply(x, (torch.tensor([1]),))
    assert torch.equal(turned, x.rot90(1, (-2, -1)))


def test_a_scale_for_each_axis_is_scipys():
    factors = torch.tensor([[1.3, 0.8, 1.1]])
    expected = by_scipy(asymmetric(3), np.diag([*(1 / factors[0].numpy()), 1]))
    assert torch.allclose(Scale(anisotropic=True).apply(asymmetric(3), factors), expected, atol=1e-4)
    sampled = Scale(0.8, 1.3, anisotropic=True).sample(seeded(0), (50, 1, 9, 9))
    assert sampled.shape == (50, 2) and not torch.allclose(sampled[:, 0], sampled[:, 1])


def test_a_crop_is_its_window():
    x = asymmetric(2)
    window = torch.tensor([[[0.5, 2.5], [0.5, 4.0]]])  # 6 x 9 samples around (7.5, 12)
    changed = Crop().apply(x, window)
    corner = changed[0, :, 0, 0]
    assert torch.allclose(corner, x[0, :, 5, 8], atol=1e-5)
    assert torch.allclose(changed[0, :, -1, -1], x[0, :, 10, 16], atol=1e-5)
    inside = Crop(0.2, 0.4, 2.0).sample(seeded(0), (500, 1, 40, 60))
    reach = inside[:, :, 0] * torch.tensor([39, 59]) / 2 + inside[:, :, 1].abs()
    assert (reach <= torch.tensor([19.5, 29.5]) + 1e-4).all()
    areas = inside[:, :, 0].prod(1)
    assert 0.2 - 1e-4 <= areas.min() < 0.22 and 0.38 < areas.max() <= 0.4 + 1e-4


def test_perspective_takes_the_corners_where_they_belong():
    x = asymmetric(2)
    half = torch.tensor([5.0, 8.0])
    corners = half * torch.tensor([[-1.0, -1], [-1, 1], [1, -1], [1, 1]])
    sources = corners * torch.tensor([[1, 0.8], [0.7, 0.9], [0.9, 1], [0.6, 0.75]])
    matrix = homography(corners, sources[None])
    changed = Perspective().apply(x, matrix)
    for (row, column), place in zip([(0, 0), (0, -1), (-1, 0), (-1, -1)], sources + half, strict=True):
        value = ndimage.map_coordinates(x[0, 0].numpy(), place[:, None].numpy(), order=1)
        assert changed[0, 0, row, column].item() == pytest.approx(float(value[0]), abs=1e-4)
    grid = np.stack(np.indices(SHAPES[2]), -1).reshape(-1, 2) - half.numpy()
    places = np.concatenate([grid, np.ones((len(grid), 1))], 1) @ matrix[0].double().numpy().T
    places = places[:, :2] / places[:, 2:] + half.numpy()
    expected = ndimage.map_coordinates(x[0, 1].numpy(), places.T, order=1, mode="mirror").reshape(SHAPES[2])
    assert np.allclose(changed[0, 1].numpy(), expected, atol=1e-4)


def test_perspective_alone_is_not_a_copy():
    """A matrix whose other rows are those of a copy."""
    x = asymmetric(2)
    matrix = identity(1, 2)
    matrix[0, -1, 1] = 0.05
    changed = Warp(matrix).apply(x)[0]
    assert not torch.equal(changed, x) and torch.allclose(changed[..., 8], x[..., 8], atol=1e-5)


POINTED = ["flip|vflip|shift(0.2)", "rotate(40)|shear(20)|scale(0.8,1.3)", "perspective(0.3)|crop|rotate(20)"]


@pytest.mark.parametrize("text", POINTED)
def test_points_follow_the_pixels(text):
    """The brightest place of a smooth spot stays at its point."""
    size = (61, 81)
    points = torch.tensor([[[26.0, 45.0], [33.0, 34.0]]]).repeat(4, 1, 1)
    places = torch.stack(torch.meshgrid(*[torch.arange(n) for n in size], indexing="ij"), -1)
    spots = torch.exp(-((places[None] - points[:1, :, None, None]) ** 2).sum(-1) / 30)  # (1, 2, *S)
    pipeline = Pipeline(parse(text, 2), (1.0, 1.4))
    parameters = pipeline.sample(seeded(3), (4, 2, *size))
    moved = pipeline.apply_points(points, parameters, size)
    changed = pipeline.apply(spots.repeat(4, 1, 1, 1), parameters)
    assert not torch.allclose(moved, points, atol=1)
    for row, channel in itertools.product(range(4), range(2)):
        peak = divmod(int(changed[row, channel].argmax()), size[1])
        where = moved[row, channel]
        if (where > 3).all() and (where < torch.tensor(size) - 4).all():
            assert (where - torch.tensor(peak)).abs().max() < 1.1
    with pytest.raises(UserError, match=r"elastic.* by no matrix"):
        bent = Pipeline(parse("elastic", 2))
        bent.apply_points(points, bent.sample(seeded(0), (4, 1, *size)), size)


def test_points_of_a_composition_are_those_of_its_steps():
    size, spacing = (9, 30, 20), (4.0, 1.0, 1.5)
    transforms = parse("rotate3d(30)|shear(15)|scale(0.8,1.2,anisotropic=True)|flip_axes", 3)
    points = torch.randn(3, 5, 3, generator=seeded(1), dtype=torch.float64) * 5 + 8
    pipeline = Pipeline(transforms, spacing)
    parameters = pipeline.sample(seeded(2), (3, 1, *size))
    expected = points
    for transform, values in zip(transforms, parameters, strict=True):
        expected = Pipeline([transform], spacing).apply_points(expected, (values,), size)
    assert torch.allclose(pipeline.apply_points(points, parameters, size), expected, atol=1e-4)


def signed_permutations(dim: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    signs = list(itertools.product((1, -1), repeat=dim))
    return [(order, sign) for order in itertools.permutations(range(dim)) for sign in signs]


@pytest.mark.parametrize(("dim", "elements"), [(2, 8), (3, 48)])
def test_the_symmetries_of_square_and_cube_are_copies(dim, elements):
    """All of them at once, bit for bit those of NumPy; the mask as the image; two of them are again one."""
    n = 6
    x = torch.randn(1, 2, *[n] * dim, generator=seeded(0))
    symmetries = signed_permutations(dim)
    assert len(symmetries) == elements
    matrix = identity(elements, dim)
    for k, (order, sign) in enumerate(symmetries):
        matrix[k, :-1, :-1] = 0
        for axis in range(dim):
            matrix[k, order[axis], axis] = sign[axis]  # the output's axis runs along this one of the input
    warp = Warp(matrix)
    labels = (x[:, 0] * 100).long()
    images, maps = warp.apply(x.repeat(elements, *[1] * (dim + 1)), labels.repeat(elements, *[1] * dim))
    for k, (order, sign) in enumerate(symmetries):
        flipped = [axis for axis in range(dim) if sign[axis] < 0]
        expected = np.flip(x[0].numpy().transpose(0, *[o + 1 for o in order]), [a + 1 for a in flipped])
        assert np.array_equal(images[k].numpy(), expected)
        expected_labels = np.flip(labels[0].numpy().transpose(order), flipped)
        assert maps is not None and np.array_equal(maps[k].numpy(), expected_labels)
    known = {tuple(m.flatten().tolist()) for m in matrix}
    table = torch.einsum("aij,bjk->abik", matrix, matrix).flatten(0, 1)
    assert {tuple(m.flatten().tolist()) for m in table} == known


def test_flips_are_numpys_and_quarter_turns_too():
    x = torch.randn(4, 3, 8, 8, generator=seeded(0))
    on = torch.ones(4, dtype=torch.bool)
    assert torch.equal(VFlip().apply(x, on), x.flip(-2))
    turned = Rotate90().apply(x, torch.tensor([0, 1, 2, 3]))
    for k in range(4):
        assert np.array_equal(turned[k].numpy(), np.rot90(x[k].numpy(), k, (1, 2)))


EVERY = (
    "flip|vflip|rotate(30)|shear(20)|scale(0.7,1.4,anisotropic=True)|crop|perspective|elastic(4)|shift(0.2)"
)


def test_masks_never_get_a_value_that_was_not_there():
    labels = (torch.rand(6, 40, 50, generator=seeded(0)) < 0.3).long() * 254 - 100
    pipeline = Pipeline(parse(EVERY, 2))
    parameters = pipeline.sample(seeded(1), (6, 1, 40, 50))
    moved = pipeline.apply_labels(labels, parameters)
    assert set(moved.unique().tolist()) == {-100, 154} and not torch.equal(moved, labels)


def test_a_mask_that_is_the_picture_stays_so():
    """Of a picture whose values are those of its mask, the nearest label is never far from the interpolated value."""
    ramp = torch.arange(50.0).expand(1, 1, 40, 50).clone()
    pipeline = Pipeline(parse("rotate(30)|shear(20)|perspective|crop", 2), (1.0, 2.0))
    parameters = pipeline.sample(seeded(1), (1, 1, 40, 50))
    labels = pipeline.apply_labels(ramp[:, 0].long(), parameters)
    assert (labels - pipeline.apply(ramp, parameters)[:, 0]).abs().max() <= 0.5 + 1e-3


def test_rotating_there_and_back_is_within_the_blur_of_interpolation():
    places = torch.stack(torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")) - 31.5
    x = ((places[0] / 5).sin() * (places[1] / 7).cos())[None, None]
    angle = torch.tensor([0.3])
    back = Rotate().apply(Rotate().apply(x, angle), -angle)
    disc = places.square().sum(0) < 28**2
    assert (back - x)[0, 0][disc].abs().max() < 0.05


def test_neutral_parameters_copy():
    x = torch.randn(2, 3, 11, 17, generator=seeded(0))
    for text in ("rotate", "shear", "crop", "perspective", "scale", "shift", "elastic"):
        (transform,) = parse(f"{text}(p=0.000001)", 2)
        parameters = transform.sample(seeded(0), x.shape)
        assert torch.allclose(transform.apply(x, parameters), x, atol=1e-5), text
    warp = composed([(Perspective(), torch.eye(3)[None])], 2)
    assert warp.copies(x.shape[2:]).all()
