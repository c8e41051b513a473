"""The optimisers: Muon for the filters of convolutions, AdamW for other weights and for fine-tuning; and the EMA of weights."""

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
"""The peak learning rate of AdamW for the weights that Muon does not train."""
USUAL_BATCH = 512
"""The batch size of the peak learning rates; see `by_batch` for others."""
ALL_ADAM_RATE = 0.003
"""The peak learning rate of AdamW if it trains all weights."""
ALL_ADAM_DECAY = 0.01
"""The weight decay of AdamW if it trains all weights."""
HEAD_RATE = 0.05
"""The peak learning rate of the head in fine-tuning."""
BODY_RATE = 0.02
"""The peak learning rate of the last layers before the head in fine-tuning."""
LEVELS = 6
"""Groups by depth of the layers before the head; each has a learning rate of its own."""
FALL = 0.7
"""The learning rate of a group over that of the next deeper one."""


class Direct(torch.optim.Optimizer):
    """An optimiser with torch's plain methods: the first call of the wrapped ones imports the compiler, which takes seconds."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)


class AdamW(Direct, torch.optim.AdamW):
    """AdamW of torch."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class Muon(Direct):
    """Momentum with orthogonalised updates (Jordan et al. 2024), where each filter tensor keeps its initial norm.

    torch.optim.Muon takes matrices only. If a normalisation follows a convolution, the scale of its filters has no effect.
    So their norm is fixed, and `lr` is the relative change per step.
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
        averages = [self.state[p]["momentum"] for p in filters]
        norms = [self.state[p]["norm"] for p in filters]
        torch._foreach_mul_(averages, momentum)
        torch._foreach_add_(averages, grads)
        ahead = torch._foreach_add(grads, averages, alpha=momentum)
        # Channels last, as the filters lie in memory, need no copy; the order of columns makes no difference.
        flat = [g.movedim(1, -1) for g in ahead]
        updates = orthogonal([g.flatten(1) for g in flat])
        torch._foreach_mul_(filters, torch._foreach_div(norms, torch._foreach_norm(filters)))
        sizes = torch._foreach_norm(updates)
        torch._foreach_clamp_min_(sizes, 1e-12)
        for p, g, update, norm, size in zip(filters, flat, updates, norms, sizes, strict=True):
            p.addcmul_(update.view(g.shape).movedim(-1, 1), lr * norm / size, value=-1)


def orthogonal(matrices: Sequence[Tensor], steps: int = 3) -> list[Tensor]:
    """Approximate the nearest (semi-)orthogonal matrix of each (m, n) matrix by Newton-Schulz iterations.

    Each step multiplies x by a polynomial in x x'. The steps are computed for this square matrix, which is usually the
    smaller one, in a batch for all of one size, and x is multiplied once at the end: this takes a third of the time.
    """
    orthogonal: dict[int, Tensor] = {}
    for side in {min(m.shape) for m in matrices}:
        chosen = [i for i, m in enumerate(matrices) if min(m.shape) == side]
        orthogonal |= zip(chosen, _orthogonal([matrices[i] for i in chosen], steps), strict=True)
    return [orthogonal[i] for i in range(len(matrices))]


def _orthogonal(matrices: list[Tensor], steps: int) -> list[Tensor]:
    """`orthogonal` for matrices whose smaller sides are equal"""
    a = 3.4445
    b = -4.7750
    c = 2.0315
    dtype = torch.bfloat16 if multiplies_bfloat16(matrices[0].device.type) else torch.float32
    wide = [(m if m.shape[0] <= m.shape[1] else m.T).to(dtype) for m in matrices]
    wide = torch._foreach_div(wide, torch._foreach_add(torch._foreach_norm(wide), 1e-7))
    gram = torch.stack([x @ x.T for x in wide]).float()
    product = None
    for step in range(steps):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else factor @ product
        gram = factor @ gram @ factor if step < steps - 1 else gram
    assert product is not None
    results = [p @ x for p, x in zip(product.to(dtype), wide, strict=True)]
    return [
        (x if m.shape[0] <= m.shape[1] else x.T).to(m.dtype) for x, m in zip(results, matrices, strict=True)
    ]


def new_optimisers(network: nn.Module, task: TrainingTask) -> Sequence[torch.optim.Optimizer]:
    """The optimisers for a network, by the settings of its task."""
    config = task.config
    assert config.batch
    rates = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.fine_tune:
        return finetune_optimisers(network, config.batch, **rates)
    return optimisers(network, config.batch, muon_rate(task), **rates)


def muon_rate(task: TrainingTask) -> float:
    """The peak learning rate of Muon for batches up to USUAL_BATCH; 0 if the recipe does not use Muon."""
    return task.muon if MUON in parse_recipe(task.config.recipe or "") else 0.0


def by_batch(batch: int, muon: float) -> float:
    """The factor of the peak learning rates for a batch size.

    The rate of AdamW is proportional to the square root of the batch size, like the noise of its steps. A step of Muon
    changes the filters by a fixed share. Smaller steps for small batches gave worse networks in short and in long runs
    (docs/results.md), so its factor is at least 1.
    """
    root = (batch / USUAL_BATCH) ** 0.5
    return max(1.0, root) if muon else root


def usual_lr(task: TrainingTask) -> tuple[float, str]:
    """The default peak learning rate for the batch size of a task, and the reason."""
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
    """The default weight decay of AdamW, and the reason."""
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
    """Muon for the filters of convolutions and AdamW for other weights, or AdamW for all of them.

    muon   the peak learning rate of Muon for batches up to USUAL_BATCH; 0 for AdamW alone
    lr     the peak learning rate of Muon, or of AdamW if it trains all; by default it depends on the batch size
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
    """AdamW for fine-tuning: the head is trained first, then all layers, with lower learning rates for earlier ones.

    lr   the peak learning rate of the head; by default it depends on the batch size
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


def on_gpu(optimisers: Sequence[torch.optim.Optimizer], device: str) -> None:
    """Keep learning rates in the memory of the GPU, as CUDA graphs need, and use the fused kernel of AdamW."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
            group["lr"] = torch.tensor(group["lr"], device=device)
            if isinstance(optimiser, AdamW):
                group["fused"] = group["capturable"] = True


def set_rates(optimisers: Sequence[torch.optim.Optimizer], fraction: float, factor: float = 1.0) -> None:
    """Set the learning rate of each group for this fraction of the run: its peak times the schedule times `factor`.

    The parameters of a group are frozen until its start.
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
    """Exponential moving average of the weights over about the last 5% of the steps; a copy of the weights if not `on`.

    `network` is a copy in evaluation mode that has the averages.
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
        """Update the averages with the weights after a step."""
        self.steps += 1
        share = 1 / (1 + 0.05 * self.steps) if self.on else 1.0
        torch._foreach_lerp_(self._averaged, self._current, share)
