"""The operation on arrays: against loops, SciPy and the laws of mathematics; exact integers; what is refused."""

import doctest
import itertools
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal

from eyespot.convolution import adjoint, as_matrix, convolve, correlate
from eyespot.convolution.arrays import convolve_rows, correlate_ndimage
from eyespot.convolution.geometry import BOUNDARIES, MODES, geometry
from eyespot.convolution.method import overlaps, uses_fft
from eyespot.convolution.padding import pad
from eyespot.convolution.taps import sum_over_taps
from eyespot.errors import UserError

OPERATIONS = {"correlate": correlate, "convolve": convolve}
sampled = settings(max_examples=100, deadline=None)


def close(a, b, scale=None) -> bool:
    """Equal to 1e-12 of the largest value."""
    a, b = np.asarray(a), np.asarray(b)
    scale = max(np.abs(b).max(), 1e-300) if scale is None else scale
    return a.shape == b.shape and np.abs(a - b).max() <= 1e-12 * scale


def sample_at(x, place, boundary):
    """x at one place, also beyond its edges, one step at a time."""
    place = list(place)
    for axis, n in enumerate(x.shape):
        while not 0 <= place[axis] < n:
            p = place[axis]
            if boundary == "zero":
                return 0
            if boundary == "replicate":
                place[axis] = 0 if p < 0 else n - 1
            elif boundary == "circular":
                place[axis] = p + n if p < 0 else p - n
            elif n == 1:
                place[axis] = 0
            else:
                place[axis] = -p if p < 0 else 2 * (n - 1) - p
    return x[tuple(place)]


