"""A network described: numbers, the tree as text, one JSON document."""

from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

from eyespot.anatomy.axes import Axis, Seen
from eyespot.anatomy.effective import Effective
from eyespot.anatomy.table import layer_table, summary_line
from eyespot.notebook import html
from eyespot.wrapping import output_width

NOTEBOOK_WIDTH = 110
"""Columns of text in a notebook, which has no width of its own."""


def sizes_of(axis: Axis) -> list[int] | str:
    """The receptive field along one axis, a size for each kind of position; "all" for the whole axis."""
    return "all" if axis.fields is None else list(axis.fields.sizes)


def largest(seen: Seen) -> int | str | None:
    """One number for a receptive field: the largest over axes and phases, "all", or None where not followed."""
    fields = [sizes_of(a) for a in seen]
    if not fields:
        return None
    return "all" if "all" in fields else max(n for sizes in fields for n in sizes if not isinstance(n, str))


def strides_of(seen: Seen) -> list[Fraction | None]:
    return [None if a.fields is None else a.fields.stride for a in seen]


def total_stride(seen: Seen) -> int | None:
    """The shift of the image, in samples, after which everything repeats: the largest over the axes."""
    jumps = [a.fields.jump for a in seen if a.fields is not None]
    return max(jumps, default=None)


@dataclass
class Layer:
    """One call of a module, in the order of the calls. Numbers are for one image.

    depth            modules around it
    label            its name within the module around it
    own_...          what belongs to it and not to a module within it; the sum over all layers is the network's
    forward_bytes    its output, float32
    training_bytes   what autograd keeps while it runs, for the backward pass
    dense            parameters of a dense layer between the same shapes, for a convolution
    """

    name: str
    kind: str
    depth: int
    label: str
    input_shape: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    parameters: int = 0
    own_parameters: int = 0
    multiply_adds: int = 0
    own_multiply_adds: int = 0
    forward_bytes: int = 0
    training_bytes: int = 0
    dense: int | None = None
    seen: Seen = ()

    def as_dict(self) -> dict[str, Any]:
        strides = [None if s is None else number(s) for s in strides_of(self.seen)]
        return {
            "name": self.name,
            "kind": self.kind,
            "depth": self.depth,
            "shape": list(self.output_shape),
            "parameters": self.parameters,
            "own_parameters": self.own_parameters,
            "multiply_adds": self.multiply_adds,
            "own_multiply_adds": self.own_multiply_adds,
            "forward_bytes": self.forward_bytes,
            "training_bytes": self.training_bytes,
            "stride": strides[0] if len(set(strides)) == 1 else (strides or None),
            "receptive_field": largest(self.seen),
            "receptive_fields": [sizes_of(a) for a in self.seen] or None,
            "dense_parameters": self.dense,
        }


