"""The methods: what each value of a map is, what it needs, and how it is computed. One list, from which help and docs derive."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyespot.errors import UserError, nearest
from eyespot.explanation import cam, gradients, occlusion
from eyespot.explanation.places import Place
from eyespot.explanation.tiled import TiledScore

EXACT = "exact"
BOUNDED = "bounded"
ESTIMATE = "estimate"


@dataclass(frozen=True)
class Work:
    """One image to explain.

    score      (B, C, *S) -> (B,)
    x          (1, C, *S) normalised image
    baseline   (1, C, *S) what stands for "nothing there"
    called     the baseline, for people
    engine     computes the score
    place      the layer of Grad-CAM
    incremental  the score of batches that begin with x, computed only where they differ from it
    progress   shows how far a long computation is
    """

    score: Callable[[Tensor], Tensor]
    x: Tensor
    baseline: Tensor
    called: str = "the mean of the training images"
    engine: Any = None
    place: Place | None = None
    incremental: Callable[[Tensor], Tensor] | None = None
    patch: int | None = None
    seed: int = 0
    progress: occlusion.Progress = occlusion.silent


@dataclass(frozen=True)
class Values:
    """values (C, *S), or (*S) where channels are not told apart; the label, and why."""

    values: NDArray[Any]
    label: str
    why: str


@dataclass(frozen=True)
class Method:
    """A method.

    title       for people, with the paper
    gradients   whether it needs them
    meaning     what a value of the map is
    layered     whether it looks at a layer
    adds_up     whether the map of a sum of scores is the sum of their maps, so that tiles add up to the whole
    """

    name: str
    title: str
    meaning: str
    compute: Callable[[Work], Values]
    gradients: bool = True
    layered: bool = False
    adds_up: bool = True


def array(tensor: Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().numpy()


def plain(work: Work) -> Values:
    return Values(
        array(gradients.gradient(work.score, work.x)), EXACT, "the slope at this image, up to rounding"
    )


def smooth(work: Work) -> Values:
    mean, error = gradients.smooth_gradient(work.score, work.x, seed=work.seed)
    typical = float(error.mean()) / max(float(mean.abs().max()), 1e-12)
    why = f"{gradients.SAMPLES} noisy images; the standard error of a value is {typical:.1%} of the largest, on average"
    return Values(array(mean), ESTIMATE, why)


def integrated(work: Work) -> Values:
    values, off = gradients.integrated_gradients(work.score, work.x, work.baseline)
    total = float(values.sum())
    why = f"the values sum to {total:.4g}, off by {off:.1g} from what the score gains on {work.called}"
    return Values(array(values), ESTIMATE, why)


def guided(work: Work) -> Values:
    return Values(
        array(gradients.guided_backprop(work.score, work.x)),
        EXACT,
        "by its own rule for ReLUs, up to rounding",
    )


def deconvolved(work: Work) -> Values:
    return Values(
        array(gradients.deconvnet(work.score, work.x)), EXACT, "by its own rule for ReLUs, up to rounding"
    )


def grad_cam(work: Work) -> Values:
    return _layer_map(work, cam.grad_cam)


def grad_cam_plus(work: Work) -> Values:
    return _layer_map(work, cam.grad_cam_plus)


def _layer_map(work: Work, weigh: Callable[[Tensor, Tensor], Tensor]) -> Values:
    """The map of each view at the size of the image, moved and mirrored back, and their mean."""
    place = work.place
    assert place is not None
    network = work.engine.network
    if isinstance(work.score, TiledScore):
        pairs = [work.score.activations_and_gradients(network, place, work.x)]
    else:
        pairs = cam.activations_and_gradients(work.score, work.x, network, place.name)
    size = tuple(work.x.shape[2:])
    views = getattr(work.engine, "views", [(False, 0)])
    maps = []
    for k, (activations, slopes) in enumerate(pairs):
        flipped, pixels = views[k % len(views)] if len(pairs) % len(views) == 0 else (False, 0)
        values = len(views) * array(weigh(activations, slopes))
        maps.append(_back(values, place, work.engine, size, flipped, pixels))
    grid = " x ".join(map(str, place.grid))
    step = (
        ""
        if place.step is None
        else f", {place.step * size[-1] / input_side(work.engine, size)[-1]:.3g} samples apart"
    )
    why = f"computed on the {grid} places of layer {place.name}{step}, and linear between them"
    return Values(np.mean(maps, 0), BOUNDED, why)


def input_side(engine: Any, size: tuple[int, ...]) -> tuple[int, ...]:
    """The size at which the network gets an image of the preprocessing's size."""
    return size if engine.of_positions else (engine.side,) * len(size)