def by_loops(x, kernel, mode, boundary, stride, dilation, flip):
    """The sum, written as loops, for one channel."""
    out, first = [], []
    for n, k, s, d in zip(x.shape, kernel.shape, stride, dilation, strict=True):
        reach = d * (k - 1)
        low = {"full": 0, "valid": reach, "same": d * (k - 1) // 2 if flip else reach - d * (k - 1) // 2}[
            mode
        ]
        count = {"full": n + reach, "valid": n - reach, "same": n}[mode]
        first.append(low)  # the first output is number `low` of the full result
        out.append((count - 1) // s + 1)
    y = np.zeros(out, np.result_type(x, kernel))
    for i in np.ndindex(*out):
        for j in np.ndindex(*kernel.shape):
            full = [a * s + f for a, s, f in zip(i, stride, first, strict=True)]
            if flip:
                place = [f - b * d for f, b, d in zip(full, j, dilation, strict=True)]
            else:
                ends = zip(full, j, dilation, kernel.shape, strict=True)
                place = [f + b * d - d * (k - 1) for f, b, d, k in ends]
            y[i] += kernel[j] * sample_at(x, place, boundary)
    return y


@st.composite
def problems(draw, most=3, is_complex=True):
    """(x, kernel, how): one channel, a shape and a kernel of up to `most` axes."""
    dim = draw(st.integers(1, most))
    side = (24, 9, 6, 4)[dim - 1]
    shape = draw(st.tuples(*[st.integers(1, side)] * dim))
    taps = draw(st.tuples(*[st.integers(1, (7, 4, 3, 2)[dim - 1])] * dim))
    how = {
        "mode": draw(st.sampled_from(MODES)),
        "boundary": draw(st.sampled_from(BOUNDARIES)),
        "stride": draw(st.tuples(*[st.integers(1, 3)] * dim)),
        "dilation": draw(st.tuples(*[st.integers(1, 2)] * dim)),
    }
    if how["mode"] == "valid":
        taps = tuple(min(k, (n - 1) // d + 1) for n, k, d in zip(shape, taps, how["dilation"], strict=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x, kernel = rng.normal(size=shape), rng.normal(size=taps)
    if is_complex and draw(st.booleans()):
        kernel = kernel + 1j * rng.normal(size=taps)
    return x, kernel, how


@sampled
@given(problems(), st.sampled_from(["auto", "direct", "fft"]))
def test_every_mode_boundary_stride_and_dilation_equals_the_loops(problem, method):
    x, kernel, how = problem
    for name, operation in OPERATIONS.items():
        expected = by_loops(x, kernel, flip=name == "convolve", **how)
        assert close(
            operation(x, kernel, method=method, **how), expected, np.abs(kernel).sum() * np.abs(x).max()
        )


@sampled
@given(
    problems(most=4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.booleans(),
)
def test_every_method_gives_the_sum_over_the_taps(problem, batch, cin, cout, groups, channels):
    x, kernel, how = problem
    dim = x.ndim
    rng = np.random.default_rng(0)
    if channels:
        x = rng.normal(size=(batch, cin * groups, *x.shape)).astype(kernel.dtype)
        kernel = kernel * rng.normal(size=(cout * groups, cin, *[1] * dim))
        how = {**how, "groups": groups}
    else:
        x = rng.normal(size=(batch, *x.shape)).astype(kernel.dtype)
    g = geometry(x.shape, kernel.shape, False, **how, dim=dim)
    padded = pad(x.reshape(g.x_shape), g.before, g.after, g.boundary)
    expected = sum_over_taps(padded, kernel.reshape(g.kernel_shape), g).reshape(g.y_shape)
    scale = np.abs(kernel).sum() * np.abs(x).max()
    for name in ("auto", "direct", "fft"):
        assert close(correlate(x, kernel, method=name, dim=dim, **how), expected, scale)
    if g.one_channel and not g.strided:
        weights = kernel.reshape(g.kernel_shape)
        images = x.reshape(-1, *g.size)
        assert close(correlate_ndimage(images, weights[0, 0], g), expected, scale)
        if dim == 1:
            assert close(convolve_rows(images, weights, g), expected, scale)


def test_long_series_are_transformed_in_blocks():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 20_000))
    kernel = rng.normal(size=150)
    assert overlaps(geometry(x.shape, kernel.shape, True, dim=1))
    for mode, boundary in itertools.product(MODES, BOUNDARIES):
        how = {"mode": mode, "boundary": boundary, "dim": 1}
        expected = convolve(x, kernel, method="direct", **how)
        assert close(convolve(x, kernel, method="fft", **how), expected)


def test_weights_that_ndimage_drops_are_kept():
    image = np.zeros((9, 9))
    image[4, 4] = 1
    kernel = np.array([[1, 1e-17, 1e-300], [1e-18, 1, 0]])
    assert (convolve(image, kernel, method="direct")[4:6, 4:7] == kernel).all()
    assert (convolve(image, 1j * kernel, method="direct")[4:6, 4:7] == 1j * kernel).all()


def test_the_faster_method_is_used():
    def fft(x, kernel, **how):
        return uses_fft(geometry(x, kernel, True, **how), "auto")

    assert not fft((512, 512), (3, 3))
    assert fft((512, 512), (30, 30))
    assert not fft((100_000,), (9,))
    assert fft((100_000,), (1000,))
    assert not fft((8, 64, 56, 56), (64, 64, 3, 3), dim=2)
    assert not fft((512, 512), (12, 12), stride=8)


@sampled
@given(problems(), st.sampled_from(MODES))
def test_zero_boundary_equals_scipy_signal(problem, mode):
    x, kernel, _ = problem
    kernel = kernel[tuple(slice(n) for n in x.shape)]
    scale = np.abs(kernel).sum() * np.abs(x).max()
    assert close(convolve(x, kernel, mode=mode), signal.convolve(x, kernel, mode, method="direct"), scale)
    if mode != "same" or all(k % 2 for k in kernel.shape):
        expected = signal.correlate(x, kernel.conj(), mode, method="direct")
        assert close(correlate(x, kernel, mode=mode), expected, scale)


@sampled
@given(problems(is_complex=False), st.sampled_from(BOUNDARIES))
def test_same_mode_equals_ndimage(problem, boundary):
    x, kernel, _ = problem
    name = {"zero": "constant", "replicate": "nearest", "reflect": "mirror", "circular": "wrap"}[boundary]
    scale = np.abs(kernel).sum() * np.abs(x).max()
    origin = [-1 + k % 2 for k in kernel.shape]
    expected = ndimage.convolve(x, kernel, mode=name, origin=origin)
    assert close(convolve(x, kernel, mode="same", boundary=boundary), expected, scale)
    expected = ndimage.correlate(x, kernel, mode=name, origin=origin)
    assert close(correlate(x, kernel, mode="same", boundary=boundary), expected, scale)


def test_reflect_is_numpys_even_where_the_edge_is_wider_than_the_image():
    x = np.random.default_rng(0).normal(size=5)
    expected = np.convolve(np.pad(x, 12, mode="reflect"), np.ones(13), "valid")
    assert close(convolve(x, np.ones(13), boundary="reflect"), expected)


@sampled
@given(problems(), st.integers(1, 3))
def test_convolution_is_commutative_associative_and_linear(problem, more):
    x, a, _ = problem
    b = np.random.default_rng(5).normal(size=[k + more for k in a.shape[::-1]])
    scale = np.abs(a).sum() * np.abs(b).sum() * np.abs(x).max()
    assert close(convolve(x, a), convolve(a, x), scale)
    assert close(convolve(convolve(x, a), b), convolve(x, convolve(a, b)), scale)
    c = np.roll(a, 1)
    assert close(
        convolve(x, 2 * a - 3j * c),
        2 * convolve(x, a) - 3j * convolve(x, c),
        10 * np.abs(a).sum() * np.abs(x).max(),
    )


@sampled
@given(problems(), st.integers(-9, 9))
def test_a_shift_of_the_image_shifts_the_result(problem, shift):
    x, kernel, how = problem
    axes = tuple(range(x.ndim))
    moved = tuple(shift * a for a in range(1, x.ndim + 1))
    how = {"mode": "same", "boundary": "circular", "dilation": how["dilation"]}
    for operation in OPERATIONS.values():
        expected = np.roll(operation(x, kernel, **how), moved, axes)
        assert close(
            operation(np.roll(x, moved, axes), kernel, **how),
            expected,
            np.abs(kernel).sum() * np.abs(x).max(),
        )


@sampled
@given(problems())
def test_circular_convolution_is_a_product_of_transforms(problem):
    x, kernel, _ = problem
    wrapped = np.zeros(x.shape, kernel.dtype)
    for tap in np.ndindex(*kernel.shape):
        centre = [(k - 1) // 2 for k in kernel.shape]
        place = tuple((t - c) % n for t, c, n in zip(tap, centre, x.shape, strict=True))
        wrapped[place] += kernel[tap]
    expected = np.fft.ifftn(np.fft.fftn(x) * np.fft.fftn(wrapped))
    y = convolve(x, kernel, mode="same", boundary="circular")
    assert close(
        y, expected if np.iscomplexobj(kernel) else expected.real, np.abs(kernel).sum() * np.abs(x).max()
    )


@sampled
@given(problems(most=4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.booleans())
def test_the_adjoint_moves_to_the_other_side_of_the_inner_product(problem, cin, cout, groups, channels):
    x, kernel, how = problem
    rng = np.random.default_rng(1)
    if channels:
        how = {**how, "dim": x.ndim, "groups": groups}
        x = rng.normal(size=(2, cin * groups, *x.shape))
        kernel = kernel * rng.normal(size=(cout * groups, cin, *[1] * kernel.ndim))
    for name, operation in OPERATIONS.items():
        y = operation(x, kernel, **how)
        z = rng.normal(size=y.shape) + 1j * rng.normal(size=y.shape)
        back = adjoint(z, kernel, x.shape, operation=name, **how)
        assert back.shape == x.shape
        scale = np.abs(kernel).sum() * np.abs(x).sum() * np.abs(z).max()
        assert abs(np.vdot(z, y) - np.vdot(back, x)) <= 1e-12 * scale


def test_channels_groups_and_batch_are_sums_of_single_ones():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 3, 6, 9, 8)), rng.normal(size=(4, 3, 3, 2))
    y = correlate(x, kernel, mode="same", groups=2, dim=2)
    assert y.shape == (2, 3, 4, 9, 8)
    for b, i, o in itertools.product(range(2), range(3), range(4)):
        first = 3 * (o // 2)
        expected = sum(correlate(x[b, i, first + c], kernel[o, c], mode="same") for c in range(3))
        assert close(y[b, i, o], expected)
    assert close(
        correlate(x, kernel[0, 0], mode="same", dim=2)[1, 2, 3],
        correlate(x[1, 2, 3], kernel[0, 0], mode="same"),
    )


@sampled
@given(problems(is_complex=False), st.sampled_from([np.uint8, np.int8, np.int32, np.uint64, np.bool_]))
def test_integers_are_exact_and_do_not_wrap_around(problem, dtype):
    x, kernel, how = problem
    rng = np.random.default_rng(2)
    low, high = (
        (0, 2) if dtype is np.bool_ else (max(np.iinfo(dtype).min, -(2**20)), min(np.iinfo(dtype).max, 2**20))
    )
    x, kernel = rng.integers(low, high, x.shape).astype(dtype), rng.integers(-(2**20), 2**20, kernel.shape)
    expected = by_loops(x.astype(object), kernel.astype(object), flip=True, **how)
    for method in ("auto", "fft"):
        y = convolve(x, kernel, method=method, **how)
        assert y.dtype == np.int64
        assert (y == expected).all()


def test_integers_beyond_double_precision_are_exact_too():
    x = np.array([2**40 + 1, 3, 2**41 - 1])
    assert convolve(x, [2**20 + 1, -1]).tolist() == np.convolve(x.astype(object), [2**20 + 1, -1]).tolist()


def test_large_integer_images_use_the_transform_and_stay_exact():
    rng = np.random.default_rng(3)
    x, kernel = rng.integers(0, 256, (120, 130), dtype=np.uint8), rng.integers(-99, 99, (40, 40))
    expected = np.rint(signal.fftconvolve(x.astype(float), kernel.astype(float))).astype(int)
    assert (convolve(x, kernel) == expected).all()
    assert (convolve(x, kernel, method="fft") == expected).all()


@pytest.mark.parametrize("name", ["direct", "fft"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_reaches_only_its_own_windows(name, value):
    rng = np.random.default_rng(4)
    x, kernel = rng.normal(size=(40, 50)), rng.normal(size=(5, 5))
    x[20, 30] = value
    touched = ~np.isfinite(convolve(x, kernel, mode="same", method=name))
    assert touched.sum() == 25
    assert touched[18:23, 28:33].all()


@pytest.mark.parametrize(
    "types",
    [("f4", "f4", "f4"), ("f2", "f2", "f2"), ("u1", "f4", "f4"), ("f4", "c8", "c8"), ("i4", "f8", "f8")],
)
def test_the_result_has_numpys_type(types):
    x, kernel = np.ones((9, 9), types[0]), np.ones((3, 3), types[1])
    y = convolve(x, kernel, mode="valid")
    assert y.dtype == np.dtype(types[2])
    assert (y == 9).all()


def test_long_doubles_keep_their_precision():
    x = np.array([1, 1e-18], np.longdouble)
    assert convolve(x, np.ones(2, np.longdouble))[1] == x.sum()


def test_inputs_are_left_alone():
    x, kernel = np.arange(30.0).reshape(5, 6), np.ones((2, 3))
    x.setflags(write=False), kernel.setflags(write=False)
    for method in ("direct", "fft"):
        convolve(x[:, ::-1], kernel.T, method=method)
    assert (x == np.arange(30).reshape(5, 6)).all()


REFUSED = [
    (dict(x=np.ones((4, 9)), kernel=np.ones((5, 3)), mode="valid"), r"image \(4, 9\) and kernel \(5, 3\)"),
    (dict(x=np.ones((4, 9)), kernel=np.ones((3, 3)), mode="valid", dilation=2), r"dilated to \(5, 5\)"),
    (dict(x=np.ones((4, 9)), kernel=np.ones(3)), r"ranks do not match: image \(4, 9\) and kernel \(3,\); pass dim="),
    (dict(x=np.ones(9), kernel=np.ones((3, 3)), dim=2), r"ranks do not match: image \(9,\) and kernel \(3, 3\)"),
    (dict(x=np.ones((3, 9)), kernel=np.ones((4, 2, 3)), dim=1), r"channels do not match: image \(3, 9\) and kernel \(4, 2, 3\)"),
    (dict(x=np.ones((4, 9)), kernel=np.ones((3, 2, 3)), dim=1, groups=2), r"channels .* \(4, 9\) .* \(3, 2, 3\) with groups=2"),
    (dict(x=np.ones(9), kernel=np.ones(3), groups=2), r"groups=2 needs .* \(9,\) and kernel \(3,\)"),
    (dict(x=np.ones(9), kernel=np.ones(3), stride=0), "stride is 0; it must be 1 or more"),
    (dict(x=np.ones(9), kernel=np.ones(3), dilation=-1), "dilation is -1"),
    (dict(x=np.ones(9), kernel=np.ones(3), stride=1.5), "stride is 1.5; it must be a whole number"),
    (dict(x=np.ones(9), kernel=np.ones(3), stride=[1, 2]), r"stride \(1, 2\) has 2 numbers for 1 spatial axis"),
    (dict(x=np.ones((0, 9)), kernel=np.ones((1, 3))), r"image \(0, 9\) and kernel \(1, 3\) must not be empty"),
    (dict(x=np.ones(9), kernel=np.ones(0)), r"image \(9,\) and kernel \(0,\) must not be empty"),
    (dict(x=np.ones(9), kernel=np.ones(3), mode="sane"), "did you mean 'same'"),
    (dict(x=np.ones(9), kernel=np.ones(3), boundary="circula"), "did you mean 'circular'"),
    (dict(x=np.ones(9), kernel=np.ones(3), method="ftt"), "did you mean 'fft'"),
    (dict(x=np.array(["a"]), kernel=np.ones(1)), "cannot convolve an image of type <U1 with a kernel of type float64"),
    (dict(x=np.array([object()]), kernel=np.ones(1)), "cannot convolve an image of type object"),
    (dict(x=np.array([2**62]), kernel=np.array([9])), r"beyond 64-bit integers; convert the image \(1,\) to float64"),
]  # fmt: skip


@pytest.mark.parametrize("arguments,message", REFUSED)
def test_bad_input_is_refused_in_one_sentence(arguments, message):
    for operation in OPERATIONS.values():
        with pytest.raises(UserError, match=message):
            operation(**arguments)


def test_the_adjoint_and_the_matrix_are_of_the_same_operation_by_default():
    kernel, y = np.array([1.0, 2, -5]), np.arange(7.0)
    matrix = as_matrix(kernel, (5,)).toarray()
    np.testing.assert_allclose(adjoint(y, kernel, (5,)), matrix.T @ y)
    np.testing.assert_allclose(matrix @ np.eye(5)[2], convolve(np.eye(5)[2], kernel))


def test_the_adjoint_refuses_a_wrong_result_and_an_unknown_operation():
    with pytest.raises(UserError, match=r"makes \(7,\) of an image \(9,\), but y is \(9,\)"):
        adjoint(np.ones(9), np.ones(3), (9,), mode="valid")
    with pytest.raises(UserError, match="did you mean 'convolve'"):
        adjoint(np.ones(11), np.ones(3), (9,), operation="convolv")


def test_arrays_do_not_need_torch():
    code = (
        "import sys; from eyespot.convolution import convolve, as_matrix, singular_values;"
        "convolve([1, 2], [3]), as_matrix([1, 2], (3,)), singular_values([1, 2], (4,));"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_examples_in_the_page_and_in_docstrings_are_true():
    page = Path(__file__).parents[1] / "docs" / "convolution.md"
    assert doctest.testfile(str(page), module_relative=False).failed == 0
    for name in ("matrix", "operation", "image_file"):
        module = import_module(f"eyespot.convolution.{name}")
        results = doctest.testmod(module)
        assert results.attempted and not results.failed
