"""Maps of networks whose truth is known, and check values of captum's own tests."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from eyespot.errors import UserError
from eyespot.explanation import cam, gradients, occlusion, places, trust
from known_networks import (
    KNOWN,
    Functional,
    blurred_threshold,
    chirp,
    cubes,
    fall,
    functional,
    linear,
    red_minus_blue,
)

EACH = pytest.mark.parametrize("name", KNOWN)


@EACH
def test_the_gradient_is_the_formula(name):
    known = KNOWN[name]()
    assert torch.allclose(gradients.gradient(known.score, known.x), known.gradient, atol=1e-12)


@EACH
def test_integrated_gradients_are_the_formula_and_sum_to_the_difference(name):
    known = KNOWN[name]()
    zero = torch.zeros_like(known.x)
    values, off = gradients.integrated_gradients(known.score, known.x, zero)
    difference = (known.score(known.x) - known.score(zero)).item()
    assert abs(values.sum().item() - difference) <= 1e-3 * max(abs(difference), 1e-9) + 1e-12
    assert off <= 1e-3 * max(abs(difference), 1e-9) + 1e-12
    assert torch.allclose(values, known.integrated, atol=0.02 * known.integrated.abs().max().item() + 1e-12)


@EACH
@pytest.mark.parametrize("patch,stride", [(1, 1), (3, 2), (4, 4)])
def test_occlusion_is_its_definition(name, patch, stride):
    known = KNOWN[name]()
    if patch == 1 and known.x[0, 0].numel() > 500:
        patch, stride = 5, 5
    values = occlusion.occlusion(known.score, known.x, torch.zeros_like(known.x), patch, stride)
    assert np.allclose(values.numpy(), fall(known, patch, stride), atol=1e-10)


@EACH
def test_no_map_reaches_beyond_the_support(name):
    known = KNOWN[name]()
    outside = ~known.support
    zero = torch.zeros_like(known.x)
    for values in (
        gradients.gradient(known.score, known.x),
        gradients.smooth_gradient(known.score, known.x, samples=4)[0],
        gradients.integrated_gradients(known.score, known.x, zero)[0],
    ):
        assert values[outside].abs().sum() == 0


def test_a_square_counts_one_and_a_blue_one_minus_one():
    known = red_minus_blue()
    values, _ = gradients.integrated_gradients(known.score, known.x, torch.zeros_like(known.x))
    total = values.sum(0)
    assert total[0:8, 8:16].sum().item() == pytest.approx(1, abs=1e-3)
    assert total[24:32, 0:8].sum().item() == pytest.approx(-1, abs=1e-3)
    assert total[8:16, 16:24].abs().sum() == 0
    falls = occlusion.occlusion(known.score, known.x, torch.zeros_like(known.x), 8, 8)
    assert falls[0, 8] == 1 and falls[24, 0] == -1 and falls.abs().sum() == 3 * 64


def test_fewer_than_a_few_hundred_gradients_are_enough():
    known = chirp()
    calls = []

    def score(x):
        calls.append(len(x))
        return known.score(x)

    gradients.integrated_gradients(score, known.x, torch.zeros_like(known.x))
    assert sum(calls) < 1000


def test_of_a_smooth_score_the_values_converge():
    known = cubes()
    values, off = gradients.integrated_gradients(
        known.score, known.x, torch.zeros_like(known.x), tolerance=1e-6
    )
    assert torch.allclose(values, known.integrated, atol=1e-4) and off < 1e-4


def test_a_loose_tolerance_says_by_how_much_it_is_off():
    known = cubes()
    values, off = gradients.integrated_gradients(
        known.score, known.x, torch.zeros_like(known.x), tolerance=10
    )
    assert off == pytest.approx(abs(values.sum().item() + 6.875)) and off > 0


@pytest.mark.parametrize("in_place", [False, True])
def test_relus_that_are_functions_follow_the_rules(in_place):
    """2 relu(x) - ... : the gradient of the second is negative at its ReLU and is dropped, whatever the input."""
    known = functional()
    network = Functional(in_place)

    def score(x):
        return network(x)[:, 0]

    guided = gradients.guided_backprop(score, known.x)
    assert guided.tolist() == [[2, 0, 2, 0]]
    assert gradients.deconvnet(score, known.x).tolist() == [[2, 2, 2, 2]]
    assert torch.allclose(gradients.gradient(score, known.x), known.gradient)


@pytest.mark.parametrize("method", [gradients.guided_backprop, gradients.deconvnet])
def test_a_network_without_relus_is_refused_and_not_given_the_plain_gradient(method):
    known = linear()
    with pytest.raises(UserError, match="this network has none"):
        method(known.score, known.x)


def test_the_rules_end_with_the_block():
    known = chirp()
    gradients.guided_backprop(known.score, known.x)
    assert torch.allclose(gradients.gradient(known.score, known.x), known.gradient)


def test_smoothgrad_of_a_straight_score_is_the_gradient_without_error():
    known = linear()
    mean, error = gradients.smooth_gradient(known.score, known.x, samples=8)
    assert torch.allclose(mean, known.gradient) and error.abs().max() < 1e-6


def test_rise_of_a_straight_score_marks_the_places_that_count():
    """One bright place that counts: the others have 0 within a few standard errors."""
    weights = torch.zeros(1, 16, 16, dtype=torch.float64)
    weights[0, 4, 11] = 5

    def score(x):
        return (x * weights).flatten(1).sum(1)

    x = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    values, error = occlusion.rise(score, x, torch.zeros_like(x), masks=2000)
    top = np.unravel_index(values.numpy().argmax(), values.shape)
    assert np.abs(np.subtract(top, (4, 11))).max() <= 1  # cells are wider than a sample
    assert values[4, 11].item() == pytest.approx(5, abs=4 * error[4, 11].item() + 0.2)
    far = values[12:, :4] / error[12:, :4]
    assert far.abs().max() < 5


class OneConv(nn.Module):
    """captum's BasicModel_ConvNet_One_Conv (BSD-3), written anew"""

    def __init__(self, in_place=False):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3, 1)
        self.relu1 = nn.ReLU(inplace=in_place)
        self.fc1 = nn.Linear(8, 4)
        self.conv1.weight.data.fill_(1.0)
        self.conv1.bias.data = torch.tensor([-50.0, -75.0])
        self.fc1.weight.data = torch.cat([torch.ones(4, 5), -1 * torch.ones(4, 3)], 1)
        self.fc1.bias.data.zero_()
        self.relu2 = nn.ReLU(inplace=in_place)

    def forward(self, x):
        return self.relu2(self.fc1(self.relu1(self.conv1(x)).view(-1, 8)))


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize(
    "layer,expected", [("conv1", [[11.25, 13.5], [20.25, 22.5]]), ("relu1", [[0, 4], [28, 32.5]])]
)
def test_grad_cam_has_captums_check_values(layer, expected, in_place):
    network = OneConv(in_place)
    x = torch.arange(16.0).view(1, 1, 4, 4)
    (pair,) = cam.activations_and_gradients(lambda x: network(x)[:, 0], x, network, layer)
    assert torch.allclose(cam.grad_cam(*pair), torch.tensor(expected))


