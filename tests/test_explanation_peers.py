"""Maps compared with those of captum and pytorch-grad-cam, on small presets and on networks whose truth is known.

Where they differ, the test states the difference and docs/explanation.md its reason. Both are optional:
pip install 'eyespot[explain-peers]'.
"""

import importlib
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eyespot.errors import UserError
from eyespot.explanation import cam, gradients, occlusion, places
from eyespot.models import create
from known_networks import KNOWN, Known, fall, red_minus_blue
from test_explanation_truth import OneConv

attr = pytest.importorskip(
    "captum.attr", reason="captum is not installed: pip install 'eyespot[explain-peers]'"
)
pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU activations"),
    pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients"),
]

AGREE = 1e-4
"""By how much two maps may differ, as a share of the largest value."""
TARGET = 2
SMALL = {
    "resnet20": dict(depths=(1, 1, 1), width=8),
    "vgg11": dict(width=4, grid=1, hidden=16),
    "vgg11_bn": dict(width=4, grid=1, hidden=16),
    "densenet40_12": dict(depths=(2, 2, 2), growth=4, width=8),
    "densenet_bc_100_12": dict(depths=(2, 2, 2), growth=4, width=8),
}
EACH_PRESET = pytest.mark.parametrize("name", SMALL)
EACH_KNOWN = pytest.mark.parametrize("name", KNOWN)
RULES = {
    "guided-backprop": (gradients.guided_backprop, attr.GuidedBackprop),
    "deconvnet": (gradients.deconvnet, attr.Deconvolution),
}
EACH_RULE = pytest.mark.parametrize("rule", RULES)


@pytest.fixture(scope="module")
def grad_cam():
    """pytorch-grad-cam. It imports torchvision for pictures and boxes, which these tests do not need."""
    stand_in = [ModuleType(f"torchvision{rest}") for rest in ("", ".transforms", ".transforms.functional")]
    for name in ("Compose", "Normalize", "ToTensor"):
        setattr(stand_in[1], name, object)
    stand_in[2].__dict__["resize"] = None
    with pytest.MonkeyPatch.context() as patch:
        try:
            importlib.import_module("torchvision")
        except Exception:  # there is none, or one that does not fit this torch
            for module in stand_in:
                patch.setitem(sys.modules, module.__name__, module)
        reason = "grad-cam cannot be imported: pip install 'eyespot[explain-peers]'"
        package = pytest.importorskip("pytorch_grad_cam", reason=reason, exc_type=ImportError)
        targets = importlib.import_module("pytorch_grad_cam.utils.model_targets")
    return SimpleNamespace(
        methods={
            "grad-cam": (package.GradCAM, cam.grad_cam),
            "grad-cam++": (package.GradCAMPlusPlus, cam.grad_cam_plus),
        },
        target=targets.ClassifierOutputTarget,
    )


def small(name: str) -> nn.Module:
    """A small form of a preset with random parameters: without biases, the way from zero would not bend."""
    torch.manual_seed(0)
    network = create(name, classes=5, channels=3, **SMALL.get(name, {})).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn(parameter.shape))
    return network


def picture() -> Tensor:
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))


def of_class(network: nn.Module):
    return lambda x: network(x)[:, TARGET]


def difference(a, b) -> float:
    """The largest, as a share of the largest value of b."""
    a, b = (torch.as_tensor(values).detach().double() for values in (a, b))
    assert a.shape == b.shape
    return ((a - b).abs().max() / b.abs().max().clamp(min=1e-12)).item()


class Scored(nn.Module):
    """The score of a network whose truth is known, as a module, (B, classes = 1)"""

    def __init__(self, known: Known):
        super().__init__()
        self.network = known.network
        self.target = known.target

    def forward(self, x: Tensor) -> Tensor:
        return self.target(self.network(x))[:, None]


@EACH_PRESET
def test_gradients_agree(name):
    network, x = small(name), picture()
    theirs = attr.Saliency(network).attribute(x.clone(), target=TARGET, abs=False)[0]
    assert difference(gradients.gradient(of_class(network), x), theirs) < AGREE


