"""What every network must do, whatever its name and rank: one list of checks, each a function of a way to make it.

`make(**changes)` builds the network under test; `dim` is its rank. A check raises AssertionError.
"""

import copy
import io
import warnings

import torch
from torch import Tensor, nn
from torch.export import Dim, export

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def images(model: nn.Module, batch: int = 2, more: int = 0, first: int = 1) -> Tensor:
    """(batch, channels, *S): each axis longer than the last by the total stride, so that no grid ends as one sample."""
    dim, stride = model.kit.dim, model.total_stride
    first = max(first, 3 - dim)
    size = [
        max(model.smallest, model.max_collapsing_size + 1, (first + axis) * stride) + more
        for axis in range(dim)
    ]
    return torch.randn(batch, model.channels, *size, generator=torch.Generator().manual_seed(batch + more))


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    assert a.shape == b.shape, f"{tuple(a.shape)} and {tuple(b.shape)}"
    error = ((a - b).abs().max() / b.abs().max()).item()
    assert error <= tolerance, f"differs by {error:.1e} of the largest value"


def dense(model: nn.Module, x: Tensor) -> bool:
    """Whether the logits have the image's axes."""
    with torch.no_grad():
        return model.eval()(x).dim() == x.dim()


@check
def gives_logits_for_odd_sizes(make, dim):
    model = make(classes=5).eval()
    x = images(model, more=3)
    y = model(x)
    assert y.isfinite().all()
    assert y.shape[:2] == (2, 5)
    assert y.shape[2:] in (x.shape[2:], ()) or model.multiple == 1


@check
def takes_one_channel_and_a_batch_of_one(make, dim):
    model = make(channels=1, classes=2)
    x = images(model, batch=1)
    assert x.shape[1] == 1
    assert model.train()(x).shape[:2] == (1, 2)
    assert model.eval()(x).shape[:2] == (1, 2)


@check
def answers_each_image_alone(make, dim):
    model = make().eval()
    x = images(model, batch=3)
    close(model(x)[1:2], model(x[1:2]))


@check
def leaves_its_input_and_its_mode_alone(make, dim):
    model = make()
    x = images(model)
    before = x.clone()
    for mode in (True, False):
        model.train(mode)(x)
        assert torch.equal(x, before)
        assert all(m.training == mode for m in model.modules())


@check
def has_finite_gradients_everywhere(make, dim):
    model = make().train()
    x = images(model).requires_grad_()
    model(x).square().mean().backward()
    for name, parameter in [("the image", x), *model.named_parameters()]:
        assert parameter.grad is not None, f"{name} has no gradient"
        assert parameter.grad.isfinite().all(), f"the gradient of {name} is not finite"
    assert x.grad.any()


@check
def survives_saving_and_loading(make, dim):
    first, second = make(), make()
    x = images(first)
    with torch.no_grad():
        first.train()(x)  # running statistics that differ from those of a new network
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(first.eval()(x), second.eval()(x))
    assert torch.equal(first(x), copy.deepcopy(first)(x))


@check
def exports_with_free_batch_and_size(make, dim):
    model = make().eval()
    x = images(model, first=2)  # torch.export takes a grid of one sample for a constant
    step = model.total_stride if dense(model, x) else 1
    low, rest = divmod(max(model.smallest, model.max_collapsing_size + 1, 2 * model.total_stride), step)
    size = {axis: step * Dim(f"s{axis}", min=low, max=4096) for axis in range(2, dim + 2)}
    free = {axis: n + rest for axis, n in size.items()} if rest else size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, while it traces
        exported = export(model, (x,), dynamic_shapes=({0: Dim("batch"), **free},)).module()
    other = images(model, batch=3, more=step if step > 1 else 5, first=2)
    with torch.no_grad():
        close(exported(other), model(other))