def test_occlusion_has_captums_check_value():
    """BasicModel_MultiLayer at (20, 50, 30) with windows of one value."""
    second, third = nn.Linear(3, 4), nn.Linear(4, 2)
    network_input = torch.tensor([[[20.0, 50.0, 30.0]]])
    second.weight.data = torch.ones(4, 3)
    second.bias.data = torch.tensor([-10.0, 1.0, 1.0, 1.0])
    third.weight.data = torch.ones(2, 4)
    third.bias.data = torch.tensor([-1.0, 1.0])

    def score(x):  # its first layer is the identity, and only the sum of the inputs is used after it
        return third(torch.relu(second(x[:, 0])))[:, 0]

    values = occlusion.occlusion(score, network_input, torch.zeros_like(network_input), 1, 1)
    assert values.tolist() == [80, 200, 120]


def test_grad_cam_of_averages_is_the_closed_formula():
    """Of mean pooling and a dense layer, the map is the class's weights times the activations, over the places."""
    torch.manual_seed(0)
    features, dense = nn.Conv2d(2, 3, 3, padding=1).double(), nn.Linear(3, 4).double()
    network = nn.Sequential(features, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense)
    x = torch.randn(1, 2, 6, 5, dtype=torch.float64)
    (pair,) = cam.activations_and_gradients(lambda x: network(x)[:, 2], x, network, "1")
    expected = torch.tensordot(dense.weight[2], torch.relu(features(x))[0], 1) / 30
    assert torch.allclose(cam.grad_cam(*pair), expected)


