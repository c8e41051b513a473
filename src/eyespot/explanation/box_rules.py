"""For functions of PyTorch, how their output is computed in the boxes that a change reaches; see `changed.RULES`."""

from collections.abc import Callable, Iterator, Sequence
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from eyespot.anatomy.rules import named, repeated
from eyespot.explanation.boxes import Corner, common, crops, memory_format
from eyespot.explanation.changed import POINTWISE_RULE, RULES, Changed, key_of


def pointwise(func: Any, args: Any, kwargs: Any) -> Changed | None:
    """A function of each position; of several batches, in boxes that hold all of theirs."""
    changed = [a for a in args if isinstance(a, Changed)]
    others = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor) and a.numel() > 1]
    if others or any(isinstance(a, Changed) for a in kwargs.values()) or not changed:
        return None
    corners, size = union(changed)
    function = not_in_place(func)
    if size is None or function is None:
        return None
    options = kwargs | {"inplace": False} if "inplace" in kwargs else kwargs

    def call(tensors: Iterator[Tensor]) -> Tensor:
        return function(*[next(tensors) if isinstance(a, Changed) else a for a in args], **options)

    kept = changed[0].kept
    base = kept.value(key_of(func, args, kwargs), lambda: call(iter([c.base for c in changed])))
    return Changed(base, call(iter([c.cut(corners, size) for c in changed])), corners, kept)


def not_in_place(func: Any) -> Any:
    """The function that returns what this one stores in its first argument; None where there is none"""
    name = str(getattr(func, "__name__", func))
    if name.startswith("__i") and name != "__invert__":
        return getattr(Tensor, f"__{name[3:]}", None)
    return getattr(Tensor, name[:-1], None) if name.endswith("_") and not name.endswith("__") else func


def union(changed: Sequence[Changed]) -> tuple[list[Corner], Corner | None]:
    """Boxes around those of several batches of one size; None where their sizes differ."""
    sizes = {tuple(c.base.shape[2:]) for c in changed}
    if len(sizes) > 1:
        return [], None
    first = []
    last = []
    for corners in zip(*[c.corners for c in changed], strict=True):
        axes = range(len(corners[0]))
        first.append(tuple(min(q[k] for q in corners) for k in axes))
        ends = [(q, c.size_of_box) for q, c in zip(corners, changed, strict=True)]
        last.append(tuple(max(q[k] + n[k] for q, n in ends) for k in axes))
    return common(first, last, sizes.pop())


def concatenated(func: Any, args: Any, kwargs: Any) -> Changed | None:
    given = named("tensors dim", args, kwargs)
    tensors = given["tensors"]
    if given.get("dim", 0) != 1 or not all(isinstance(t, Changed) for t in tensors):
        return None
    corners, size = union(tensors)
    if size is None:
        return None
    kept = tensors[0].kept
    base = kept.value(key_of(func, args, kwargs), lambda: torch.cat([t.base for t in tensors], 1))
    return Changed(base, torch.cat([t.cut(corners, size) for t in tensors], 1), corners, kept)


def batch_norm(func: Any, args: Any, kwargs: Any) -> Changed | None:
    given = named("input running_mean running_var weight bias training", args, kwargs)
    if given.get("training"):
        return None
    x = given["input"]
    rest = {"input": None} if "input" in kwargs else {}
    if rest:
        return x.like(key_of(func, args, kwargs), lambda t: func(**{**kwargs, "input": t}))
    return x.like(key_of(func, args, kwargs), lambda t: func(t, *args[1:], **kwargs))


