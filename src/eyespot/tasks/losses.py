"""Losses of logits (B, K, *S) against labels (B, *S) int64, where void is ignored; a sum of them is named "ce+dice".

Those for multi-label masks take labels (B, K, *S): 1 where the class is, 0 where it is not, or void. Pixels may have
weights (B, *S), for the losses that are means over pixels. Without a labelled pixel a loss is 0.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from eyespot.errors import UserError, nearest
from eyespot.labels import VOID

Loss = Callable[..., Tensor]
"""(logits, labels, weights or None) -> a number"""


def pixel_weights(labels: Tensor, classes: Tensor | None = None, border: Tensor | None = None) -> Tensor:
    """(B, *S) each pixel's class weight out of (K,), or 1, plus U-Net's border weight (`labels.border_weights`)"""
    weights = torch.ones(labels.shape, device=labels.device) if classes is None else classes[_index(labels)]
    return weights if border is None else weights + border


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """The weighted mean of -log p of the true class"""
    return _mean(-_log_share(logits, labels), labels, weights)


def focal(logits: Tensor, labels: Tensor, weights: Tensor | None = None, gamma: float = 2.0) -> Tensor:
    """Cross-entropy times (1 - p)^gamma: what is right already counts little (Lin et al. 2017)"""
    log_p = _log_share(logits, labels)
    return _mean(-(-torch.expm1(log_p)).pow(gamma) * log_p, labels, weights)


def dice(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """1 - soft Dice of each class over the batch, averaged over those that occur (Milletari et al. 2016); no weights"""
    return tversky(logits, labels, false_positives=0.5, false_negatives=0.5)


def tversky(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    false_positives: float = 0.3,
    false_negatives: float = 0.7,
) -> Tensor:
    """Like Dice, but missed pixels cost more than false ones (Salehi et al. 2017)"""
    valid = (labels != VOID).float()
    index = _index(labels)
    p = _floats(logits).softmax(1) * valid[:, None]
    hits = _by_class(p.gather(1, index[:, None]), index, p.shape[1])
    there = _by_class(valid, index, p.shape[1])
    said = p.transpose(0, 1).flatten(1).sum(1)
    occurs = there > 0
    union = hits + false_positives * (said - hits) + false_negatives * (there - hits)
    missing = 1 - hits / torch.where(occurs, union, 1)
    return (missing * occurs).sum() / occurs.sum().clamp_min(1)


LOSSES: dict[str, Loss] = {
    "ce": cross_entropy,
    "border": cross_entropy,
    "dice": dice,
    "focal": focal,
    "tversky": tversky,
}
"""border: cross-entropy to which the border weights are given"""


def binary_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean of -log p of what is true, over pixels and classes, each class on its own; no weights"""
    targets = (labels == 1).to(_floats(logits).dtype)
    losses = functional.binary_cross_entropy_with_logits(_floats(logits), targets, reduction="none")
    return _mean(losses, labels, None)


def binary_dice(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """1 - soft Dice of each class on its own over the batch, averaged over those that occur; no weights"""
    p = _floats(logits).sigmoid() * (labels != VOID)
    true = (labels == 1).to(p.dtype)
    hits, there, said = ((t.transpose(0, 1).flatten(1)).sum(1) for t in (p * true, true, p))
    occurs = there > 0
    missing = 1 - 2 * hits / torch.where(occurs, there + said, 1)
    return (missing * occurs).sum() / occurs.sum().clamp_min(1)


MULTILABEL: dict[str, Loss] = {"bce": binary_cross_entropy, "dice": binary_dice}


def unpack(labels: Tensor, classes: int) -> Tensor:
    """Bit fields (B, *S), or void -> (B, classes, *S) of 0, 1 and void"""
    shifts = torch.arange(classes, device=labels.device).view(1, -1, *[1] * (labels.dim() - 1))
    return torch.where(labels[:, None] == VOID, VOID, labels[:, None] >> shifts & 1)


def parse_loss(text: str, multilabel: bool = False) -> tuple[Loss, bool]:
    """The sum of losses that a string names, e.g. "ce+dice"; and whether it wants border weights."""
    known, others = (MULTILABEL, LOSSES) if multilabel else (LOSSES, MULTILABEL)
    names = [name.strip() for name in text.split("+")]
    for name in names:
        if name not in known and name in others:
            kinds = ("multi-label masks", "masks of one class per pixel")
            this, other = kinds if multilabel else kinds[::-1]
            raise UserError(
                f"loss {text!r} has {name!r}, which is for {other}; {this} take {', '.join(known)} or a sum"
            )
        if name not in known:
            raise UserError(f"loss {text!r} has {name!r}; {nearest(name, list(known))}")

    def total(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        return torch.stack([known[name](logits, labels, weights) for name in names]).sum()

    return total, "border" in names


def _floats(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _index(labels: Tensor) -> Tensor:
    """Labels with void as class 0"""
    return torch.where(labels == VOID, 0, labels)


def _log_share(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, *S) log p of the true class, 0 at void"""
    return -functional.cross_entropy(_floats(logits), labels, ignore_index=VOID, reduction="none")


def _mean(losses: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    weights = (labels != VOID) * (1.0 if weights is None else weights)
    total = weights.sum()
    return (losses * weights).sum() / torch.where(total > 0, total, 1)


def _by_class(values: Tensor, index: Tensor, k: int) -> Tensor:
    """(K,) sums"""
    return values.new_zeros(k).index_add(0, index.flatten(), values.flatten())
