"""For each function of PyTorch, the rule that gives the receptive field of its output.

A rule takes

    args, kwargs   of the call
    known          (tensor, Seen) for each input whose receptive field is known
    before         the shapes of these inputs before the call, which may change them in place
    out            the output

and returns the Seen of the output, or raises Unknown.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from torch import Tensor

from eyespot.anatomy import field
from eyespot.anatomy.axes import Axis, Seen, Unknown, joined, per_axis, with_fields
from eyespot.anatomy.field import ReceptiveFields


def named(names: str, args: tuple, kwargs: dict) -> dict[str, Any]:
    return dict(zip(names.split(), args, strict=False)) | kwargs


def repeated(value: Any, n: int) -> tuple:
    return tuple(value) * (n if len(value) == 1 else 1) if isinstance(value, list | tuple) else (value,) * n


def window_rule(
    parameters: str, kernel_of: Callable[[dict], Any], change: Callable[..., ReceptiveFields]
) -> Callable:
    """The rule of a convolution or pooling: its window, stride, padding and dilation along each axis."""

    def rule(args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
        given = named(parameters, args, kwargs)
        size = repeated(kernel_of(given), out.dim() - 2)
        stride = given.get("stride")
        strides = repeated(size if stride is None or stride == [] else stride, len(size))
        dilation = repeated(given.get("dilation", 1), len(size))
        padding = given.get("padding", 0)
        if padding == "same":
            padding = [d * (s - 1) // 2 for d, s in zip(dilation, size, strict=True)]
        paddings = repeated(0 if padding == "valid" else padding, len(size))

        def along(axis: Axis, dim: int) -> Axis:
            k = dim - out.dim() + len(size)
            if k < 0:
                raise Unknown
            return with_fields(axis, lambda g: change(g, size[k], strides[k], paddings[k], dilation[k]))

        return per_axis(known[0][1], along)

    return rule


def kernel_of_weight(given: dict) -> tuple[int, ...]:
    given.setdefault("stride", 1)
    return tuple(given["weight"].shape[2:])


def adaptive(args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
    def along(axis: Axis, dim: int) -> Axis:
        n = before[0][dim]
        m = out.shape[dim]
        if m == 1:
            return Axis(None, None)
        return with_fields(axis, lambda g: field.after_resizing(g, n, m, field.adaptive_window(n, m)))

    return per_axis(known[0][1], along)


def interpolate(args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
    given = named("input size scale_factor mode align_corners recompute_scale_factor antialias", args, kwargs)
    mode = given.get("mode", "nearest")
    corners = bool(given.get("align_corners"))
    if mode not in ("nearest", "nearest-exact", "linear", "bilinear", "trilinear") or given.get("antialias"):
        raise Unknown

    def along(axis: Axis, dim: int) -> Axis:
        n = before[0][dim]
        m = out.shape[dim]
        scale = given.get("scale_factor")
        if scale is not None and any(s * n != m for s in repeated(scale, 1)):
            raise Unknown  # torch then steps by the factor and not by the ratio of the sizes
        return with_fields(
            axis, lambda g: field.after_resizing(g, n, m, field.resize_window(n, m, mode, corners), corners)
        )

    return per_axis(known[0][1], along)


def pad(args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
    edges = named("input pad mode value", args, kwargs)["pad"]

    def along(axis: Axis, dim: int) -> Axis:
        k = 2 * (out.dim() - 1 - dim)
        return with_fields(axis, lambda g: g.shifted(-edges[k] if k < len(edges) else 0))

    return per_axis(known[0][1], along)


def narrow(args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
    given = named("input dim start length", args, kwargs)
    cut = given["dim"] % out.dim()
    return per_axis(
        known[0][1],
        lambda a, dim: with_fields(a, lambda g: g.shifted(int(given["start"]))) if dim == cut else a,
    )


def index(args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
    """x[...] with slices along the image's axes; an integer on another dimension removes it."""
    items = list(args[1]) if isinstance(args[1], tuple) else [args[1]]
    if any(not (isinstance(i, slice | int) or i is Ellipsis) or isinstance(i, bool) for i in items):
        raise Unknown
    rank = len(before[0])
    ellipsis_at = items.index(Ellipsis) if Ellipsis in items else len(items)
    before_ellipsis = items[:ellipsis_at]
    after_ellipsis = items[ellipsis_at + 1 :]
    items = [
        *before_ellipsis,
        *[slice(None)] * (rank - len(before_ellipsis) - len(after_ellipsis)),
        *after_ellipsis,
    ]

    def along(axis: Axis, dim: int) -> Axis:
        item = items[dim]
        if isinstance(item, int):
            raise Unknown
        start, _, step = item.indices(before[0][dim])
        removed = sum(isinstance(i, int) for i in items[:dim])
        return replace(
            with_fields(axis, lambda g: field.after_conv(g, 1, step, -start, 1)), dim=dim - removed
        )

    return per_axis(known[0][1], along)