def _back(
    values: NDArray[Any], place: Place, engine: Any, size: tuple[int, ...], flipped: bool, pixels: int
) -> NDArray[Any]:
    """A layer's map (*S') of a view -> (*S) of the image"""
    side = input_side(engine, size)
    centres = place.centres()
    if centres is not None:  # from samples of the network's input to those of the image
        centres = [(c + 0.5) * n / m - 0.5 for c, n, m in zip(centres, size, side, strict=True)]
        if any(len(c) != n for c, n in zip(centres, values.shape, strict=True)):
            centres = None
    result = cam.spread_over(values, centres, size)
    result = np.flip(result, -1) if flipped else result
    return np.roll(result, -pixels, tuple(range(result.ndim))) if pixels else result


def covered(work: Work) -> Values:
    size = tuple(work.x.shape[2:])
    patch = work.patch or occlusion.default_patch(size)
    stride = max(1, patch // 2)
    values = occlusion.occlusion(
        work.score, work.x, work.baseline, patch, stride, work.progress, incremental=work.incremental
    )
    why = f"patches of {patch} samples along each axis, {stride} apart, covered with {work.called}: places are known to a patch"
    return Values(array(values), BOUNDED if patch > 1 else EXACT, why)


def random_masks(work: Work) -> Values:
    values, error = occlusion.rise(work.score, work.x, work.baseline, seed=work.seed, progress=work.progress)
    typical = float(error.mean()) / max(float(values.abs().max()), 1e-12)
    why = f"{occlusion.MASKS:,} random masks; the standard error of a value is {typical:.0%} of the largest, on average"
    return Values(array(values), ESTIMATE, why)


METHODS = {
    method.name: method
    for method in (
        Method(
            "grad-cam",
            "Grad-CAM (Selvaraju et al. 2016)",
            "how much the channels of a layer that raise the score are active at a place; negative where they lower it",
            grad_cam,
            layered=True,
        ),
        Method(
            "grad-cam++",
            "Grad-CAM++ (Chattopadhay et al. 2017)",
            "as Grad-CAM, with weights that give small objects as much as large ones",
            grad_cam_plus,
            layered=True,
        ),
        Method(
            "gradient",
            "gradient (Simonyan et al. 2013)",
            "how much the score changes if a place becomes brighter by a little, in all channels",
            plain,
        ),
        Method(
            "smoothgrad",
            "SmoothGrad (Smilkov et al. 2017)",
            "the gradient, mean over images with noise",
            smooth,
        ),
        Method(
            "integrated-gradients",
            "integrated gradients (Sundararajan et al. 2017)",
            "a place's share of what the score gains from the baseline to the image; the shares sum to it",
            integrated,
        ),
        Method(
            "guided-backprop",
            "guided backprop (Springenberg et al. 2014)",
            "the gradient without what lowers activations; mostly edges, whatever the class",
            guided,
            adds_up=False,
        ),
        Method(
            "deconvnet",
            "deconvnet (Zeiler and Fergus 2013)",
            "what in the image would excite the score, read backwards through the ReLUs",
            deconvolved,
            adds_up=False,
        ),
        Method(
            "occlusion",
            "occlusion (Zeiler and Fergus 2013)",
            "by how much the score falls if the place is covered",
            covered,
            gradients=False,
        ),
        Method(
            "rise",
            "RISE (Petsiuk et al. 2018), centred",
            "by how much the score is higher if the place is seen, among random masks",
            random_masks,
            gradients=False,
        ),
    )
}
WITHOUT_GRADIENTS = [name for name, method in METHODS.items() if not method.gradients]


def method_of(name: str) -> Method:
    """The method of a name. Raises UserError for one that does not exist, and offers the nearest."""
    if name not in METHODS:
        raise UserError(f"method is {name!r}; {nearest(name, list(METHODS))}")
    return METHODS[name]


def baseline_of(x: Tensor, name: str, mean: Any, std: Any) -> tuple[Tensor, str]:
    """What stands for "nothing there", (1, C, *S), and what it is called.

    mean    the mean of the training images; black   zero in the file's values; blur   the image without its detail
    """
    if name == "mean":
        return torch.zeros_like(x), "the mean of the training images"
    if name == "black":
        zero = x.new_tensor([-m / s for m, s in zip(mean, std, strict=True)])
        return zero.view(1, -1, *[1] * (x.dim() - 2)).expand_as(x).clone(), "black"
    if name == "blur":
        return blurred(x), "the blurred image"
    raise UserError(f"baseline is {name!r}; {nearest(name, ['mean', 'black', 'blur'])}")


def blurred(x: Tensor) -> Tensor:
    """The image (1, C, *S) without detail: a Gaussian of a tenth of its longest axis"""
    from scipy.ndimage import gaussian_filter

    sigma = max(x.shape[2:]) / 10
    values = np.stack([gaussian_filter(c, sigma, mode="nearest") for c in array(x[0])])
    return torch.from_numpy(values)[None].to(x)