def convolution(func: Any, args: Any, kwargs: Any) -> Changed | None:
    given = named("input weight bias stride padding dilation groups", args, kwargs)
    if not isinstance(given["input"], Changed):
        return None
    kernel = tuple(given["weight"].shape[2:])
    n = len(kernel)
    stride = repeated(given.get("stride", 1), n)
    dilation = repeated(given.get("dilation", 1), n)
    padding = given.get("padding", 0)
    if padding == "same":
        spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if any(span % 2 for span in spans):
            return None
        padding = [span // 2 for span in spans]
    window = Window(kernel, stride, repeated(0 if padding == "valid" else padding, n), dilation)
    groups = given.get("groups", 1)
    weight = given["weight"]
    bias = given.get("bias")
    whole = lambda x: func(x, weight, bias, stride, list(window.padding), dilation, groups)  # noqa: E731
    inner = lambda x: func(x, weight, bias, stride, [0] * n, dilation, groups)  # noqa: E731
    return window.apply(given["input"], key_of(func, args, kwargs), whole, inner, 0.0)


def max_pool(func: Any, args: Any, kwargs: Any) -> Changed | None:
    given = named("input kernel_size stride padding dilation ceil_mode return_indices", args, kwargs)
    x = given["input"]
    if given.get("return_indices") or not x.base.is_floating_point():
        return None
    window = pooling_window(given, x.base.dim() - 2)
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[x.base.dim() - 2]
    kernel = list(window.kernel)
    stride = list(window.stride)
    dilation = list(window.dilation)
    whole = lambda t: pool(t, kernel, stride, list(window.padding), dilation, bool(given.get("ceil_mode")))  # noqa: E731
    inner = lambda t: pool(t, kernel, stride, 0, dilation)  # noqa: E731
    return window.apply(x, key_of(func, args, kwargs), whole, inner, float("-inf"))


def avg_pool(func: Any, args: Any, kwargs: Any) -> Changed | None:
    given = named(
        "input kernel_size stride padding ceil_mode count_include_pad divisor_override", args, kwargs
    )
    x = given["input"]
    window = pooling_window(given, x.base.dim() - 2)
    if (
        given.get("ceil_mode")
        or given.get("divisor_override")
        or (any(window.padding) and not given.get("count_include_pad", True))
    ):
        return None
    kernel = list(window.kernel)
    stride = list(window.stride)
    whole = lambda t: func(t, kernel, stride, list(window.padding))  # noqa: E731
    inner = lambda t: func(t, kernel, stride, [0] * len(kernel))  # noqa: E731
    return window.apply(x, key_of(func, args, kwargs), whole, inner, 0.0)


def pooling_window(given: dict[str, Any], n: int) -> "Window":
    kernel = repeated(given["kernel_size"], n)
    stride = given.get("stride")
    return Window(
        kernel,
        repeated(kernel if stride is None or stride == [] else stride, n),
        repeated(given.get("padding", 0), n),
        repeated(given.get("dilation", 1), n),
    )


class Window:
    """What a convolution or a pooling sees: kernel, stride, padding and dilation along each axis."""

    def __init__(self, kernel: Corner, stride: Corner, padding: Corner, dilation: Corner):
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))

    def apply(
        self,
        x: Changed,
        key: tuple,
        whole: Callable[[Tensor], Tensor],
        inner: Callable[[Tensor], Tensor],
        filling: float,
    ) -> Changed:
        """The boxes of the output.

        whole    the function with its padding
        inner    the same without padding
        filling  what the padding consists of
        """
        base = x.kept.value(key, lambda: whole(x.base))
        if {*self.spans, *self.stride} == {1} and not any(self.padding):
            return Changed(base, inner(x.boxes), x.corners, x.kept)
        corners, size = self._reached(x, tuple(base.shape[2:]))
        needed = tuple((m - 1) * s + span for m, s, span in zip(size, self.stride, self.spans, strict=True))
        padded = x.kept.value(("padded", *key), lambda: self._padded(x.base, tuple(base.shape[2:]), filling))
        at = [tuple(o * s for o, s in zip(corner, self.stride, strict=True)) for corner in corners]
        cut = crops(padded, x.boxes, x.corners, at, needed, self.padding)
        return Changed(base, inner(cut), corners, x.kept)

    def _reached(self, x: Changed, out: Corner) -> tuple[list[Corner], Corner]:
        """The output positions whose windows touch a box"""
        starts = []
        ends = []
        axes = list(zip(self.stride, self.padding, self.spans, x.size_of_box, out, strict=True))
        for corner in x.corners:
            first = [ceil((a + p - span + 1) / s) for a, (s, p, span, _, _) in zip(corner, axes, strict=True)]
            last = [(a + n - 1 + p) // s for a, (s, p, _, n, _) in zip(corner, axes, strict=True)]
            starts.append(tuple(max(0, f) for f in first))
            ends.append(tuple(min(m - 1, e) + 1 for e, m in zip(last, out, strict=True)))
        return common(starts, ends, out)

    def _padded(self, base: Tensor, out: Corner, filling: float) -> Tensor:
        """With the padding before each axis, and as much after it as the last window reaches"""
        edges = []
        for n, m, s, p, span in zip(base.shape[2:], out, self.stride, self.padding, self.spans, strict=True):
            edges = [p, max(0, (m - 1) * s + span - n - p), *edges]
        return F.pad(base, edges, value=filling).contiguous(memory_format=memory_format(base))


RULES |= {
    POINTWISE_RULE: pointwise,
    "conv": convolution,
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "batch_norm": batch_norm,
    **dict.fromkeys(("cat", "concat", "concatenate"), concatenated),
}
