"""The optimisers: Muon for the filters of convolutions, AdamW for the rest and for fine-tuning; average weights."""

import copy
import inspect
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eyespot.devices import multiplies_bfloat16
from eyespot.recipe import MUON, parse_recipe
from eyespot.tasks.training import TrainingTask
from eyespot.training.schedule import HEAD_ALONE, rate
from eyespot.weights.adapt import ends, within

ADAM_RATE = 0.02
"""The peak rate of AdamW beside Muon."""
ALL_ADAM_RATE = 0.003
USUAL_BATCH = 512
"""The same where AdamW trains the filters too, at the usual batch; by the root of the batch."""
ALL_ADAM_DECAY = 0.01
"""Its weight decay there."""
HEAD_RATE = 0.05
BODY_RATE = 0.02
"""The same for fine-tuning, of the head and of the layers before it."""
LEVELS = 6
FALL = 0.7
"""By depth, the layers before the head make so many levels; the rate of each is this share of the next one's."""


class Direct(torch.optim.Optimizer):
    """torch's methods without the guards around them, whose first call imports torch's compiler: seconds, for nothing."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)


class AdamW(Direct, torch.optim.AdamW):
    """torch's AdamW."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class Muon(Direct):
    """Momentum whose update is made orthogonal (Jordan et al. 2024), with every filter bank kept at its first norm.

    torch.optim.Muon takes matrices only. A norm behind the convolution makes the filters' scale meaningless, so it is
    fixed, and `lr` is the relative change per step.
    """

    def __init__(self, filters: Sequence[Tensor], lr: float, momentum: float = 0.6):
        super().__init__(filters, {"lr": lr, "momentum": momentum})
        for p in filters:
            self.state[p] = {"momentum": torch.zeros_like(p), "norm": p.detach().norm()}

    @torch.no_grad()
    def step(self, closure=None):  # type: ignore[override]
        for group in self.param_groups:
            learned = [p for p in group["params"] if p.grad is not None]
            if learned:
                self._update(learned, [p.grad for p in learned], group["lr"], group["momentum"])  # type: ignore[misc]

    def _update(
        self, filters: list[Tensor], grads: list[Tensor], lr: float | Tensor, momentum: float
    ) -> None:
        moving = [self.state[p]["momentum"] for p in filters]
        norms = [self.state[p]["norm"] for p in filters]
        torch._foreach_mul_(moving, momentum)
        torch._foreach_add_(moving, grads)
        ahead = torch._foreach_add(grads, moving, alpha=momentum)
        # Channels last, as the filters lie in memory: no copy, and the order of columns makes no difference.
        flat = [g.movedim(1, -1) for g in ahead]
        updates = orthogonal([g.flatten(1) for g in flat])
        torch._foreach_mul_(filters, torch._foreach_div(norms, torch._foreach_norm(filters)))
        sizes = torch._foreach_norm(updates)
        torch._foreach_clamp_min_(sizes, 1e-12)
        for p, g, update, norm, size in zip(filters, flat, updates, norms, sizes, strict=True):
            p.addcmul_(update.view(g.shape).movedim(-1, 1), lr * norm / size, value=-1)


def orthogonal(matrices: Sequence[Tensor], steps: int = 3) -> list[Tensor]:
    """Of each the nearest (semi-)orthogonal matrix, roughly, by Newton-Schulz iterations: (m, n) -> (m, n)

    Each step multiplies x by a polynomial in x x'. The steps are taken on that smaller square alone, on those of one
    size at once, and x is multiplied once: a third of the work, as most filters have many more weights than there are
    filters.
    """
    orthogonal: dict[int, Tensor] = {}
    for side in {min(m.shape) for m in matrices}:
        chosen = [i for i, m in enumerate(matrices) if min(m.shape) == side]
        orthogonal |= zip(chosen, _orthogonal([matrices[i] for i in chosen], steps), strict=True)
    return [orthogonal[i] for i in range(len(matrices))]


def _orthogonal(matrices: list[Tensor], steps: int) -> list[Tensor]:
    """Of matrices whose smaller sides are equal"""
    a = 3.4445
    b = -4.7750
    c = 2.0315
    quick = torch.bfloat16 if multiplies_bfloat16(matrices[0].device.type) else torch.float32
    wide = [(m if m.shape[0] <= m.shape[1] else m.T).to(quick) for m in matrices]
    wide = torch._foreach_div(wide, torch._foreach_add(torch._foreach_norm(wide), 1e-7))
    gram = torch.stack([x @ x.T for x in wide]).float()
    whole = None
    for step in range(steps):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        whole = factor if whole is None else factor @ whole
        gram = factor @ gram @ factor if step < steps - 1 else gram
    assert whole is not None
    turned = [w @ x for w, x in zip(whole.to(quick), wide, strict=True)]
    return [
        (x if m.shape[0] <= m.shape[1] else x.T).to(m.dtype) for x, m in zip(turned, matrices, strict=True)
    ]


def new_optimisers(network: nn.Module, task: TrainingTask) -> Sequence[torch.optim.Optimizer]:
    """Those of a task's settings, for its network."""
    config = task.config
    assert config.batch
    rates = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.fine_tune:
        return finetune_optimisers(network, config.batch, **rates)
    return optimisers(network, config.batch, muon_rate(task), **rates)


def muon_rate(task: TrainingTask) -> float:
    """The rate of Muon for batches up to the usual one; 0 where the recipe does without it."""
    return task.muon if MUON in parse_recipe(task.config.recipe or "") else 0.0


