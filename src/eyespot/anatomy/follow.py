"""Apply the rules of rules.py to every PyTorch function that a network calls, whatever the network is built of."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from eyespot.anatomy.axes import LOST, Axis, Seen, Unknown, has_positions, joined
from eyespot.anatomy.field import INPUT
from eyespot.anatomy.rules import POINTWISE, RULES, USES_WHOLE_IMAGE


class Follower(TorchFunctionMode):
    """Within it, every tensor made from `image` (B, C, *S) is known with its receptive field.

    last   the field of the last tensor that still has positions
    unit   that tensor itself, if `keep`
    notes  what could not be followed, and what was taken as constant
    """

    def __init__(self, image: Tensor, keep: bool = False):
        super().__init__()
        self.seen = WeakTensorKeyDictionary()
        self.notes: dict[str, None] = {}
        self.keep = keep
        self.unit = image
        self.where = ""
        self.last: Seen = tuple(Axis(d, INPUT) for d in range(2, image.dim()))
        self.seen[image] = self.last

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        known = [(t, self.seen[t]) for t in tensors([args, kwargs]) if t in self.seen]
        before = [t.shape for t, _ in known]
        out = func(*args, **kwargs)
        made = list(tensors(out))
        if known and made:
            seen = self._rule(str(getattr(func, "__name__", func)), args, kwargs, known, before, made[0])
            for tensor in made:
                self._note(tensor, seen)
        return out

    def _rule(self, name: str, args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
        if any(not seen for _, seen in known):
            return LOST
        if all(a.dim is None for _, seen in known for a in seen):
            return tuple(
                Axis(None, None) for _ in known[0][1]
            )  # no positions left: whatever is done, all is seen
        name = name.strip("_")
        plain = name[:-2] if name[-2:] in ("1d", "2d", "3d") else name
        try:
            if plain in USES_WHOLE_IMAGE and USES_WHOLE_IMAGE[plain](args, kwargs, known):
                self.notes[
                    f"the statistics of {name} are taken as constants; they depend on all the image"
                ] = None
            if plain in POINTWISE or plain in USES_WHOLE_IMAGE:
                return joined(known, before, out)
            if plain not in RULES:
                raise Unknown
            return RULES[plain](args, kwargs, known, before, out)
        except Unknown:
            place = f" in {self.where}" if self.where else ""
            self.notes[f"the receptive field is not followed through {name}{place}"] = None
            return LOST

    def _note(self, tensor: Tensor, seen: Seen) -> None:
        self.seen[tensor] = seen
        if has_positions(seen):  # LOST counts: an unknown field must not be skipped
            self.last = seen
            self.unit = tensor if self.keep and seen else self.unit


def tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for v in value:
            yield from tensors(v)
