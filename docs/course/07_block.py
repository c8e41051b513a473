"""
7. The block: filters, nonlinearity, pooling
============================================

Convolutional networks are made of one block, again and again: filters, a nonlinearity, and pooling, or a convolution with
a stride in place of the pooling. This page takes the block apart, and then measures what the three ways to make maps
smaller do to a network. ``docs/course/models/make_pooling.py`` trained the networks and wrote the numbers.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image
from safetensors.torch import load_file
from torch import nn

import eyespot
from eyespot import Kit
from eyespot.convolution import Layer, convolve, correlate, output_size

BLUE = "#1f6f8b"
ORANGE = "#c2410c"
HERE = Path(sys.argv[0]).parent  # where this script lies; the gallery has no __file__
rng = np.random.default_rng(0)

# %%
# Statement 7.1: several filters make several maps, and each has its weights once
# -------------------------------------------------------------------------------
# Four filters of 3 x 3 weights on a photograph. The kernel has the axes (filters, channels, rows, columns), as in PyTorch.

with get_sample_data("grace_hopper.jpg") as file:
    photo = np.asarray(Image.open(file).convert("L"), float)[40:296, 130:386]

filters = np.array(
    [
        [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
        [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
        [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
        [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
    ],
    float,
)[:, None]
maps = correlate(photo[None], filters, mode="same", boundary="reflect", dim=2)

layer = nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect", bias=False)
with torch.no_grad():
    layer.weight[:] = torch.tensor(filters)
    by_torch = layer(torch.tensor(photo, dtype=torch.float32)[None, None])[0].numpy()

print("maps:", maps.shape, "weights:", layer.weight.numel())
assert maps.shape == (4, 256, 256)
assert layer.weight.numel() == 36
assert np.allclose(maps, by_torch, rtol=0, atol=0.01)

# %%
# Statement 7.2: without a nonlinearity, two layers are one
# ---------------------------------------------------------
# Convolution is associative: two filters in a row are one larger filter, so depth without a nonlinearity adds nothing. With
# ReLU between them no single filter does the same, since a filter of -x gives the negative result of x.

first = rng.normal(size=(3, 3))
second = rng.normal(size=(3, 3))
patch = rng.normal(size=(16, 16))
both = convolve(first, second)
assert both.shape == (5, 5)
assert np.allclose(convolve(convolve(patch, first), second), convolve(patch, both))


def relu(x):
    return np.maximum(x, 0)


def two_layers(x):
    return convolve(relu(convolve(x, first)), second)


assert not np.allclose(two_layers(-patch), -two_layers(patch))

# %%
# Statement 7.3: pooling keeps the largest value, or the mean, of each window
# ---------------------------------------------------------------------------
# With windows of 2 x 2 and a stride of 2, maps have half as many rows and columns. The mean is itself a convolution with a
# stride; the maximum is not linear, and no convolution computes it.

kit = Kit()
x = torch.from_numpy(rng.normal(size=(1, 1, 8, 8)))
y = torch.from_numpy(rng.normal(size=(1, 1, 8, 8)))
largest = kit.pool("max")
mean = kit.pool("average")

windows = x.reshape(4, 2, 4, 2)
assert torch.equal(largest(x)[0, 0], windows.amax((1, 3)))
assert torch.allclose(mean(x)[0, 0], windows.mean((1, 3)))

quarter = np.full((2, 2), 0.25)
strided = correlate(x[0, 0].numpy(), quarter, mode="valid", stride=2)
assert np.allclose(mean(x)[0, 0].numpy(), strided)
assert torch.allclose(mean(x + y), mean(x) + mean(y))
assert not torch.allclose(largest(x + y), largest(x) + largest(y))

# %%
# The whole block on the photograph: the four maps, what ReLU leaves of them, and the largest values of windows of 8 x 8,
# by three times 2 x 2.

positive = relu(maps)
pooled = torch.from_numpy(positive)[None]
for _ in range(3):
    pooled = largest(pooled)
pooled = pooled[0].numpy()
assert pooled.shape == (4, 32, 32)
assert np.array_equal(pooled, positive.reshape(4, 32, 8, 32, 8).max((2, 4)))

figure, axes = plt.subplots(3, 4, figsize=(7, 5.6), layout="constrained")
names = ("upright edges", "level edges", "spots", "mean")
for k, name in enumerate(names):
    limit = np.abs(maps[k]).max() * (1 if name == "mean" else 0.6)
    axes[0, k].imshow(maps[k], cmap="gray", vmin=-limit, vmax=limit)
    axes[0, k].set_title(name)
    axes[1, k].imshow(positive[k], cmap="gray", vmin=0, vmax=limit)
    axes[2, k].imshow(pooled[k], cmap="gray", vmin=0, vmax=limit)
for row, text in zip(axes[:, 0], ("filter", "ReLU", "pooling"), strict=True):
    row.set_ylabel(text)
for axis in axes.flat:
    axis.set_xticks([])
    axis.set_yticks([])
plt.show()

# %%
# Statement 7.4: a stride makes maps as small, for a quarter of the cost
# ----------------------------------------------------------------------
# A convolution with stride 2 computes every second output along each axis. It gives exactly what a convolution and the
# choice of every second value give, without the work for the others.

W = rng.normal(size=(3, 3))
dense = correlate(photo, W, mode="same")
sparse = correlate(photo, W, mode="same", stride=2)
assert np.allclose(sparse, dense[::2, ::2])

convolution_then_pooling = dense.size * W.size
strided_convolution = sparse.size * W.size
print(f"multiplications: {convolution_then_pooling:,} and {strided_convolution:,}")
assert convolution_then_pooling == 4 * strided_convolution

# %%
# All three halve the map: pooling rounds down, and a stride with padding rounds up. ``output_size`` knows it for any chain of layers.

for n in (8, 27, 224):
    by_pooling = output_size(n, [Layer(3, padding=1), Layer(2, stride=2)])
    by_stride = output_size(n, Layer(3, stride=2, padding=1))
    assert by_pooling == n // 2
    assert by_stride == (n + 1) // 2
    assert largest(torch.zeros(1, 1, n, n)).shape[-1] == mean(torch.zeros(1, 1, n, n)).shape[-1] == by_pooling

# %%
# Statement 7.5: pooling pays in accuracy and in stability
# --------------------------------------------------------
# Three networks of 38,978 weights that differ in nothing but how their maps are halved, three times: by the largest value, by
# the mean, or by a stride, each after a convolution. Each was trained on the same 4,000 pictures of CIFAR-10, from six initial weights, and never saw
# a shifted picture. 2,000 other pictures were predicted, and again moved by one pixel up, down, left and right.

stored = json.loads((HERE / "models" / "pooling.json").read_text())
WAYS = ("max", "average", "stride")


def shown(score):
    return f"{100 * score['value']:5.1f} ({100 * score['low']:.1f} to {100 * score['high']:.1f})"


print(f"n = {stored['n']}, seeds {stored['seeds']}; mean over the seeds with its 95% interval")
print(f"{'':18}{'accuracy':24}predictions that stay")
for way in WAYS:
    print(f"{way:18}{shown(stored['mean'][way]['accuracy']):24}{shown(stored['mean'][way]['consistency'])}")
print("differences, seed by seed, in points")
for pair, scores in stored["differences"].items():
    print(f"{pair:18}{shown(scores['accuracy']):24}{shown(scores['consistency'])}")

for way in WAYS:
    for number in ("accuracy", "consistency"):
        values = stored["runs"][way][number]
        assert len(values) == len(stored["seeds"])
        assert abs(np.mean(values) - stored["mean"][way][number]["value"]) < 1e-9

assert stored["differences"]["max - stride"]["accuracy"]["low"] > 0
assert stored["differences"]["average - stride"]["accuracy"]["low"] > 0
assert stored["differences"]["max - stride"]["consistency"]["low"] > 0
assert stored["differences"]["average - stride"]["consistency"]["low"] > 0
assert stored["differences"]["average - max"]["consistency"]["low"] > 0

figure, axes = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained", sharey=True)
for axis, number, title in zip(
    axes, ("accuracy", "consistency"), ("accuracy", "predictions that stay"), strict=True
):
    for i, way in enumerate(WAYS):
        values = 100 * np.array(stored["runs"][way][number])
        score = stored["mean"][way][number]
        axis.plot(values, np.full(len(values), i + 0.18), "o", color="#9aa3af", markersize=4)
        middle = 100 * score["value"]
        spread = [[middle - 100 * score["low"]], [100 * score["high"] - middle]]
        axis.errorbar(middle, i, xerr=spread, fmt="o", color=BLUE, capsize=4)
    axis.set_xlabel(f"{title} (%)")
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
axes[0].set_yticks(range(3), WAYS)
axes[0].set_ylim(2.5, -0.5)
plt.show()

# %%
# A grey dot is one network; the blue one is their mean with its interval. The stride is the cheapest of the three, and in this
# small network it costs about 6 points of accuracy. The accuracies of mean and maximum do not differ by more than chance,
# but with the mean more predictions stay: it is a low-pass filter before the samples are thinned out.

for pair in ("max - stride", "average - stride"):
    assert 0.05 < stored["differences"][pair]["accuracy"]["value"] < 0.065
assert (
    stored["differences"]["average - max"]["accuracy"]["low"]
    < 0
    < stored["differences"]["average - max"]["accuracy"]["high"]
)

# %%
# Statement 7.6: these are the networks, and they still predict the same
# ----------------------------------------------------------------------
# The networks of the first seed lie beside this page, with weights of 16 bits. They are loaded into the code as it is now, and
# predict 20 pictures again, of the test set of CIFAR-10 (Krizhevsky 2009; they come with the package foolbox): as many are
# right as when they were stored.

foolbox = find_spec("foolbox")
assert foolbox and foolbox.origin, "the pictures of this page come with a package: pip install foolbox"
files = sorted((Path(foolbox.origin).parent / "data").glob("cifar10_*.png"))
pictures = torch.from_numpy(np.stack([np.array(Image.open(file)) for file in files])).movedim(3, 1)
pictures = (pictures.float() - 127.5) / 64
labels = torch.tensor([int(file.stem.rpartition("_")[2]) for file in files])

for way in WAYS:
    network = eyespot.create("small_w16", widths=(16, 32, 32), subsample=way).eval()
    network.load_state_dict(load_file(HERE / "models" / f"pooling-{way}.safetensors"))
    with torch.no_grad():
        predicted = network(pictures[..., 2:30, 2:30]).argmax(1)
    right = int((predicted == labels).sum())
    print(f"{way}: {right} of 20 right")
    assert right == stored["right_of_pictures"][way]
    assert sum(p.numel() for p in network.parameters()) == 38978
