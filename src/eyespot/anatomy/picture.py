"""A network as a picture: maps, parameters and receptive field by depth."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from pathlib import Path

from eyespot.anatomy.description import Description, Layer, largest
from eyespot.errors import UserError
from eyespot.files import write_file

BLUE = "#1f6f8b"
ORANGE = "#d1603d"
GREY = "#999999"
SIZE = (7.1, 9.5)
DOTS = 180
"""Inches, and pixels of each: 1,278 pixels wide."""
FONT = 12
"""Points of all text: 9 pixels where the picture is shown 400 pixels wide."""
MOST_STAGES = 24
"""Names that fit below the picture."""
ENDINGS = (".png", ".svg", ".pdf")


def draw(description: Description, path: str | Path) -> Path:
    """Write the picture as PNG, SVG or PDF."""
    from matplotlib.figure import Figure

    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path} is no picture that can be written: end its name in {', '.join(ENDINGS)}")
    layers = [x for x in description.layers if x.own_multiply_adds]
    if not layers:
        raise UserError(f"{description.name} has no layer that multiplies: there is nothing to draw")
    figure = Figure(figsize=SIZE, dpi=DOTS, layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    for a in axes:
        a.tick_params(labelsize=FONT)
    draw_maps(axes[0], layers)
    draw_parameters(axes[1], layers)
    draw_field(axes[2], layers, max(description.shape[1:]))
    for a in axes:
        a.spines[["top", "right"]].set_visible(False)
        a.grid(alpha=0.25)
        a.legend(frameon=False, fontsize=FONT)
        a.yaxis.label.set_fontsize(FONT)
    name_stages(axes, stages([x.name for x in layers]))
    axes[2].set_xlabel("layers with weights, in the order of the calls", fontsize=FONT)
    figure.suptitle(description.name, fontsize=FONT + 2)
    content = BytesIO()
    figure.savefig(content, format=path.suffix[1:].lower())
    write_file(path, content.getvalue())
    return path


@dataclass(frozen=True)
class Stage:
    """Layers one after the other within one module; `first` and `last` are counted from 1."""

    name: str
    first: int
    last: int


def stages(names: Sequence[str]) -> list[Stage]:
    """The layers, by the modules around them: as many levels of modules as fit beside each other with their names.

    >>> [stage.name for stage in stages(["stem", "blocks.0.conv1", "blocks.0.conv2", "blocks.1.conv1"])]
    ['stem', 'blocks.0.conv1', 'blocks.0.conv2', 'blocks.1.conv1']
    """
    deepest = max(name.count(".") for name in names) + 1
    levels = [_at_level(names, depth) for depth in range(1, deepest + 1)]
    return next((level for level in reversed(levels) if len(level) <= MOST_STAGES), levels[0])


def _at_level(names: Sequence[str], depth: int) -> list[Stage]:
    numbered = enumerate(names, start=1)
    groups = groupby(numbered, key=lambda item: ".".join(item[1].split(".")[:depth]))
    members = [(name, [number for number, _ in group]) for name, group in groups]
    return [Stage(name, numbers[0], numbers[-1]) for name, numbers in members]


def name_stages(axes, named: list[Stage]) -> None:
    """Names below the axis that all panels share, and lines between the stages."""
    for a in axes:
        for stage in named[1:]:
            a.axvline(stage.first - 0.5, color=GREY, linewidth=0.6, alpha=0.6)
    step = -(-len(named) // MOST_STAGES)  # of a network that has more of them at its first level
    shown = named[::step]
    axes[-1].set_xticks([(s.first + s.last) / 2 for s in shown], [s.name for s in shown])
    axes[-1].tick_params(axis="x", rotation=90, labelsize=FONT)


def draw_maps(a, layers: list[Layer]) -> None:
    numbers = range(1, len(layers) + 1)
    sizes = [max(x.output_shape[1:], default=1) for x in layers]
    a.step(numbers, [x.output_shape[0] for x in layers], where="mid", color=BLUE, label="channels")
    a.step(numbers, sizes, where="mid", color=ORANGE, label="samples along an axis")
    a.set(ylabel="maps", yscale="log")


def draw_parameters(a, layers: list[Layer]) -> None:
    numbers = range(1, len(layers) + 1)
    a.bar(numbers, [x.own_parameters for x in layers], color=BLUE, label="parameters")
    dense = [(i, x.dense) for i, x in zip(numbers, layers, strict=True) if x.dense]
    if dense:
        a.scatter(*zip(*dense, strict=True), s=12, color=ORANGE, label="as a dense layer")
    a.set(ylabel="parameters", yscale="log")


def draw_field(a, layers: list[Layer], image: int) -> None:
    known = [(i, largest(x.seen)) for i, x in enumerate(layers, start=1)]
    points = [(i, size) for i, size in known if isinstance(size, int)]
    if points:
        a.plot(*zip(*points, strict=True), color=BLUE, marker="o", markersize=3, label="receptive field")
    a.axhline(image, color=GREY, linestyle="--", linewidth=1, label="the image")
    a.set(ylabel="samples")
