"""Sizes of chains against torch and against what a chain really sees, in both directions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from eyespot.convolution import (
    Field,
    Layer,
    depth_for,
    input_sizes,
    kernel_for,
    output_size,
    padding_for,
    receptive_field,
)
from eyespot.errors import UserError

layers = st.builds(Layer, st.integers(1, 5), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2))
chains = st.lists(layers, min_size=1, max_size=4)
quick = settings(max_examples=100, deadline=None)


def built(chain, weight=1.0):
    convolutions = [nn.Conv1d(1, 1, c.kernel, c.stride, c.padding, c.dilation, bias=False) for c in chain]
    for convolution in convolutions:
        nn.init.constant_(convolution.weight, weight)
    return nn.Sequential(*convolutions).double()


@quick
@given(chains, st.integers(1, 60))
def test_the_output_size_is_torchs(chain, size):
    try:
        expected = built(chain)(torch.ones(1, 1, size).double()).shape[-1]
    except RuntimeError:
        with pytest.raises(UserError, match="is larger than "):
            output_size(size, chain)
        return
    assert output_size(size, chain) == expected


@quick
@given(chains, st.integers(1, 12))
def test_the_input_sizes_are_all_that_give_the_output_size(chain, size):
    def gives(n):
        try:
            return output_size(n, chain) == size
        except UserError:
            return False

    found = input_sizes(size, chain)
    assert list(found) == [n for n in range(1, 2000) if gives(n)]


@quick
@given(chains)
def test_the_receptive_field_is_where_the_gradient_reaches(chain):
    field = receptive_field(chain)
    size = 3 * field.size + 20 * field.stride
    x = torch.zeros(1, 1, size, dtype=torch.float64, requires_grad=True)
    y = built(chain)(x)
    middle = y.shape[-1] // 2
    (seen,) = torch.autograd.grad(y[0, 0, middle], x)
    places = seen[0, 0].nonzero()[:, 0]
    first = field.start + middle * field.stride
    assert places.min() == first
    assert places.max() == first + field.size - 1


@quick
@given(layers, st.integers(1, 40), st.integers(1, 40))
def test_padding_gives_the_wanted_size_and_no_less_would(layer, size, wanted):
    try:
        before, after = padding_for(size, wanted, layer)
    except UserError:
        most = Layer(layer.kernel, layer.stride, layer.dilation)
        assert output_size(size, most) > wanted
        return
    padded = Layer(layer.kernel, layer.stride, layer.dilation, (before, after))
    assert output_size(size, padded) == wanted
    assert after - before in (0, 1)
    if before + after:
        less = size + before + after - 1
        assert (
            less <= layer.reach
            or output_size(less, Layer(layer.kernel, layer.stride, layer.dilation)) < wanted
        )


@quick
@given(chains, st.integers(1, 80), st.integers(1, 2))
def test_kernel_for_is_the_smallest_that_sees_enough(chain, field, dilation):
    kernel = kernel_for(field, chain, dilation)
    assert receptive_field([*chain, Layer(kernel, dilation=dilation)]).size >= field
    assert kernel == 1 or receptive_field([*chain, Layer(kernel - 1, dilation=dilation)]).size < field


def test_known_networks():
    assert receptive_field([Layer(3)] * 3) == Field(7, 1, 0)
    vgg16 = [layer for n in (2, 2, 3, 3, 3) for layer in [*[Layer(3, padding=1)] * n, Layer(2, 2)]]
    assert receptive_field(vgg16) == Field(212, 32, -90)
    assert output_size(224, vgg16) == 7
    assert input_sizes(7, vgg16) == range(224, 256)
    assert padding_for(224, 112, Layer(7, 2)) == (2, 3)
    assert depth_for(Layer(3), field=31) == 15
    assert depth_for(Layer(3, 2), stride=32) == 5
    assert depth_for(Layer(3), field=20, after=[Layer(7, 2), Layer(3, 2)]) == 2


@pytest.mark.parametrize(
    "call,message",
    [
        (lambda: Layer(0), "kernel is 0; it must be 1 or more"),
        (lambda: Layer(3, stride=0), "stride is 0"),
        (
            lambda: output_size(4, Layer(3, dilation=2)),
            "a window of 5 samples is larger than 4 padded samples",
        ),
        (lambda: padding_for(9, 3, Layer(3)), "no padding gives 3 outputs: 9 samples give 7"),
        (lambda: padding_for(9, 0, Layer(3)), "no padding gives 0 outputs"),
        (lambda: depth_for(Layer(1, 2), field=9), "never see 9 samples"),
        (lambda: depth_for(Layer(3), stride=2), "total stride of 2"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()