def test_units_are_placed_where_they_look():
    """A stride of 2 with a padding of 1 looks at samples 0, 2, 4: not between them, as equal shares would say."""
    network = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2, padding=1), nn.Conv2d(1, 1, 3, stride=2, padding=1))
    last = places.places(network, (1, 16, 16))[-1]
    assert last.grid == (4, 4) and last.step == 4
    centres = last.centres()
    assert centres is not None and centres[0].tolist() == [0, 4, 8, 12]
    values = np.zeros((4, 4))
    values[1, 2] = 1
    spread = cam.spread_over(values, centres, (16, 16))
    assert np.unravel_index(spread.argmax(), spread.shape) == (4, 8) and spread.max() == 1
    assert last.field == 7 and last.window((1, 2)) == ((1, 8), (5, 12))


def test_influence_in_a_mask_is_the_kernel_around_its_place():
    known = blurred_threshold((5, 6))
    values = gradients.gradient(known.score, known.x)
    assert set(map(tuple, torch.nonzero(values)[:, 1:].tolist())) <= {
        (i, j) for i in (4, 5, 6) for j in (5, 6, 7)
    }


def test_a_map_that_knows_the_object_beats_the_baselines_and_edges_do_not():
    known = red_minus_blue()

    def probability(x):
        return known.score(x).sigmoid()

    zero = torch.zeros_like(known.x)
    truth = gradients.integrated_gradients(known.score, known.x, zero)[0].sum(0).numpy()
    good = trust.measure(probability, known.x, zero, zero, truth)
    assert good.warnings == []
    edges = trust.measure(probability, known.x, zero, zero, trust.edges(known.x))
    assert "no better than an edge filter" in edges.warnings[0]


def test_numbers_and_signs_are_said_as_they_are():
    flat = trust.Curves((0.0, 0.0), (0.0, 0.003))
    better = trust.Curves((0.0, 1.0), (0.0, 0.0))
    made = trust.Trust(flat, {"random": better, "centre": flat, "edges": better}, randomised=-0.8)
    first, second = made.warnings
    assert first == (
        "this map does no better than an edge filter (+0.50), distance from the centre (+0.00) and a random order (+0.50): "
        "its insertion minus deletion is +0.00"
    )
    assert "gives nearly this map with the opposite sign (rank correlation -0.80)" in second
    assert "gives nearly this map (rank" in replace(made, randomised=0.8).warnings[1]


def test_relevance_mass_and_rank():
    values = np.array([[4.0, 1.0], [-3.0, 0.0]])
    truth = np.array([[True, False], [True, False]])
    assert trust.relevance_mass(values, truth) == 0.8
    assert trust.relevance_rank(values, truth) == 0.5


def test_a_random_network_gives_another_map():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    before = [p.clone() for p in network.parameters()]
    copied = trust.randomised(network)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(before, copied.parameters(), strict=True))


def test_sensitivity_is_that_of_a_straight_score():
    known = linear()
    assert trust.sensitivity(lambda x: gradients.gradient(known.score, x).numpy(), known.x) == 0
    moved = trust.sensitivity(lambda x: x[0].numpy(), known.x, radius=0.1)
    assert 0 < moved < 0.5