def by_batch(batch: int, muon: float) -> float:
    """What the peak rates are multiplied with for a batch.

    AdamW's goes with the root of the batch, as the noise of its steps does. A step of Muon changes the filters by a fixed
    share, and a smaller one in small batches leaves short runs unfinished and trains worse in long ones: measured in
    docs/results.md.
    """
    root = (batch / USUAL_BATCH) ** 0.5
    return max(1.0, root) if muon else root


def usual_lr(task: TrainingTask) -> tuple[float, str]:
    """The peak learning rate for the batch of a task, and what it is of."""
    batch = task.config.batch or USUAL_BATCH
    muon = muon_rate(task)
    scale = by_batch(batch, muon)
    scaling = f"by the root of the batch, {batch}"
    if task.config.fine_tune:
        peak = HEAD_RATE
        of = f"of the head; layers before it have at most {BODY_RATE / HEAD_RATE:.0%} of it"
    elif muon:
        peak = muon
        of = f"of Muon, for filters; AdamW has {ADAM_RATE / muon:.0%} of it for the rest"
        scaling = scaling if batch > USUAL_BATCH else f"the same for batches up to {USUAL_BATCH}"
    else:
        peak = ALL_ADAM_RATE
        of = "of AdamW"
    return float(f"{peak * scale:.4g}"), f"{of}; {scaling}"


def usual_weight_decay(task: TrainingTask) -> tuple[float, str]:
    """The weight decay of AdamW, and why."""
    if task.config.fine_tune:
        return 0.0, "none in fine-tuning"
    if muon_rate(task):
        return 0.0, "filters keep their norm (Muon), and the rest is small"
    return ALL_ADAM_DECAY, "usual for AdamW"


def optimisers(
    network: nn.Module,
    batch: int,
    muon: float = 0.15,
    *,
    lr: float | None = None,
    weight_decay: float | None = None,
) -> Sequence[torch.optim.Optimizer]:
    """Muon, at this rate, for what has a kernel, AdamW for matrices, norms and biases; for all, where the rate is 0.

    lr   the peak rate of Muon, or of AdamW where it trains all; by the batch if not given
    """
    learned = [p for p in network.parameters() if p.requires_grad]
    scale = by_batch(batch, muon)
    if not muon:
        decay = ALL_ADAM_DECAY if weight_decay is None else weight_decay
        return [AdamW(learned, lr or ALL_ADAM_RATE * scale, betas=(0.9, 0.95), weight_decay=decay)]
    filters = [p for p in learned if p.dim() > 2]
    rest = [p for p in learned if p.dim() <= 2]
    factor = lr / muon if lr else scale
    adam = AdamW(rest, ADAM_RATE * factor, betas=(0.9, 0.95), weight_decay=weight_decay or 0.0)
    return [Muon(filters, muon * factor), adam] if filters else [adam]


def finetune_optimisers(
    network: nn.Module, batch: int, *, lr: float | None = None, weight_decay: float | None = None
) -> Sequence[torch.optim.Optimizer]:
    """AdamW for weights that know something already: the head alone at first, then all, the early layers least.

    lr   the peak rate of the head; by the batch if not given
    """
    head = ends(network)[1]
    scale = lr / HEAD_RATE if lr else by_batch(batch, 0.0)
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    body = [p for name, p in named if not within(head, name)]
    groups: list[dict] = [{"params": [p for name, p in named if within(head, name)], "lr": HEAD_RATE * scale}]
    for level in range(LEVELS):
        layers = body[len(body) * level // LEVELS : len(body) * (level + 1) // LEVELS]
        peak = BODY_RATE * scale * FALL ** (LEVELS - 1 - level)
        groups.append({"params": layers, "lr": peak, "start": HEAD_ALONE})
    return [AdamW(groups, betas=(0.9, 0.95), weight_decay=weight_decay or 0.0)]


def on_gpu(steppers: Sequence[torch.optim.Optimizer], device: str) -> None:
    """Keep the rates and counts in the GPU's memory, where a recorded step finds them, and AdamW in one kernel."""
    for stepper in steppers:
        for group in stepper.param_groups:
            group["peak"] = group["lr"]
            group["lr"] = torch.tensor(group["lr"], device=device)
            if isinstance(stepper, AdamW):
                group["fused"] = group["capturable"] = True


def set_rates(optimisers: Sequence[torch.optim.Optimizer], fraction: float, factor: float = 1.0) -> None:
    """Set each group's learning rate for this fraction of the run: its peak times the schedule times `factor`.

    Before a group's start its parameters are frozen.
    """
    for group in (group for optimiser in optimisers for group in optimiser.param_groups):
        peak = group.setdefault("peak", group["lr"])
        start = group.get("start", 0.0)
        now = factor * peak * rate(max(0.0, fraction - start) / (1 - start))
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(now)
        else:
            group["lr"] = now
        for p in group["params"]:
            p.requires_grad_(fraction >= start)


class EMA:
    """An exponential moving average of the weights over about the last twentieth of the steps; or the weights themselves.

    `network` is a copy in evaluation mode that holds the average.
    """

    def __init__(self, network: nn.Module, on: bool = True):
        self.on = on
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.steps = 0
        averaged = self.network.state_dict()
        current = network.state_dict()
        floats = [name for name in averaged if averaged[name].is_floating_point()]
        self._averaged = [averaged[name] for name in floats]
        self._current = [current[name] for name in floats]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after one more step."""
        self.steps += 1
        share = 1 / (1 + 0.05 * self.steps) if self.on else 1.0
        torch._foreach_lerp_(self._averaged, self._current, share)
