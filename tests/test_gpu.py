"""What only a GPU does; skipped where there is none."""

import pytest
import torch
import torch.nn.functional as F

from eyespot.fast import WARM_UP
from eyespot.fast.cuda_graphs import Recorded
from eyespot.kit import MEMORY
from eyespot.models import create
from eyespot.run import train
from eyespot.training.optimise import EMA, on_gpu, optimisers, set_rates

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of NVIDIA's")


def losses_of(record: bool, sizes: list[int]) -> list[float]:
    """The losses of a step for each image size, and the size of the averaged weights"""
    torch.manual_seed(0)
    network = create("resnet20").to("cuda", memory_format=MEMORY[2]).train()  # type: ignore[call-overload]
    steppers, average = optimisers(network, 64), EMA(network)
    on_gpu(steppers, "cuda")

    def learn(x, y):
        loss = F.cross_entropy(network(x), y)
        for optimiser in steppers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in steppers:
            optimiser.step()
        return loss.detach()

    work = Recorded(learn, network.parameters()) if record else learn
    generator, losses = torch.Generator().manual_seed(0), []
    for i, size in enumerate(sizes):
        set_rates(steppers, i / len(sizes))
        x = torch.randn(64, 3, size, size, generator=generator).to("cuda", memory_format=MEMORY[2])  # type: ignore[call-overload]
        losses.append(work(x, torch.arange(64, device="cuda") % 10))
        average.update()
    if record:
        assert work.possible and len(work.recordings) == len(set(sizes))  # type: ignore[union-attr]
    return torch.stack([*losses, sum(p.abs().sum() for p in average.network.parameters())]).tolist()  # type: ignore[arg-type]


def test_recorded_steps_are_the_steps_themselves(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    sizes = [16] * (WARM_UP + 3) + [24] * (WARM_UP + 3) + [16, 24]
    plain, played = losses_of(False, sizes), losses_of(True, sizes)
    assert played == pytest.approx(plain, rel=2e-3)
    assert len(set(plain)) == len(plain)


def test_what_waits_for_the_gpu_is_not_recorded():
    weight = torch.ones(3, device="cuda", requires_grad=True)

    def work(x, y):
        loss = (weight * x).sum() * float(y.sum().item())
        weight.grad = None
        loss.backward()
        with torch.no_grad():
            weight.sub_(weight.grad)  # type: ignore[arg-type]
        return loss.detach()

    recorded, x = Recorded(work, [weight]), torch.ones(3, device="cuda")
    losses = [recorded(x, torch.ones(1, device="cuda")).item() for _ in range(WARM_UP + 3)]
    assert not recorded.possible
    assert losses == [3.0 - 3 * i for i in range(WARM_UP + 3)]


@pytest.mark.parametrize("extra", [{}, {"model": "resnet18_w16", "size": 32}])
def test_train_on_a_gpu(tmp_path, extra):
    run = train("digits", epochs=8, seed=1, device="cuda", out=tmp_path / "run", **extra)
    assert run.evaluation.scores["accuracy"]["value"] > 0.9
    again = run.evaluate()
    assert again.scores["accuracy"]["value"] == run.evaluation.scores["accuracy"]["value"]


def test_masks_and_fine_tuning_on_a_gpu(tmp_path):
    train("cells", epochs=2, device="cuda", out=tmp_path / "cells")
    run = train("digits", epochs=4, device="cuda", out=tmp_path / "first")
    tuned = train(
        "digits", epochs=2, device="cuda", start_from=run.folder, fine_tune=True, out=tmp_path / "tuned"
    )
    assert tuned.evaluation.scores["accuracy"]["value"] > 0.8
