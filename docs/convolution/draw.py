"""Draws the pictures of docs/convolution.md into this folder: python docs/convolution/draw.py"""

import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from sklearn.datasets import load_sample_image

from eyespot.convolution import as_matrix, convolve, correlate, matrix_text
from eyespot.convolution.geometry import BOUNDARIES, geometry
from eyespot.convolution.padding import pad, source_indices

HERE = Path(__file__).parent
INK, PALE, ACCENT, SECOND = "#222222", "#e9edf1", "#d9822b", "#3b6ea5"
HUES = plt.get_cmap("tab10").colors
plt.rcParams.update({"font.size": 10, "axes.titlesize": 10, "figure.dpi": 110, "savefig.facecolor": "white"})


def photo() -> np.ndarray:
    """(427, 640) grey levels of scikit-learn's china.jpg."""
    return load_sample_image("china.jpg") @ np.array([0.299, 0.587, 0.114])


def save(figure, name: str) -> None:
    figure.savefig(HERE / name, bbox_inches="tight", pad_inches=0.08, pil_kwargs={"optimize": True})
    plt.close(figure)


def picture(axes, image, title, **options) -> None:
    axes.imshow(image, cmap="gray", **options)
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])


def edge_detector() -> None:
    grey = photo()
    across = convolve(grey, [[1, -1]], mode="valid")
    down = convolve(grey, [[1], [-1]], mode="valid")
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 2.7), layout="constrained")
    picture(axes[0], grey, "the photograph, 427 x 640")
    limit = 90
    picture(axes[1], across, "kernel 1 -1: 427 x 639, upright edges", vmin=-limit, vmax=limit)
    picture(axes[2], down, "kernel 1; -1: 426 x 640, level edges", vmin=-limit, vmax=limit)
    save(figure, "edges.png")


def cells(axes, texts, left, top, width, height=1.0, fills=None, size=10) -> None:
    """A table of boxed texts, rows downward from `top`."""
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            corner = (left + j * width, top - (i + 1) * height)
            fill = PALE if fills is None else fills[i][j]
            axes.add_patch(Rectangle(corner, width, height, facecolor=fill, edgecolor="white", linewidth=1.5))
            axes.text(
                corner[0] + width / 2,
                corner[1] + height / 2,
                text,
                ha="center",
                va="center",
                fontsize=size,
                color=INK,
            )


def bare(axes, x, y, title=None) -> None:
    axes.set_xlim(*x)
    axes.set_ylim(*y)
    axes.set_aspect("equal")
    axes.axis("off")
    if title:
        axes.set_title(title)


def schematic() -> None:
    """A 2 x 2 kernel on a 3 x 4 image: every output written out, one window marked."""
    letters = np.array(list("abcdefghijkl")).reshape(3, 4)
    weights = np.array([["w11", "w12"], ["w21", "w22"]])
    rows = [
        row.split() for row in matrix_text((2, 2), (3, 4), mode="valid", operation="correlate").splitlines()
    ]
    sums = [[f"{letters.flat[i]} {w}" for i, w in enumerate(row) if w != "0"] for row in rows]
    outputs = np.array([f"{' + '.join(s[:2])}\n+ {' + '.join(s[2:])}" for s in sums]).reshape(2, 3)
    mark = [[to_rgba(ACCENT, 0.45) if i < 2 and 1 <= j <= 2 else PALE for j in range(4)] for i in range(3)]
    figure, axes = plt.subplots(figsize=(9, 3.4))
    cells(axes, letters, 0, 3, 1, fills=mark)
    cells(axes, weights, 5.2, 2.5, 1, fills=[[to_rgba(SECOND, 0.35)] * 2] * 2)
    result = [[to_rgba(ACCENT, 0.45) if (i, j) == (0, 1) else PALE for j in range(3)] for i in range(2)]
    cells(axes, outputs, 8.4, 2.9, 2.75, 1.4, fills=result, size=9)
    for x, text in ((4.6, "*"), (7.8, "=")):
        axes.text(x, 1.5, text, fontsize=16, ha="center", va="center")
    for x, text in ((2, "image, 3 x 4"), (6.2, "kernel, 2 x 2"), (12.5, "mode valid, stride 1: 2 x 3")):
        axes.text(x, 3.35, text, ha="center")
    bare(axes, (-0.1, 16.75), (-0.1, 3.7))
    save(figure, "schematic.png")


def named_matrix(axes, title, kernel, shape, **options) -> None:
    """A small matrix with its weights by name and by colour, zeros left pale."""
    rows = [row.split() for row in matrix_text(kernel, shape, operation="correlate", **options).splitlines()]
    fills = [
        [PALE if c == "0" else to_rgba(HUES[int(re.findall(r"\d+", c)[0]) - 1], 0.45) for c in row]
        for row in rows
    ]
    cells(
        axes,
        [["" if c == "0" else c for c in row] for row in rows],
        0,
        len(rows),
        1.35,
        fills=fills,
        size=8.5,
    )
    bare(axes, (-0.1, 1.35 * len(rows[0]) + 0.1), (len(rows) - 6.05, len(rows) + 0.05), title)