def cat(args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
    joined_dim = named("tensors dim", args, kwargs).get("dim", 0) % out.dim()
    if any(a.dim == joined_dim for _, seen in known for a in seen):
        raise Unknown
    return joined(known, before, out)


def split(args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
    split_dim = named("input sizes dim", args, kwargs).get("dim", 0) % out.dim()
    if any(a.dim == split_dim for a in known[0][1]):
        raise Unknown
    return known[0][1]


def reduce(args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
    """A sum, mean, maximum, ... over some dimensions, or over all."""
    given = named("input dim keepdim", args, kwargs)
    dims = given.get("dim")
    if isinstance(dims, Tensor):
        return joined(known, before, out)  # torch.max(a, b), value by value
    rank = len(before[0])
    removed = {d % rank for d in (range(rank) if dims is None or dims == () else repeated(dims, 1))}
    kept = given.get("keepdim", False)

    def along(a: Axis) -> Axis:
        if a.dim is None or a.dim in removed:
            return Axis(None, None)
        return a if kept else replace(a, dim=a.dim - sum(d < a.dim for d in removed))

    return tuple(along(a) for a in known[0][1])


def softmax(args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
    dim = named("input dim", args, kwargs)["dim"] % out.dim()
    return tuple(replace(a, fields=None) if a.dim == dim else a for a in known[0][1])


def linear(args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
    """A dense layer sums over the last dimension."""
    return tuple(Axis(None, None) if a.dim == len(before[0]) - 1 else a for a in known[0][1])


def reshape(args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
    """An axis keeps its positions in a dimension of its own, or shares one after a flatten."""
    groups = regrouped(before[0], out.shape)

    def along(a: Axis) -> Axis:
        if a.dim is None:
            return a
        old, new = next(g for g in groups if a.dim in g[0])
        if len(new) != 1:
            raise Unknown
        alone = all(before[0][d] == 1 for d in old if d != a.dim)
        return Axis(new[0], a.fields, a.merged or not alone)

    return tuple(along(a) for a in known[0][1])


def regrouped(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The shortest runs of old and new dimensions that hold equally many values."""
    groups = []
    i = 0
    j = 0
    while i < len(old) or j < len(new):
        a = list(range(i, min(i + 1, len(old))))
        b = list(range(j, min(j + 1, len(new))))
        while (m := prod(old[d] for d in a)) != (n := prod(new[d] for d in b)) or not (a and b):
            if (m < n or not a) and i + len(a) < len(old):
                a.append(i + len(a))
            elif j + len(b) < len(new):
                b.append(j + len(b))
            else:
                break
        groups.append((a, b))
        i = i + len(a)
        j = j + len(b)
    return groups


def permutation_rule(sources: Callable[[dict, int], Sequence[int]]) -> Callable:
    """The rule of a function whose output dimension d is the input's dimension sources(...)[d]; -1 for a new one."""

    def rule(args: tuple, kwargs: dict, known: list, before: list, out: Tensor) -> Seen:
        given = named("input a b", args, kwargs)
        given["rest"] = args[1:]
        given["shape"] = before[0]
        old = list(sources(given, len(before[0])))
        moved = [a if a.dim is None else replace(a, dim=old.index(a.dim)) for a in known[0][1]]
        return tuple(moved)

    return rule


def permuted(given: dict, rank: int) -> list[int]:
    dims = given["rest"][0] if isinstance(given["rest"][0], list | tuple) else given["rest"]
    return [d % rank for d in dims]


def transposed(given: dict, rank: int) -> list[int]:
    dims = list(range(rank))
    a = given["a"] % rank
    b = given["b"] % rank
    dims[a] = b
    dims[b] = a
    return dims


def unsqueezed(given: dict, rank: int) -> list[int]:
    at = given.get("dim", given.get("a", 0)) % (rank + 1)
    return [*range(at), -1, *range(at, rank)]


MAX_POOL_PARAMETERS = "input kernel_size stride padding dilation ceil_mode return_indices"
RULES: dict[str, Callable[[tuple, dict, list, list, Tensor], Seen]] = {
    "conv": window_rule(
        "input weight bias stride padding dilation groups", kernel_of_weight, field.after_conv
    ),
    "conv_transpose": window_rule(
        "input weight bias stride padding output_padding groups dilation",
        kernel_of_weight,
        field.after_transposed_conv,
    ),
    "max_pool": window_rule(MAX_POOL_PARAMETERS, lambda g: g["kernel_size"], field.after_conv),
    "avg_pool": window_rule(
        "input kernel_size stride padding ceil_mode", lambda g: g["kernel_size"], field.after_conv
    ),
    "lp_pool": window_rule(
        "input norm_type kernel_size stride", lambda g: g["kernel_size"], field.after_conv
    ),
    **dict.fromkeys(("adaptive_avg_pool", "adaptive_max_pool"), adaptive),
    **dict.fromkeys(("interpolate", "upsample"), interpolate),
    **dict.fromkeys(("flatten", "reshape", "view", "unflatten", "squeeze", "reshape_as", "view_as"), reshape),
    **dict.fromkeys(
        ("mean", "sum", "amax", "amin", "max", "min", "std", "var", "argmax", "logsumexp"), reduce
    ),
    **dict.fromkeys(("softmax", "log_softmax"), softmax),
    **dict.fromkeys(("cat", "concat", "concatenate"), cat),
    **dict.fromkeys(("split", "chunk"), split),
    "permute": permutation_rule(permuted),
    **dict.fromkeys(("transpose", "swapaxes"), permutation_rule(transposed)),
    "unsqueeze": permutation_rule(unsqueezed),
    "pad": pad,
    "narrow": narrow,
    "getitem": index,
    "linear": linear,
}

POINTWISE = frozenset(
    "add iadd radd sub isub rsub mul imul rmul div idiv truediv itruediv rtruediv true_divide pow rpow sqrt rsqrt "
    "exp log abs neg sign square sin cos tanh erf clamp clamp_min clamp_max minimum maximum where lerp addcmul "
    "relu relu6 leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid logsigmoid softplus "
    "softsign softshrink hardshrink prelu rrelu threshold glu gt lt ge le eq ne masked_fill "
    "dropout alpha_dropout feature_dropout feature_alpha_dropout stochastic_depth "
    "clone contiguous detach to float double half bfloat16 type type_as requires_grad expand expand_as".split()
)
"""Functions of which each output value depends on the input values at its own position only."""

USES_WHOLE_IMAGE: dict[str, Callable[[tuple, dict, list], bool]] = {
    "batch_norm": lambda args, kwargs, known: bool(
        named("input mean var weight bias training", args, kwargs).get("training")
    ),
    "instance_norm": lambda args, kwargs, known: True,
    "group_norm": lambda args, kwargs, known: True,
    "layer_norm": lambda args, kwargs, known: any(
        a.dim is not None and a.dim >= known[0][0].dim() - len(args[1]) for a in known[0][1]
    ),
}
"""By norm: whether this call computes its statistics from the image itself, so that each output depends on all of it."""
