"""Which steps are recorded, and when they are waited for, with a GPU that only keeps count; tests/test_gpu.py has the real one."""

import pytest
import torch

from eyespot.fast import cuda_graphs, enabled
from eyespot.fast.cuda_graphs import AHEAD, WARM_UP, Recorded, with_cuda_graph

pytestmark = pytest.mark.skipif(not enabled(), reason="EYESPOT_FAST=0: the fast code is switched off")


class Event:
    def __init__(self):
        self.waited = False
        EVENTS.append(self)

    def record(self):
        pass

    def synchronize(self):
        self.waited = True


EVENTS: list[Event] = []
MADE: list[torch.Size] = []


class Recording:
    """Plays the work again, marked by a loss of 100 more"""

    def __init__(self, work, x, y, pool):
        MADE.append(x.shape)
        if x.shape[0] == 13:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.work = work

    def __call__(self, x, y):
        return self.work(x, y) + 100


@pytest.fixture
def step(monkeypatch):
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(cuda_graphs, "Recording", Recording)
    EVENTS.clear()
    MADE.clear()
    head, body = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    work = Recorded(lambda x, y: x.sum() + (0 if y is None else y[0].sum()), [head, body])
    return work, body


def test_each_shape_is_recorded_after_it_was_seen_a_few_times(step):
    work, body = step
    losses = [work(torch.ones(n), torch.zeros(2)).item() for n in (1, 2) for _ in range(WARM_UP + 2)]
    assert losses == [*[1.0] * WARM_UP, 101.0, 101.0, *[2.0] * WARM_UP, 102.0, 102.0]
    assert work(torch.ones(1), torch.zeros(2)) == 101 and len(MADE) == 2
    work(torch.ones(1), torch.zeros(2, 1)), work(torch.ones(1), (torch.zeros(2), None))
    assert len(work.calls) == 4  # other targets are another kind
    body.requires_grad_(False)  # fine-tuning: the recording would train what is not to be trained
    assert work(torch.ones(1), torch.zeros(2)) == 1


def test_what_cannot_be_recorded_runs_as_it_is(step):
    work, body = step
    body.grad = torch.ones(1)
    assert [work(torch.ones(13), torch.zeros(1)).item() for _ in range(WARM_UP + 3)] == [13.0] * (WARM_UP + 3)
    assert MADE == [torch.Size([13])] and not work.possible


def test_the_clock_is_never_far_ahead_of_the_gpu(step):
    work, _ = step
    for i in range(6):
        work(torch.ones(1), torch.zeros(1))
        assert sum(not e.waited for e in EVENTS) == min(i + 1, AHEAD)


def test_elsewhere_than_on_such_a_gpu_work_is_left_alone(monkeypatch):
    def work(x, y):
        return x + y

    waited: list[int] = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append(1))
    assert with_cuda_graph(work, [], "cpu") is work
    assert with_cuda_graph(work, [], "mps")(torch.ones(1), torch.ones(1)) == 2 and waited == [1]
