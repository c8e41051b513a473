"""Convolution of functions, against integrals known in closed form."""

import numpy as np
import pytest

from eyespot.convolution import convolve_functions
from eyespot.errors import UserError


def gauss(width):
    return lambda t: np.exp(-((t / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))


def test_two_boxes_make_a_triangle_exactly():
    result = convolve_functions(np.ones_like, np.ones_like, (0, 1), (0, 1), cells=8)
    expected = 1 - np.abs(result.points[0] - 1)
    np.testing.assert_allclose(result.values, expected, atol=1e-14)
    assert result.error.max() < 1e-14


def test_gaussians_add_their_variances_and_the_error_estimate_holds():
    result = convolve_functions(gauss(0.3), gauss(0.4), (-3, 3), (-4, 4), cells=100)
    error = np.abs(result.values - gauss(0.5)(result.points[0]))
    assert error.max() < 1e-8


@pytest.mark.parametrize("cells", [16, 64])
def test_the_error_falls_with_the_square_of_the_step_and_is_bounded_by_the_estimate(cells):
    result = convolve_functions(np.sin, np.cos, (0, 2), (0, 3), cells=cells)
    t = result.points[0]
    low, high = np.maximum(0, t - 3), np.minimum(2, t)
    exact = (high - low) * np.sin(t) / 2 - (np.cos(2 * high - t) - np.cos(2 * low - t)) / 4
    error = np.abs(result.values - exact)
    assert (error <= result.error / 2.9 + 1e-15).all()
    assert error.max() < 0.1 / cells**2


def test_a_jump_inside_the_interval_is_bounded_too():
    result = convolve_functions(lambda t: (t > 0.3337) * 1.0, np.ones_like, (0, 1), (0, 1), cells=64)
    t = result.points[0]
    exact = np.clip(np.minimum(1, t) - np.maximum(0.3337, t - 1), 0, None)
    assert np.abs(result.values - exact).max() <= 2 * result.error.max() <= 4 / 64


def test_two_axes_and_unequal_intervals():
    result = convolve_functions(
        lambda x, y: x * y, lambda x, y: x + y, [(0, 1), (0, 1)], [(0, 2), (0, 1)], cells=10
    )
    assert result.values.shape == (29, 19)
    x, y = result.points[0][9], result.points[1][9]
    assert (x, y) == (1, 1)
    assert result.values[9, 9] == pytest.approx(1 / 6, abs=1e-3)


@pytest.mark.parametrize(
    "arguments,message",
    [
        (((0, 1), [(0, 1), (0, 1)]), "need as many axes"),
        (((1, 0), (0, 1)), r"low < high, not \(1, 0\)"),
        (((0, 1), (0, np.pi)), "no step divides both"),
    ],
)
def test_intervals_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        convolve_functions(np.sin, np.cos, *arguments)