@EACH_PRESET
@EACH_RULE
def test_other_rules_for_relus_agree(name, rule):
    ours, peer = RULES[rule]
    network, x = small(name), picture()
    made = ours(of_class(network), x)
    assert difference(made, peer(network).attribute(x.clone(), target=TARGET)[0]) < AGREE
    assert difference(made, gradients.gradient(of_class(network), x)) > 0.1


@EACH_PRESET
def test_occlusions_agree(name):
    """Also at the far edge, where the last patch reaches beyond the image."""
    network, x = small(name), picture()
    theirs = attr.Occlusion(network).attribute(
        x, target=TARGET, sliding_window_shapes=(3, 8, 8), strides=(3, 5, 5), perturbations_per_eval=16
    )
    ours = occlusion.occlusion(of_class(network), x, torch.zeros_like(x), 8, 5)
    assert difference(ours, theirs[0, 0]) < AGREE


@EACH_PRESET
def test_integrated_gradients_agree_with_the_same_steps(name):
    network, x = small(name), picture()
    zero = torch.zeros_like(x)
    ours, _ = gradients.integrated_gradients(of_class(network), x, zero, tolerance=1e6)
    theirs = attr.IntegratedGradients(network).attribute(
        x, target=TARGET, n_steps=gradients.FIRST_STEPS, method="riemann_middle"
    )
    assert difference(ours, theirs[0]) < AGREE


@EACH_PRESET
def test_refined_steps_sum_up_better_than_fifty_of_captum(name):
    network, x = small(name), picture()
    score, zero = of_class(network), torch.zeros_like(x)
    gain = (score(x) - score(zero)).item()
    ours, off = gradients.integrated_gradients(score, x, zero)
    theirs = attr.IntegratedGradients(network).attribute(x, target=TARGET)[0]
    assert abs(ours.sum().item() - gain) == pytest.approx(off, abs=1e-6)
    assert off < 1e-3 * abs(gain) and off < abs(theirs.sum().item() - gain)


@EACH_PRESET
@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++"])
def test_class_activation_maps_agree(grad_cam, name, method):
    """Of the layer as they are; drawn, after their rules: negative values dropped, from 0 to 1, equal shares of the image."""
    network, x = small(name), picture()
    place = places.choose_layer(places.places(network, (3, 32, 32)), False)
    layer = network.get_submodule(place.name)
    peer, ours = grad_cam.methods[method]
    (pair,) = cam.activations_and_gradients(of_class(network), x, network, place.name)
    made = ours(*pair)
    targets = [grad_cam.target(TARGET)]
    with peer(network, [layer]) as theirs:
        drawn = theirs(x.clone(), targets)[0]
        assert difference(made, map_of_layer(theirs, layer, x, targets)) < AGREE
    assert np.abs(drawn_as_theirs(made, (32, 32)) - drawn).max() < AGREE
    if method == "grad-cam":
        theirs = attr.LayerGradCam(network, layer).attribute(x.clone(), target=TARGET)
        assert difference(made, theirs[0, 0]) < AGREE


def map_of_layer(theirs, layer, x, targets):
    made = theirs.activations_and_grads
    return theirs.get_cam_image(x, layer, targets, made.activations[0].numpy(), made.gradients[0].numpy())[0]


def drawn_as_theirs(values: Tensor, size: tuple[int, ...]):
    spread = cam.spread_over(unit_scale(values.clamp(min=0).numpy()), None, size)
    return unit_scale(spread)


def unit_scale(values):
    values = values - values.min()
    return values / (1e-7 + values.max())


@EACH_KNOWN
def test_gradient_and_occlusion_of_captum_are_the_formula(name):
    known = KNOWN[name]()
    made = attr.Saliency(known.score).attribute(known.x.clone(), abs=False)[0]
    assert difference(made, known.gradient) < 1e-12
    patch, stride = (4, 3) if min(known.x.shape[2:]) >= 4 else (1, 1)
    axes = known.x.dim() - 2
    covered = attr.Occlusion(known.score).attribute(
        known.x,
        sliding_window_shapes=(known.x.shape[1], *[patch] * axes),
        strides=(known.x.shape[1], *[stride] * axes),
        perturbations_per_eval=1,
    )
    assert difference(covered[0, 0], fall(known, patch, stride)) < 1e-6


