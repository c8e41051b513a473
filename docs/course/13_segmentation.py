"""
13. Segmentation
================

U-Net (Ronneberger et al. 2015) predicts a class for each pixel. On its way down it sees more and more and knows less and less
where; on its way up, skip connections bring back where. The three small networks of this page were trained on the built-in
cells by ``docs/course/models/make_cells.py``, in about three minutes; the last statement is about real nuclei.
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.stats import ttest_1samp

import eyespot
from eyespot.convolution import Layer, input_sizes, output_size
from eyespot.data.sources.builtin import unpack

BLUE = "#1f6f8b"
ORANGE = "#c2410c"
GREY = "#6b7280"
HERE = Path(sys.argv[0]).parent  # where this script lies; the gallery has no __file__

stored = json.loads((HERE / "models" / "cells.json").read_text())

# %%
# Statement 13.1: U-Net's figure follows from its modules, and 572 pixels become 388
# ----------------------------------------------------------------------------------
# The network of the paper has no padding, so each convolution takes two pixels. It runs once without values, and each
# number in the figure is of a shape that was recorded on the way.

described = eyespot.inspect("unet", padded=False, size=572)
shapes = {layer.name: layer.output_shape for layer in described.layers}
down = [shapes[f"down.{i}"] for i in range(4)] + [shapes["bottom"]]
up = [shapes[f"up.{i}"] for i in range(4)][::-1]
merged = [shapes[f"merge.{i}"] for i in range(4)][::-1]
pooled = [layer.output_shape for layer in described.layers if layer.name == "pool"]
entered = [(1, 572, 572), *pooled]


def box(axis, x, level, shape, colour, text="black"):
    """The number of maps, and below it their side."""
    axis.add_patch(plt.Rectangle((x - 0.39, -level - 0.29), 0.78, 0.58, facecolor=colour))
    axis.text(x, -level, f"{shape[0]}\n{shape[1]}", ha="center", va="center", fontsize=10, color=text)


def arrow(axis, start, end, colour="black", text=""):
    """An arrow, with a text above it."""
    style = {"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0}
    axis.annotate("", end, start, arrowprops=style)
    axis.text((start[0] + end[0]) / 2, start[1] + 0.05, text, ha="center", va="bottom", fontsize=10)


figure, axis = plt.subplots(figsize=(7, 4.4), layout="constrained")
for level, (before, after) in enumerate(zip(entered, down, strict=True)):
    box(axis, level, level, before, "#cfe3ea")
    box(axis, level + 1, level, after, BLUE, "white")
    arrow(axis, (level + 0.39, -level), (level + 0.61, -level))
    if level < 4:
        arrow(axis, (level + 1, -level - 0.29), (level + 1, -level - 0.71), ORANGE)
for level, (upwards, after, skip) in enumerate(zip(up, merged, down, strict=False)):
    x = 9.2 - level
    box(axis, x, level, (upwards[0] + skip[0], upwards[1]), "#f3d3c2")
    box(axis, x + 1, level, after, BLUE, "white")
    arrow(axis, (x + 0.39, -level), (x + 0.61, -level))
    arrow(axis, (level + 1.39, -level), (x - 0.39, -level), GREY, f"{skip[1]} to {upwards[1]}")
    if level < 3:
        arrow(axis, (x, -level - 0.71), (x, -level - 0.29), ORANGE)
arrow(axis, (5.39, -4), (6.2, -3.29), ORANGE)
box(axis, 11.2, 0, shapes["head"], GREY, "white")
arrow(axis, (10.59, 0), (10.81, 0))
for y, colour, text in (
    (-2.95, "black", "two 3 x 3 convolutions"),
    (-3.35, GREY, "skip connection, cropped"),
    (-3.75, ORANGE, "max-pooling or up-convolution"),
):
    arrow(axis, (7.7, y - 0.2), (8.1, y - 0.2), colour)
    axis.text(8.2, y - 0.2, text, ha="left", va="center", fontsize=9.5)
axis.text(-0.39, -3.95, "in a box: number of maps,\nand their side in pixels", fontsize=9.5, va="center")
axis.set(xlim=(-0.45, 11.7), ylim=(-4.35, 0.4))
axis.axis("off")
plt.show()

assert described.output_shape == (2, 388, 388)
assert [s[1] for s in down] == [568, 280, 136, 64, 28]
assert [s[1] for s in up] == [392, 200, 104, 56]
assert [s[0] for s in down] == [64, 128, 256, 512, 1024]
assert described.parameters == 31_030_658

# %%
# Statement 13.2: the sizes follow from those of the layers, and not every size fits
# ----------------------------------------------------------------------------------
# Two convolutions of 3 x 3 take four pixels, a pooling halves, an up-convolution doubles. Where a map with an odd side
# would be pooled, a row is lost: 572 is one of the sizes at which none is.

CONVOLUTIONS = [Layer(3), Layer(3)]
POOL = Layer(2, stride=2)


def sides(size):
    """The sides on the way down, before each pooling, and the side at the end; 188 is the smallest that leaves any."""
    before = []
    for _ in range(4):
        size = output_size(size, CONVOLUTIONS)
        before.append(size)
        size = output_size(size, POOL)
    size = output_size(size, CONVOLUTIONS)
    for _ in range(4):
        size = output_size(2 * size, CONVOLUTIONS)
    return before, size


before, end = sides(572)
assert before == [s[1] for s in down[:4]] and end == 388
way_down = [*CONVOLUTIONS, POOL] * 4 + CONVOLUTIONS
assert 572 in input_sizes(28, way_down)
fitting = [n for n in range(188, 620) if all(side % 2 == 0 for side in sides(n)[0])]
print("sizes that fit:", *fitting[:5], "...", *fitting[-3:])
assert 572 in fitting and np.all(np.diff(fitting) == 16)

# %%
# With zeros at the edges, as in the networks below, the output has the size of the image, and any size is filled up to a
# multiple of 16 and cut back.

assert eyespot.inspect("unet", size=570).output_shape == (2, 570, 570)

# %%
# Statement 13.3: a small U-Net learns to mark cells
# --------------------------------------------------
# 48 images of touching cells, which are simulated, and 12 others for the test. The stored weights are loaded, and the
# predictions for the 12 images made here. Dice is twice the overlap over the sum of both areas.

SETTINGS = {"channels": 1, "classes": 2}
SMALL_UNET = SETTINGS | {"width": 8, "levels": 4}
SMALL_FCDENSENET = SETTINGS | {"depths": (3, 3, 3), "bottom": 3, "growth": 7, "width": 16, "dropout": 0.0}


def load(name, preset, settings):
    file = HERE / "models" / f"cells-{name}.safetensors"
    return eyespot.create(preset, weights=file, **settings).eval()


folder = unpack("cells")
files = sorted(path.name for path in (folder / "images").iterdir())[48:]
images = np.stack([np.asarray(Image.open(folder / "images" / name)) for name in files])
truth = np.stack([np.asarray(Image.open(folder / "masks" / name)) > 0 for name in files])
inputs = (torch.from_numpy(images.astype(np.float32))[:, None] - 60) / 50


@torch.no_grad()
def predicted(network):
    return torch.cat([network(image[None]).argmax(1) for image in inputs]).numpy().astype(bool)


def dice(masks):
    return 2 * (masks & truth).sum() / (masks.sum() + truth.sum())


def of_runs(name, quantity):
    """Of the three seeds."""
    return np.array([run[quantity] for run in stored["runs"] if run["network"] == name])


unet = load("unet", "unet_bn", SMALL_UNET)
masks = {"unet": predicted(unet)}
print(f"U-Net, {sum(p.numel() for p in unet.parameters()):,} parameters: Dice {dice(masks['unet']):.3f}")
print("three seeds:", of_runs("unet", "dice"))
assert len(files) == 12 and len(of_runs("unet", "dice")) == 3
assert abs(dice(masks["unet"]) - of_runs("unet", "dice")[0]) < 0.003
assert of_runs("unet", "dice").min() > 0.95
assert dice(np.ones_like(truth)) < 0.75

# %%
# Statement 13.4: without its skip connections it no longer knows where
# ---------------------------------------------------------------------
# The same network was trained with zeros in the place of the maps that the skip connections bring. It finds the cells, and
# is even right more often away from their borders, but it draws the borders and the gaps worse: about 1.7 times as many
# pixels within two pixels of a border are wrong.


def close_skips(network):
    """Each level on the way up gets zeros in the place of the maps that the skip connection brings."""

    def close(module, args):
        skip, upwards = args[0].chunk(2, 1)
        return (torch.cat([torch.zeros_like(skip), upwards], 1),)

    for merge in network.merge:
        merge.register_forward_pre_hook(close)
    return network


square = np.ones((1, 5, 5), bool)
border = binary_dilation(truth, square) & ~binary_erosion(truth, square, border_value=1)


def wrong_at_borders(masks):
    return (masks != truth)[border].mean()


masks["without-skips"] = predicted(close_skips(load("without-skips", "unet_bn", SMALL_UNET)))
print("Dice with and without:", of_runs("unet", "dice"), of_runs("without-skips", "dice"))
for name in ("unet", "without-skips"):
    print(
        f"{name}: wrong near borders {of_runs(name, 'wrong_at_borders')}, elsewhere {of_runs(name, 'wrong_elsewhere')}"
    )
    assert abs(wrong_at_borders(masks[name]) - of_runs(name, "wrong_at_borders")[0]) < 0.01

at_borders = {name: of_runs(name, "wrong_at_borders") for name in ("unet", "without-skips")}
assert at_borders["without-skips"].min() > 1.4 * at_borders["unet"].max()
assert 1.6 < at_borders["without-skips"].mean() / at_borders["unet"].mean() < 1.9
assert of_runs("without-skips", "dice").max() < of_runs("unet", "dice").min()
assert of_runs("without-skips", "wrong_elsewhere").max() < of_runs("unet", "wrong_elsewhere").min()

# %%
# One of the test images. Black pixels are missed, orange ones are false.


def errors(masks, truth):
    """White where both agree on a cell, grey where both agree on background."""
    shown = np.where(truth[..., None], [1, 1, 1], [0.75, 0.77, 0.8])
    shown[truth & ~masks] = (0, 0, 0)
    shown[masks & ~truth] = (0.9, 0.35, 0.05)
    return shown


figure, axes = plt.subplots(1, 4, figsize=(7, 2.1), layout="constrained")
row = 1
shown = {
    "image": images[row],
    "mask": truth[row],
    "U-Net": errors(masks["unet"][row], truth[row]),
    "without skips": errors(masks["without-skips"][row], truth[row]),
}
for axis, (title, picture) in zip(axes, shown.items(), strict=True):
    axis.imshow(picture, cmap="gray")
    axis.set_title(title, fontsize=10.5)
    axis.set_xticks([])
    axis.set_yticks([])
plt.show()

# %%
# The trained U-Net itself cannot do without: with its skips closed, it is much worse than the one that never had any.

closed = predicted(close_skips(load("unet", "unet_bn", SMALL_UNET)))
print(f"closed after training: Dice {dice(closed):.3f}, wrong near borders {wrong_at_borders(closed):.1%}")
assert dice(closed) < dice(masks["without-skips"]) - 0.05

# %%
# Statement 13.5: FC-DenseNet has under a third of U-Net's parameters
# -------------------------------------------------------------------
# FC-DenseNet (Jégou et al. 2016) is a U-Net of dense blocks: "one hundred layers tiramisu". The networks of the papers:

papers = {name: eyespot.inspect(name, size=224) for name in ("unet", "fcdensenet56", "fcdensenet103")}
for name, d in papers.items():
    print(
        f"{name:14}{d.parameters:12,} parameters {d.multiply_adds / 1e9:6.1f} G multiply-adds for 224 x 224"
    )
assert papers["fcdensenet103"].parameters < papers["unet"].parameters / 3
assert papers["fcdensenet103"].parameters == 9_322_091

# %%
# On the cells, a small form with fewer parameters than the small U-Net is a little better after the same number of
# steps, and each step takes more than three times the multiply-adds.

fcdensenet = load("fcdensenet", "fcdensenet56", SMALL_FCDENSENET)
masks["fcdensenet"] = predicted(fcdensenet)
for name in ("unet", "without-skips", "fcdensenet"):
    print(f"{name:14}{of_runs(name, 'parameters')[0]:8,} parameters, Dice {of_runs(name, 'dice')}")
work = {
    "unet": eyespot.inspect("unet_bn", size=128, **SMALL_UNET).multiply_adds,
    "fcdensenet": eyespot.inspect("fcdensenet56", size=128, **SMALL_FCDENSENET).multiply_adds,
}
print("multiply-adds for an image of 128 x 128:", work)
assert abs(dice(masks["fcdensenet"]) - of_runs("fcdensenet", "dice")[0]) < 0.003
assert of_runs("fcdensenet", "dice").min() > of_runs("unet", "dice").max()
assert work["fcdensenet"] > 3 * work["unet"]
assert of_runs("fcdensenet", "parameters").max() < of_runs("unet", "parameters").min()
assert sum(p.numel() for p in fcdensenet.parameters()) == of_runs("fcdensenet", "parameters")[0]

# %%
# Statement 13.6: on real nuclei the skip connections bring borders back, too
# ---------------------------------------------------------------------------
# The three networks were trained, from three seeds each, on 15 fluorescence images of nuclei (BBBC038,
# Kaggle's Data Science Bowl 2018) by ``docs/course/models/make_nuclei.py``. Of 7 other images, it measured three windows of
# 96 x 96 each, those with most borders. Its numbers are stored, and neither images nor weights: this statement is about
# what the script wrote, and whoever has the images can run it again.

nuclei = json.loads((HERE / "models" / "nuclei.json").read_text())


def of_nuclei(name, quantity):
    """Of the three seeds."""
    return np.array([run[quantity] for run in nuclei["runs"] if run["network"] == name])


def compared(name, other, quantity):
    """The difference for each image, a mean over the seeds; and the 95% interval of its mean over the images."""
    of_images = (of_nuclei(name, quantity) - of_nuclei(other, quantity)).mean(0)
    return of_images, ttest_1samp(of_images, 0).confidence_interval()


for name in ("unet", "without-skips", "fcdensenet"):
    print(f"{name:14}Dice {of_nuclei(name, 'dice')}")
    print(f"{name:14}wrong near borders {of_nuclei(name, 'wrong_at_borders')}")

# %%
# Without skip connections, more pixels near borders are wrong: with each seed, and in each of the 7 images. The interval is
# for images like these; several of them look alike, so that for other microscopes it may be too narrow.

more, interval = compared("without-skips", "unet", "wrong_at_borders_of_images")
print(f"more wrong near borders: {more.mean():.1%}, 95% interval {interval.low:.1%} to {interval.high:.1%}")
assert of_nuclei("unet", "dice").shape == (3,) and len(more) == len(nuclei["validation"]) == 7
near = {name: of_nuclei(name, "wrong_at_borders") for name in ("unet", "without-skips")}
assert near["without-skips"].min() > 1.2 * near["unet"].max()
assert of_nuclei("without-skips", "dice").max() < of_nuclei("unet", "dice").min()
assert more.min() > 0 and interval.low > 0.01

# %%
# The small FC-DenseNet is a little better than the U-Net in each of the 7 images, with more arithmetic, as above.

better, interval = compared("fcdensenet", "unet", "dice_of_images")
print(f"Dice of FC-DenseNet: {better.mean():+.4f}, 95% interval {interval.low:+.4f} to {interval.high:+.4f}")
assert better.min() > 0 and 0 < interval.low < interval.high < 0.01

# %%
# These images are easy, bright nuclei on black: one threshold for all windows comes as far as the U-Net. It was chosen for
# these very windows, which is its advantage; but nothing here says that such images need a network.

threshold = nuclei["best_threshold"]
print(f"brighter than {threshold['level']} of 255: Dice {threshold['dice']}")
assert abs(threshold["dice"] - of_nuclei("unet", "dice").mean()) < 0.01
