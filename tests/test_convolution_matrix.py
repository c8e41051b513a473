"""The operation as a matrix, its singular values, and the bound for a chain of layers."""

from math import prod, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import convolution_matrix
from scipy.sparse import kron
from torch import nn

from eyespot.convolution import (
    as_matrix,
    lipschitz_bound,
    matrix_text,
    parameters,
    singular_values,
    spectral_norm,
)
from eyespot.errors import UserError
from test_convolution import OPERATIONS, close, problems


@settings(max_examples=100, deadline=None)
@given(problems(most=4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.booleans())
def test_the_matrix_and_the_operator_equal_the_operation_and_its_adjoint(
    problem, cin, cout, groups, channels
):
    x, kernel, how = problem
    rng = np.random.default_rng(0)
    if channels:
        how = {**how, "dim": x.ndim, "groups": groups}
        x = rng.normal(size=(cin * groups, *x.shape))
        kernel = kernel * rng.normal(size=(cout * groups, cin, *[1] * kernel.ndim))
    scale = np.abs(kernel).sum() * np.abs(x).max()
    for name, operation in OPERATIONS.items():
        y = operation(x, kernel, **how)
        matrix = as_matrix(kernel, x.shape, operation=name, **how)
        operator = as_matrix(kernel, x.shape, operation=name, form="operator", **how)
        assert matrix.format == "csr" and matrix.shape == operator.shape == (y.size, x.size)
        assert close(matrix @ x.ravel(), y.ravel(), scale)
        assert close(operator @ x.ravel(), y.ravel(), scale)
        z = rng.normal(size=y.size).astype(kernel.dtype)
        assert close(
            operator.H @ z, matrix.conj().T @ z, np.abs(kernel).sum() * np.abs(z).max() * prod(kernel.shape)
        )


def test_one_axis_is_toeplitz_a_circle_circulant_and_two_axes_are_nested():
    kernel = np.array([1.0, 2.0, 3.0])
    assert (as_matrix(kernel, (5,)).toarray() == convolution_matrix(kernel, 5)).all()
    assert (
        as_matrix(kernel, (5,), operation="correlate").toarray() == convolution_matrix(kernel[::-1], 5)
    ).all()
    for mode in ("same", "valid"):
        assert (as_matrix(kernel, (5,), mode=mode).toarray() == convolution_matrix(kernel, 5, mode)).all()
    circulant = as_matrix(kernel, (5,), mode="same", boundary="circular").toarray()
    assert all((circulant[i] == np.roll(circulant[0], i)).all() for i in range(5))
    column = np.array([1.0, 4.0])
    row = np.array([2.0, 5.0, 1.0])
    nested = kron(as_matrix(column, (4,)), as_matrix(row, (6,)))
    assert (as_matrix(np.outer(column, row), (4, 6)) != nested.tocsr()).nnz == 0


def test_integer_weights_stay_integers_and_a_tensor_will_do():
    options = {"mode": "same", "boundary": "replicate"}
    matrix = as_matrix(torch.tensor([1, 2]), (3,), operation="correlate", **options)
    assert matrix.dtype == np.int64
    assert matrix.toarray().tolist() == [[1, 2, 0], [0, 1, 2], [0, 0, 3]]
    matrix = as_matrix(torch.tensor([1, 2]), (3,), **options)
    assert matrix.toarray().tolist() == [[3, 0, 0], [2, 1, 0], [0, 2, 1]]


def test_the_text_has_the_weights_in_their_places():
    lines = ["w3 w2 w1  0  0", " 0 w3 w2 w1  0", " 0  0 w3 w2 w1"]
    assert matrix_text((3,), (5,), mode="valid") == "\n".join(lines)
    assert matrix_text((3,), (5,), mode="valid", operation="correlate").startswith("w1 w2 w3  0  0")
    correlate_text = matrix_text((2,), (3,), mode="same", boundary="replicate", operation="correlate")
    assert correlate_text.endswith("w1+w2")
    first_line = matrix_text((2, 2), (2, 3), mode="valid").splitlines()[0]
    assert first_line.split() == ["w22", "w21", "0", "w12", "w11", "0"]
    with pytest.raises(UserError, match=r"without channel axes, not \(1, 1, 3\)"):
        matrix_text((1, 1, 3), (1, 9), dim=1)


def test_parameters_of_the_dense_layer():
    assert parameters((3,), (10,), mode="valid") == (3, 80)
    assert parameters((8, 2, 3, 3), (4, 6, 6), mode="same", stride=2, groups=2, dim=2) == (144, 144 * 72)


def test_a_matrix_refuses_batches_and_unknown_forms():
    with pytest.raises(UserError, match=r"without batch axes: image \(2, 9\) and kernel \(3,\)"):
        as_matrix(np.ones(3), (2, 9), dim=1)
    with pytest.raises(UserError, match="did you mean 'sparse'"):
        as_matrix(np.ones(3), (9,), form="sparce")


@pytest.mark.parametrize(
    "kernel,shape,stride,dilation,groups",
    [
        ((3,), (7,), 1, 1, 1),
        ((2, 3, 3), (8,), 1, 2, 1),
        ((3, 2, 3, 3), (6, 5), 1, 1, 1),
        ((4, 1, 3, 2), (4, 6), (2, 3), 1, 2),
        ((2, 2, 5, 5), (3, 4), 1, 1, 1),
        ((2, 3, 2, 2, 2), (4, 2, 3), (2, 1, 3), 1, 1),
    ],
)
@pytest.mark.parametrize("is_complex", [False, True])
def test_singular_values_equal_the_dense_matrixs(kernel, shape, stride, dilation, groups, is_complex):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=kernel) + (1j * rng.normal(size=kernel) if is_complex else 0)
    channels = len(kernel) > len(shape)
    image = (kernel[1] * groups, *shape) if channels else shape
    how = {"stride": stride, "dilation": dilation, "groups": groups}
    matrix = as_matrix(weights, image, mode="same", boundary="circular", dim=len(shape), **how)
    expected = np.linalg.svd(matrix.toarray(), compute_uv=False)
    values = singular_values(weights, shape, **how)
    assert values.shape == expected.shape
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-10 * expected[0])
    assert abs(spectral_norm(weights, shape, **how) - expected[0]) < 1e-10 * expected[0]