def block_matrix(axes, title, **options) -> None:
    """The matrix of a 3 x 3 kernel on a 6 x 6 image, each weight in its own colour."""
    matrix = as_matrix(np.arange(1, 10).reshape(3, 3), (6, 6), operation="correlate", **options).toarray()
    colours = np.array([to_rgba(PALE)] + [to_rgba(HUES[i]) for i in range(9)])
    axes.imshow(colours[matrix])
    for edge in range(6, matrix.shape[1], 6):
        axes.axvline(edge - 0.5, color="white", linewidth=1.2)
    step = round(matrix.shape[0] ** 0.5)
    for edge in range(step, matrix.shape[0], step):
        axes.axhline(edge - 0.5, color="white", linewidth=1.2)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_anchor("N")
    axes.set_title(f"{title}\n{matrix.shape[0]} x {matrix.shape[1]}")


def matrices() -> None:
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 2.75), layout="constrained")
    named_matrix(axes[0], "valid: Toeplitz, 4 x 6", (3,), (6,), mode="valid")
    named_matrix(axes[1], "same, zeros outside: Toeplitz, 6 x 6", (3,), (6,), mode="same")
    named_matrix(axes[2], "same, circular: circulant, 6 x 6", (3,), (6,), mode="same", boundary="circular")
    save(figure, "matrices.png")
    figure, axes = plt.subplots(1, 4, figsize=(10.5, 3.3), layout="constrained")
    block_matrix(axes[0], "valid", mode="valid")
    block_matrix(axes[1], "same, zeros outside", mode="same")
    block_matrix(axes[2], "same, circular", mode="same", boundary="circular")
    block_matrix(axes[3], "same, stride 2", mode="same", stride=2)
    save(figure, "blocks.png")


def wiring(axes, title, **options) -> None:
    """Which of nine samples each output of a kernel of three sees; samples outside are hollow."""
    n = 9
    g = geometry((n,), (3,), False, **options)
    before = g.before[0]
    after = g.after[0]
    stride = g.stride[0]
    dilation = g.dilation[0]
    samples = source_indices(n, before, after, "zero")
    for place in range(-before, n + after):
        inside = samples[place + before] >= 0
        axes.plot(place, 0, "o", ms=9, mfc=SECOND if inside else "white", mec=SECOND, mew=1.2)
    for i in range(g.out[0]):
        centre = i * stride - before + dilation
        for tap in range(3):
            axes.plot(
                [i * stride - before + tap * dilation, centre], [0.13, 1.5], color="#9aa5b1", lw=0.9, zorder=0
            )
        axes.plot(centre, 1.63, "s", ms=9, color=ACCENT)
    axes.set_title(f"{title}: 9 -> {g.out[0]}")
    axes.set_xlim(-2.6, 10.6)
    axes.set_ylim(-0.35, 2.0)
    axes.axis("off")


def stride() -> None:
    figure, axes = plt.subplots(2, 3, figsize=(10.5, 3.3), layout="constrained")
    wiring(axes[0, 0], "valid", mode="valid")
    wiring(axes[0, 1], "same", mode="same")
    wiring(axes[0, 2], "full", mode="full")
    wiring(axes[1, 0], "same, stride 2", mode="same", stride=2)
    wiring(axes[1, 1], "same, stride 3", mode="same", stride=3)
    wiring(axes[1, 2], "same, dilation 2", mode="same", dilation=2)
    save(figure, "wiring.png")
    grey = photo()[60:300, 120:440]
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.0), layout="constrained")
    box = np.full((5, 5), 1 / 25)
    picture(axes[0], grey[::6, ::6], "every 6th pixel: 40 x 54")
    picture(
        axes[1],
        correlate(grey, box, mode="same", boundary="reflect", stride=6),
        "5 x 5 mean, stride 6: 40 x 54",
    )
    picture(axes[2], correlate(grey, box, mode="same", boundary="reflect"), "5 x 5 mean, stride 1: 240 x 320")
    save(figure, "stride.png")


def padding() -> None:
    """What a window sees left of the photograph's edge, and a wide mean beside that edge, for each boundary."""
    grey = photo()
    rows = slice(130, 290)
    beyond = 50
    within = 110
    side = 51
    figure, axes = plt.subplots(2, 4, figsize=(10.5, 5.4), layout="constrained")
    for (seen, mean), boundary in zip(axes.T, BOUNDARIES, strict=True):
        extended = pad(grey, (0, beyond), (0, 0), boundary)[rows, : beyond + within]
        blurred = correlate(grey, np.full((side, side), 1 / side**2), mode="same", boundary=boundary)[
            rows, :within
        ]
        outside = np.full((rows.stop - rows.start, beyond), np.nan)
        picture(seen, extended, boundary, vmin=0, vmax=255)
        picture(mean, np.hstack([outside, blurred]), f"{side} x {side} mean", vmin=60, vmax=220)
        for axis in (seen, mean):
            axis.axvline(beyond - 0.5, color=ACCENT, linewidth=1.5)
            axis.spines[:].set_visible(False)
    save(figure, "padding.png")


if __name__ == "__main__":
    for draw in (edge_detector, schematic, matrices, stride, padding):
        draw()