BENT = {"chirp", "ball", "blurred_threshold", "reused"}
"""Networks that begin to see something somewhere on the way, between two of captum's steps."""


@EACH_KNOWN
def test_integrated_gradients_of_captum_miss_where_the_way_bends(name):
    known = KNOWN[name]()
    zero = torch.zeros_like(known.x)
    theirs = difference(attr.IntegratedGradients(known.score).attribute(known.x)[0], known.integrated)
    ours = difference(gradients.integrated_gradients(known.score, known.x, zero)[0], known.integrated)
    assert ours < 3e-3
    assert (0.005 < theirs < 0.05) if name in BENT else theirs < 1e-6


@EACH_KNOWN
@EACH_RULE
def test_where_no_relu_can_be_changed_captum_gives_the_plain_gradient(name, rule):
    known = KNOWN[name]()
    ours, peer = RULES[rule]
    theirs = peer(Scored(known)).attribute(known.x.clone(), target=0)[0]
    if any(isinstance(module, nn.ReLU) for module in known.network.modules()):
        assert difference(ours(known.score, known.x), theirs) < 1e-12
        return
    assert difference(theirs, known.gradient) < 1e-12
    if name == "functional":  # its ReLUs are functions, which hooks on modules do not see
        assert difference(ours(known.score, known.x), theirs) > 0.3
        return
    with pytest.raises(UserError, match="this network has none"):
        ours(known.score, known.x)


@EACH_RULE
def test_of_a_network_with_gelu_captum_gives_the_plain_gradient(rule):
    ours, peer = RULES[rule]
    network, x = small("tiny"), picture()
    theirs = peer(network).attribute(x.clone(), target=TARGET)[0]
    assert difference(theirs, gradients.gradient(of_class(network), x)) < AGREE
    with pytest.raises(UserError, match="this network has none"):
        ours(of_class(network), x)


@pytest.mark.parametrize("in_place", [False, True])
def test_grad_cam_before_a_relu_in_place(grad_cam, in_place):
    """pytorch-grad-cam keeps the layer's own memory, which a ReLU in place changes after it."""
    network, x = OneConv(in_place), torch.arange(16.0).view(1, 1, 4, 4)
    truth = [[11.25, 13.5], [20.25, 22.5]]
    assert attr.LayerGradCam(network, network.conv1).attribute(x.clone(), target=0)[0, 0].tolist() == truth
    (pair,) = cam.activations_and_gradients(lambda x: network(x)[:, 0], x, network, "conv1")
    assert cam.grad_cam(*pair).tolist() == truth
    targets = [grad_cam.target(0)]
    with grad_cam.methods["grad-cam"][0](network, [network.conv1]) as theirs:
        theirs(x.clone(), targets)
        made = map_of_layer(theirs, network.conv1, x, targets).tolist()
    assert made == ([[0, 3], [20.25, 22.5]] if in_place else truth)


def test_what_speaks_against_is_dropped_by_grad_cam(grad_cam):
    known = red_minus_blue()
    network = Scored(known)
    (pair,) = cam.activations_and_gradients(known.score, known.x, known.network, "relu")
    ours = cam.grad_cam(*pair)
    assert ours[0, 1] == 1 and ours[3, 0] == -1 and ours.abs().sum() == 3
    with grad_cam.methods["grad-cam"][0](network, [known.network.relu]) as theirs:
        drawn = theirs(known.x.clone(), [grad_cam.target(0)])[0]
    assert drawn[4, 12] > 0.9 and drawn[28, 4] == 0


def test_signals_are_refused_by_grad_cam(grad_cam):
    known = KNOWN["chirp"]()
    network = Scored(known)
    (pair,) = cam.activations_and_gradients(known.score, known.x, known.network, "relu")
    theirs = attr.LayerGradCam(network, known.network.relu).attribute(known.x.clone(), target=0)
    assert difference(cam.grad_cam(*pair), theirs[0, 0]) < 1e-12
    with (
        grad_cam.methods["grad-cam"][0](network, [known.network.relu]) as peer,
        pytest.raises(ValueError, match="Only 2D or 3D"),
    ):
        peer(known.x.clone(), [grad_cam.target(0)])