def test_singular_values_refuse_what_does_not_fit():
    with pytest.raises(UserError, match=r"stride \(2, 2\) does not divide the circle \(4, 5\)"):
        singular_values(np.ones((3, 3)), (4, 5), stride=2)
    with pytest.raises(UserError, match=r"a kernel \(3,\) does not fit spatial axes \(4, 5\)"):
        singular_values(np.ones(3), (4, 5))
    with pytest.raises(UserError, match="groups=2 does not divide the 3 outputs"):
        singular_values(np.ones((3, 1, 3)), (4,), groups=2)


LAYERS = [
    (nn.Conv2d(3, 4, 3, padding=1), (3, 8, 7)),
    (nn.Conv2d(3, 4, 3, stride=2), (3, 8, 7)),
    (nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2), (4, 8, 7)),
    (nn.Conv2d(2, 3, 3, padding=2, padding_mode="replicate"), (2, 5, 6)),
    (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 5, 6)),
    (nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 5, 6)),
    (nn.Conv2d(2, 3, 3, stride=2, padding=1, padding_mode="circular"), (2, 5, 6)),
    (nn.Conv1d(2, 3, 5, padding="same"), (2, 9)),
    (nn.Conv3d(2, 2, 2, padding="valid"), (2, 3, 4, 3)),
    (nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1), (3, 4, 5)),
    (nn.ConvTranspose1d(4, 2, 4, stride=2, output_padding=1, groups=2), (4, 6)),
    (nn.AvgPool2d(3, 2, padding=1), (1, 8, 7)),
    (nn.AvgPool2d(2, padding=1, count_include_pad=False), (1, 8, 7)),
    (nn.AdaptiveAvgPool2d((2, 1)), (2, 4, 3)),
    (nn.Linear(5, 4), (5,)),
]


@pytest.mark.parametrize(
    "layer,shape", LAYERS, ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else ""
)
def test_the_bound_of_a_linear_layer_holds_and_is_close(layer, shape):
    torch.manual_seed(0)
    layer.reset_parameters() if hasattr(layer, "reset_parameters") else None
    x = torch.zeros(1, *shape)
    jacobian = torch.autograd.functional.jacobian(lambda t: layer(t).flatten(), x).flatten(1)
    norm = float(torch.linalg.matrix_norm(jacobian.double(), 2))
    bound = lipschitz_bound(layer, shape).bound
    assert norm * (1 - 1e-6) <= bound <= norm * 2.5


def test_a_circular_layer_has_its_exact_norm():
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular")
    exact = spectral_norm(layer.weight, (5, 6))
    assert abs(lipschitz_bound(layer, (2, 5, 6)).bound - exact) < 1e-12


def test_a_stride_that_does_not_divide_the_circle_is_still_bounded():
    layer = nn.Conv1d(1, 1, 3, stride=2, padding=1, padding_mode="circular", bias=False)
    nn.init.ones_(layer.weight)
    assert lipschitz_bound(layer, (1, 3)).bound >= sqrt(6)


def test_the_bound_of_a_chain_is_the_product_and_holds():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6)
    norm.running_var.uniform_(0.2, 2), norm.weight.data.normal_()
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    body = nn.Sequential(
        nn.Conv2d(3, 6, 3), norm, nn.LeakyReLU(0.1), nn.MaxPool2d(3, 2), nn.PReLU(), nn.GELU()
    )
    model = nn.Sequential(body, nn.Dropout(), head).eval()
    bound = lipschitz_bound(model, (3, 12, 12))
    assert list(bound.layers) == ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "1", "2.0", "2.1", "2.2"]
    assert abs(prod(bound.layers.values()) - bound.bound) < 1e-12
    scale = norm.weight.detach().abs() / (norm.running_var + norm.eps).sqrt()
    assert bound.layers["0.1"] == pytest.approx(float(scale.max()))
    assert bound.layers["0.3"] == 2 and bound.layers["2.0"] == 0.25
    for _ in range(20):
        x, y = torch.randn(2, 1, 3, 12, 12)
        with torch.no_grad():
            assert (model(x) - model(y)).norm() <= bound.bound * (x - y).norm()


@pytest.mark.parametrize(
    "layer,shape,message",
    [
        (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), (4,), "no bound is known for layer 1, a LayerNorm"),
        (nn.Conv2d(3, 4, 3), (2, 8, 8), r"layer Conv2d does not take an input of shape \(2, 8, 8\)"),
        (nn.BatchNorm1d(4, track_running_stats=False), (4,), "without running statistics"),
        (nn.AvgPool2d(2, ceil_mode=True), (1, 5, 5), "ceil_mode"),
        (nn.AdaptiveAvgPool1d(2), (1, 5), r"adaptive pooling of \(5,\) to \(2,\)"),
    ],
)
def test_what_the_bound_does_not_cover_is_refused(layer, shape, message):
    with pytest.raises(UserError, match=message):
        lipschitz_bound(layer, shape)
