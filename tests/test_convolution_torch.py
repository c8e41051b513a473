"""The operation on torch tensors: equal to the arrays', to torch's own layers, and with right gradients."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from eyespot.convolution import adjoint, convolve, correlate
from eyespot.convolution.geometry import BOUNDARIES, MODES
from eyespot.errors import UserError

SHAPES = [
    ((4, 17), (6, 2, 4)),
    ((4, 9, 8), (6, 2, 3, 2)),
    ((4, 6, 5, 7), (2, 2, 3, 1, 2)),
    ((4, 4, 5, 3, 4), (2, 2, 2, 1, 3, 2)),
]


@pytest.mark.parametrize("shape,taps", SHAPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_tensors_equal_arrays(shape, taps, mode, boundary):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(3, *shape)), rng.normal(size=taps)
    how = {"mode": mode, "boundary": boundary, "groups": 2, "dim": len(shape) - 1, "stride": 2}
    for operation in (convolve, correlate):
        expected = operation(x, kernel, **how)
        z = rng.normal(size=expected.shape)
        back = adjoint(z, kernel, x.shape, operation=operation.__name__, **how)
        for method in ("direct", "fft"):
            y = operation(torch.tensor(x), kernel, method=method, **how)
            torch.testing.assert_close(y, torch.tensor(expected), rtol=0, atol=1e-12)
        z = adjoint(torch.tensor(z), torch.tensor(kernel), x.shape, operation=operation.__name__, **how)
        torch.testing.assert_close(z, torch.tensor(back), rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_correlate_is_torchs_convolution_also_for_even_kernels():
    x, weight = torch.randn(2, 4, 11, 12), torch.randn(6, 2, 2, 4)
    y = correlate(x, weight, mode="same", dilation=(1, 2), groups=2, dim=2)
    torch.testing.assert_close(y, F.conv2d(x, weight, padding="same", dilation=(1, 2), groups=2))
    y = correlate(x, weight, mode="valid", stride=3, groups=2, dim=2)
    torch.testing.assert_close(y, F.conv2d(x, weight, stride=3, groups=2))


@pytest.mark.parametrize("method", ["direct", "fft"])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradients(method, boundary):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2, 5, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    kernel = torch.randn(2, 1, 3, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    how = {"boundary": boundary, "stride": (2, 1), "dilation": (1, 2), "groups": 2, "dim": 2}
    assert torch.autograd.gradcheck(lambda a, b: convolve(a, b, method=method, **how), (x, kernel))
    y = convolve(x, kernel, method=method, **how)
    z = torch.randn(y.shape, dtype=torch.float64, generator=generator)
    (gradient,) = torch.autograd.grad(y, x, z)
    torch.testing.assert_close(gradient, adjoint(z, kernel, x.shape, operation="convolve", **how))


def test_gradients_in_four_dimensions_and_through_the_adjoint():
    x = torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(2, 2, 1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda a, b: correlate(a, b, mode="same", boundary="reflect"), (x, kernel)
    )
    assert torch.autograd.gradcheck(
        lambda a, b: adjoint(a, b, (3, 3, 2, 3), mode="same", stride=2), (x[:, :2, :1, :2], kernel)
    )


def test_integers_are_exact_and_refused_where_they_would_wrap():
    x = torch.tensor([[200, 255]], dtype=torch.uint8)
    assert convolve(x, torch.tensor([[255, 255]], dtype=torch.uint8)).tolist() == [[51000, 116025, 65025]]
    x = torch.tensor([2**40 + 1, 3])
    assert convolve(x, torch.tensor([2**20 + 1, -1])).tolist() == [
        (2**40 + 1) * (2**20 + 1),
        3 * 2**20 + 2 - 2**40,
        -3,
    ]
    with pytest.raises(UserError, match="beyond 64-bit integers"):
        convolve(torch.tensor([2**62]), torch.tensor([4]))


def test_complex_and_half_tensors():
    x, kernel = torch.randn(8, dtype=torch.complex128), torch.randn(3, dtype=torch.complex128)
    for method in ("direct", "fft"):
        y = correlate(x, kernel, mode="valid", method=method)
        torch.testing.assert_close(y, (x.unfold(0, 3, 1) * kernel).sum(1))
    y = convolve(torch.ones(8, dtype=torch.bfloat16), torch.ones(3, dtype=torch.bfloat16), method="fft")
    assert y.dtype == torch.bfloat16 and y[2] == 3


def test_a_value_that_is_not_finite_reaches_only_its_own_windows():
    x = torch.zeros(30)
    x[10] = torch.nan
    assert convolve(x, torch.ones(3), mode="same", method="fft").isnan().sum() == 3


def test_large_kernels_go_through_the_transform():
    x, kernel = torch.randn(150, 160, dtype=torch.float64), torch.randn(70, 70, dtype=torch.float64)
    torch.testing.assert_close(
        convolve(x, kernel), torch.tensor(convolve(x.numpy(), kernel.numpy())), rtol=0, atol=1e-9
    )


def test_tensors_refuse_in_the_same_sentence():
    with pytest.raises(UserError, match=r"image \(4, 9\) and kernel \(5, 3\)"):
        convolve(torch.ones(4, 9), torch.ones(5, 3), mode="valid")
    with pytest.raises(UserError, match="did you mean 'fft'"):
        convolve(torch.ones(4, 9), torch.ones(2, 3), method="ftt")
