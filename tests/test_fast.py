"""The fast code is behind one door, and everything works with the door closed (EYESPOT_FAST=0)."""

import ast
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import eyespot
from eyespot import fast
from eyespot.fast import allocator, compiled, cuda_graphs

ROOT = Path(eyespot.__file__).parent
OUTSIDE = sorted(p for p in ROOT.rglob("*.py") if p.parent.name != "fast")


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda p: str(p.relative_to(ROOT)))
def test_others_use_the_door_only(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("eyespot.fast"):
            assert node.module == "eyespot.fast", f"{path}:{node.lineno} imports {node.module}"
            assert {alias.name for alias in node.names} <= set(fast.__all__)


@pytest.fixture(params=["variable", "context"])
def switched_off(request, monkeypatch):
    if request.param == "variable":
        monkeypatch.setenv("EYESPOT_FAST", "0")
        yield
    else:
        with fast.plain():
            yield


def test_switched_off_everything_takes_the_plain_path(switched_off, monkeypatch):
    monkeypatch.setattr(compiled, "compile_passes", lambda *a, **k: pytest.fail("compiled"))
    monkeypatch.setattr(allocator, "_ask_for_huge_pages", lambda: pytest.fail("set"))
    monkeypatch.setattr(cuda_graphs, "Recorded", lambda *a: pytest.fail("recorded"))
    fast.use_compiled()
    try:
        x = torch.randn(64, 32, 16, 16).contiguous(memory_format=torch.channels_last)
        conv = nn.Conv2d(32, 32, 3, padding=1)
        norm = nn.BatchNorm2d(32)
        with fast.arithmetic("cpu", "winograd"):
            assert type(conv(x).grad_fn).__name__ == "ConvolutionBackward0"
        assert "NormAct" not in str(fast.norm_relu(norm, x).grad_fn)
        assert torch.equal(fast.gelu(x), F.gelu(x))
        assert "Pool" in str(fast.max_pool(nn.MaxPool2d(2), x.requires_grad_()).grad_fn)
        assert not fast.compiled_by(torch.float32) and not fast.keep_freed() and not fast.enabled()
        fast.with_cuda_graph(lambda x, y: x, [], "cuda")
    finally:
        fast.use_compiled(False)


def test_switched_off_training_works(switched_off, tmp_path):
    run = eyespot.train("digits", epochs=0.1, model="tiny", out=tmp_path / "run")
    assert "compiled by" not in (run.folder / "plan.toml").read_text()