@dataclass
class Description:
    """A network measured for one image. Prints itself as a tree.

    multiply_adds    of convolutions and matrix products
    forward_bytes    most memory at once for values in float32, weights apart, while it predicts
    training_bytes   what is kept for the backward pass, per image; None where the network cannot train so
    field            what an output sees, at the last layer that still has positions
    notes            what could not be followed or was taken as constant
    """

    name: str
    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    forward_bytes: int
    training_bytes: int | None
    field: Seen
    layers: list[Layer]
    notes: list[str]
    effective: Effective | None = None

    @property
    def receptive_field(self) -> int | str | None:
        return largest(self.field)

    @property
    def total_stride(self) -> int | None:
        return total_stride(self.field)

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "shape": list(self.shape),
            "output_shape": list(self.output_shape),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "forward_bytes": self.forward_bytes,
            "training_bytes": self.training_bytes,
            "total_stride": self.total_stride,
            "receptive_field": self.receptive_field,
            "receptive_fields": [sizes_of(a) for a in self.field] or None,
            "effective_field": self.effective and self.effective.as_dict(),
            "notes": self.notes,
            "layers": [layer.as_dict() for layer in self.layers],
        }

    def table(self, depth: int | None = None, width: int | None = None) -> str:
        """The tree, down to `depth` modules deep, as text.

        width   characters along a line: columns that do not fit are left out and named; the terminal's if not given
        """
        rows = [row_of(x) for x in self.layers if depth is None or x.depth <= depth]
        return layer_table(HEAD, rows, DROPPABLE, output_width() if width is None else width)

    def summary(self, width: int | None = None) -> str:
        """The numbers of the whole network, a line each, wrapped between words."""
        columns = output_width() if width is None else width
        training = "" if self.training_bytes is None else f", {memory(self.training_bytes)} to train"
        values = {
            "parameters": f"{self.parameters:,}",
            "multiply-adds": f"{self.multiply_adds:,}",
            "memory": f"{memory(self.forward_bytes)} to predict{training}, per image in float32, weights apart",
            "total stride": str(self.total_stride or "not known"),
            "receptive field": f"{words(self.field)}{self._against_image()}",
        }
        if self.effective:
            values["effective field"] = str(self.effective)
        if any(x.dense for x in self.layers):
            values["dense instead"] = self._dense()
        title = f"{self.name}: {times(self.shape)} -> {times(self.output_shape)}"
        lines = [title, *(summary_line(label, value, columns) for label, value in values.items())]
        return "\n".join(lines + [summary_line("note", note, columns) for note in self.notes])

    def _against_image(self) -> str:
        size = self.receptive_field
        larger = isinstance(size, int) and size > max(self.shape[1:])
        return f", larger than the image's {max(self.shape[1:])}" if larger else ""

    def _dense(self) -> str:
        """The course's argument for convolution: local and shared weights are few."""
        dense = sum(x.dense or 0 for x in self.layers)
        shared = sum(x.own_parameters for x in self.layers if x.dense)
        return f"{scaled(dense)} parameters, if each convolution ({scaled(shared)} in all) were a dense layer"

    def __str__(self) -> str:
        return f"{self.summary()}\n\n{self.table()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html.result(
            html.text(self.summary(NOTEBOOK_WIDTH)), html.text(self.table(width=NOTEBOOK_WIDTH))
        )


HEAD = ("layer", "output", "parameters", "mult-adds", "memory", "training", "stride", "field", "if dense")
DROPPABLE = (8, 5, 4, 6, 3, 1, 2)
"""Columns that are left out of a table that is too wide, the first first."""


def row_of(x: Layer) -> tuple[str, ...]:
    strides = sorted({number(s) for s in strides_of(x.seen) if s is not None})
    return (
        "  " * x.depth + f"{x.label} {x.kind}".strip(),
        times(x.output_shape),
        f"{x.parameters:,}" if x.parameters else "",
        scaled(x.multiply_adds) if x.multiply_adds else "",
        memory(x.forward_bytes),
        memory(x.training_bytes) if x.training_bytes else "",
        "/".join(map(str, strides)),
        words(x.seen),
        scaled(x.dense) if x.dense else "",
    )


def words(seen: Seen) -> str:
    """A receptive field in words: 435, 188 or 204, 1 to 16, 3 x 5, all, or ? where not followed."""
    axes = [axis_words(sizes_of(a)) for a in seen]
    return "?" if not axes else axes[0] if len(set(axes)) == 1 else " x ".join(axes)


def axis_words(sizes: list[int] | str) -> str:
    if isinstance(sizes, str):
        return sizes
    return " or ".join(map(str, sizes)) if len(sizes) < 3 else f"{sizes[0]} to {sizes[-1]}"


def number(stride: Fraction) -> int | float:
    return stride.numerator if stride.denominator == 1 else float(stride)


def times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def scaled(n: float) -> str:
    """Four digits and a letter: 1.814 G."""
    for unit in ("", " k", " M", " G", " T", " P"):
        if n < 999.95 or unit == " P":
            return f"{n:.4g}{unit}"
        n /= 1000
    raise AssertionError


def memory(size: float) -> str:
    """Bytes in powers of 1024, three digits: 3.06 MB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":
            return f"{size:.3g} {unit}"
        size /= 1024
    raise AssertionError


def dense_parameters(inputs: tuple[int, ...], outputs: tuple[int, ...], bias: bool) -> int:
    """Parameters of a dense layer from every input value to every output value."""
    return prod(outputs) * (prod(inputs) + bias)
