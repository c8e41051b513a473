"""A network as a picture: maps, parameters and receptive field by depth."""

from io import BytesIO
from pathlib import Path

from eyespot.anatomy.description import Description, Layer, largest
from eyespot.errors import UserError
from eyespot.files import write_file

BLUE = "#1f6f8b"
ORANGE = "#d1603d"
GREY = "#999999"
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
    figure = Figure(figsize=(max(8.0, 3 + len(layers) / 12), 8.5), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    draw_maps(axes[0], layers)
    draw_parameters(axes[1], layers)
    draw_field(axes[2], layers, max(description.shape[1:]))
    for a in axes:
        a.spines[["top", "right"]].set_visible(False)
        a.grid(alpha=0.25)
        a.legend(frameon=False)
    axes[2].set_xlabel("layer with weights, in the order of the calls")
    figure.suptitle(description.name)
    content = BytesIO()
    figure.savefig(content, format=path.suffix[1:].lower())
    write_file(path, content.getvalue())
    return path


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
