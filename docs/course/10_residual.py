r"""
10. Residual networks
=====================

A residual block (He et al. 2015) adds its input to what its layers make of it:

.. math:: h_1 = \mathrm{NN}(h_2) + A\, h_2,

with the maps :math:`h_2` from below, and :math:`A = I`, or a learned matrix where the number of channels changes. This page
shows what that does to networks of 56 layers. They were trained on the built-in digits by
``docs/course/models/make_residual.py``, in about a minute; gradients and accuracies are computed here.
"""

import json
import sys
from itertools import product
from math import comb
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import eyespot
from eyespot.anatomy import taps
from eyespot.anatomy.gradients import without_skips
from eyespot.convolution import as_matrix
from eyespot.inspection import inspect_gradients

BLUE = "#1f6f8b"
ORANGE = "#c2410c"
GREY = "#6b7280"
HERE = Path(sys.argv[0]).parent  # where this script lies; the gallery has no __file__
DIGITS = Path(eyespot.__file__).parent / "data" / "sources" / "digits.npz"

stored = json.loads((HERE / "models" / "residual.json").read_text())

# %%
# Statement 10.1: a block computes h1 = NN(h2) + A h2, with A = I
# ---------------------------------------------------------------
# A block of a ResNet runs once, and what its last norm makes is recorded: that is NN(h2). The nonlinearity follows the sum.

torch.manual_seed(0)
network = eyespot.create("resnet56", width=6).eval()
block = network.get_submodule("layer1.4")
h2 = torch.rand(2, 6, 9, 9)
with torch.no_grad(), taps(block, ["bn2"]) as record:
    h1 = block(h2)
assert torch.allclose(h1, torch.relu(record["bn2"] + h2), atol=1e-6)
assert torch.equal(block.downsample(h2), h2)

# %%
# Statement 10.2: where the shapes change, A is learned
# -----------------------------------------------------
# A convolution of 1 x 1 at every second position, with its batch norm, is one matrix for all positions: 12 rows for the new
# channels, 6 columns for the old ones. The shift that a norm adds is zero at the start. The other form of the paper has no
# weights: it takes the identity and zeros for the new channels.

learned = eyespot.create("resnet56", width=6, shortcut="projection").eval().get_submodule("layer2.0")
fixed = network.get_submodule("layer2.0")
h2 = torch.rand(2, 6, 8, 8)
with torch.no_grad(), taps(learned, ["bn2"]) as record:
    h1 = learned(h2)
    convolution, norm = learned.downsample
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    A = scale[:, None] * convolution.weight[:, :, 0, 0]
    by_matrix = torch.einsum("oc,bchw->bohw", A, h2[:, :, ::2, ::2])
    assert A.shape == (12, 6)
    assert torch.allclose(h1, torch.relu(record["bn2"] + by_matrix), atol=1e-5)

    identity = torch.eye(12, 6)
    by_identity = torch.einsum("oc,bchw->bohw", identity, h2[:, :, ::2, ::2])
    assert torch.equal(fixed.downsample(h2), by_identity)
assert not list(fixed.downsample.parameters())

# %%
# Statement 10.3: with norms, the gradient grows a thousandfold on its way back through a plain network
# -----------------------------------------------------------------------------------------------------
# The norm of the gradient at each convolution, for new weights and random images. ``eyespot inspect resnet56 --gradients``
# prints such numbers. In the plain network it is thousands of times as large at the image as at the end; in the residual
# one about fifteen times. Norms and shortcuts need each other: without norms, each shortcut adds to the signal, and the gradient
# of the residual network is the one that grows.

gradients = inspect_gradients("resnet56", size=16, width=8)
for variant in gradients.norms:
    print(f"{variant}: at the first convolution {gradients.ratio(variant):.3g} times that at the last")

figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
LINES = {
    "new weights": (BLUE, "-", "residual"),
    "without skips": (ORANGE, "-", "plain"),
    "without norms": (BLUE, "--", "residual, without norms"),
    "without both": (ORANGE, "--", "plain, without norms"),
}
depths = np.arange(1, len(gradients.layers) + 1)
for variant, (colour, style, label) in LINES.items():
    axis.semilogy(depths, gradients.norms[variant], style, color=colour, label=label)
axis.set(xlabel="convolution, counted from the image", ylabel="norm of the gradient")
axis.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
axis.grid(alpha=0.3)
axis.spines[["top", "right"]].set_visible(False)
plt.show()


def spread(variant):
    """The largest norm of all convolutions over the smallest."""
    values = np.array(gradients.norms[variant])
    return values.max() / values.min()


for variant, (_, _, label) in LINES.items():
    print(f"{label:25}largest over smallest {spread(variant):10.3g}")

assert gradients.ratio("without skips") > 1000
assert 10 < gradients.ratio("new weights") < 20
assert gradients.ratio("without skips") > 30 * gradients.ratio("new weights")
assert spread("without skips") > 10 * spread("new weights")
assert spread("without norms") > 30 * spread("without both")

# %%
# Statement 10.4: a plain network of 56 layers learns worse than one of 20, and a residual one does not
# -----------------------------------------------------------------------------------------------------
# The same layers with and without shortcuts, trained on 1,437 digits for 15 epochs, three times each. It is the loss on the
# training images that is worse, so it is no overfitting: the deeper network could be the shallower one, with layers that
# change nothing, but the training does not get there. With shortcuts, both end near zero.


def losses(kind, layers):
    """(seeds, epochs)"""
    runs = [r for r in stored["runs"] if (r["network"], r["layers"]) == (kind, layers)]
    return np.array([r["losses"] for r in runs])


figure, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained", sharey=True)
for axis, kind in zip(axes, ("plain", "residual"), strict=True):
    for layers, colour in ((20, BLUE), (56, ORANGE)):
        curves = losses(kind, layers)
        epochs = np.arange(1, curves.shape[1] + 1)
        axis.semilogy(epochs, curves.T, color=colour, alpha=0.35, linewidth=1)
        axis.semilogy(epochs, curves.mean(0), color=colour, label=f"{layers} layers")
    axis.set(title=kind, xlabel="epoch", xticks=range(1, 16, 2))
    axis.legend(frameon=False, loc="lower left")
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("training loss")
plt.show()

for kind in ("plain", "residual"):
    for layers in (20, 56):
        runs = [r for r in stored["runs"] if (r["network"], r["layers"]) == (kind, layers)]
        right = ", ".join(f"{r['accuracy']:.1%}" for r in runs)
        print(
            f"{kind:9}{layers:3} layers: last loss {losses(kind, layers)[:, -1].round(4)}, accuracy {right}"
        )
        assert len(runs) == 3

assert losses("plain", 56)[:, -1].min() > 3 * losses("plain", 20)[:, -1].max()
assert losses("residual", 56)[:, -1].max() < losses("plain", 20)[:, -1].min()
assert max(losses("residual", 20)[:, -1].max(), losses("residual", 56)[:, -1].max()) < 0.01

# %%
# The stored network is loaded, and its accuracy on the 360 test digits computed again.

with np.load(DIGITS) as file:
    order = np.random.default_rng(0).permutation(len(file["labels"]))[1437:]
    images = (torch.from_numpy(file["images"][order].astype(np.float32))[:, None] / 16 - 0.3) / 0.38
    labels = torch.from_numpy(file["labels"][order].astype(np.int64))


@torch.no_grad()
def accuracy(network):
    return float((network(images).argmax(1) == labels).float().mean())


def load(name, layers):
    return eyespot.create(
        f"resnet{layers}", channels=1, width=6, weights=HERE / "models" / f"{name}.safetensors"
    ).eval()


residual = load("residual-56", 56)
plain = without_skips(load("plain-20", 20))
for network, kind, layers in ((residual, "residual", 56), (plain, "plain", 20)):
    first = next(r for r in stored["runs"] if (r["network"], r["layers"], r["seed"]) == (kind, layers, 0))
    assert abs(accuracy(network) - first["accuracy"]) < 0.006

# %%
# Statement 10.5: n blocks make 2^n paths
# ---------------------------------------
# At each block the signal goes through its layers or past them. Without the nonlinearity that follows the sum it can be
# written out: the product of (I + A1), (I + A2) and (I + A3) is a sum of eight matrices, one for each path. Here the
# matrices are those of convolutions.

rng = np.random.default_rng(0)
blocks = [as_matrix(rng.normal(size=3), (12,), mode="same").toarray() for _ in range(3)]
x = rng.normal(size=12)
y = x
for matrix in blocks:
    y = y + matrix @ y

paths = []
for taken in product((False, True), repeat=3):
    signal = x
    for matrix, through in zip(blocks, taken, strict=True):
        signal = matrix @ signal if through else signal
    paths.append(signal)
assert len(paths) == 2**3
assert np.allclose(sum(paths), y)

# %%
# The network of 56 layers has 27 blocks. Few of its paths are long: 95% go through 9 to 18 of the 27 blocks.

assert gradients.blocks == 27
share = sum(comb(27, k) for k in range(9, 19)) / 2**27
print(f"{2**gradients.blocks:,} paths, {share:.1%} of them through 9 to 18 blocks")
assert 2**gradients.blocks == 134_217_728
assert 0.94 < share < 0.96

# %%
# Statement 10.6: without one of its blocks, the residual network is nearly as good, and the plain one fails
# ----------------------------------------------------------------------------------------------------------
# A block is deleted from the trained network by leaving its shortcut alone in its place (Veit et al. 2016). Half of
# the paths of the residual network do not meet it. The plain network has one path, and none is left. In the residual
# network the first two blocks are missed most, with a quarter of the accuracy: what they make, all others build on.


def deleted(network, stage, number):
    """The accuracy without this block, which is put back."""
    blocks = network.get_submodule(stage)
    block = blocks[number]
    shortcut = getattr(block.downsample, "skip", block.downsample)
    blocks[number] = shortcut
    try:
        return accuracy(network)
    finally:
        blocks[number] = block


without = {}
for kind, network in (("residual", residual), ("plain", plain)):
    places = [(s, k) for s in network.stages for k in range(len(network.get_submodule(s)))]
    without[kind] = np.array([deleted(network, *place) for place in places])

figure, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained", sharey=True, width_ratios=(2, 1))
for axis, kind, colour in zip(axes, ("residual", "plain"), (BLUE, ORANGE), strict=True):
    network = residual if kind == "residual" else plain
    number = np.arange(1, len(without[kind]) + 1)
    axis.bar(number, 100 * without[kind], color=colour)
    axis.axhline(100 * accuracy(network), color=GREY, linestyle="--", linewidth=1, label="nothing deleted")
    axis.axhline(10, color="black", linestyle=":", linewidth=1, label="chance")
    axis.set(xlabel="deleted block", title=f"{kind}, {2 * len(number) + 2} layers", ylim=(0, 105))
    axis.set_xticks(range(1, len(number) + 1, 2))
    axis.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("accuracy (%)")
axes[1].legend(frameon=False, loc="center right", bbox_to_anchor=(1, 0.55))
plt.show()

for kind, values in without.items():
    print(f"{kind}: median {np.median(values):.1%}, worst {values.min():.1%}, best {values.max():.1%}")
assert np.median(without["residual"]) > accuracy(residual) - 0.02
assert without["residual"].min() > 0.6
assert without["plain"].max() < 0.3 and np.median(without["plain"]) < 0.15
assert (without["residual"] > 0.95).sum() >= 22
assert without["residual"][:2].max() < 0.8 and without["residual"][2:].min() > 0.88

# %%
# With more of them deleted at random, the residual network becomes worse step by step: the mean of 20 choices.


def several_deleted(network, count, rng):
    places = [(s, k) for s in network.stages for k in range(len(network.get_submodule(s)))]
    kept = {}
    for row in rng.choice(len(places), count, replace=False):
        stage, number = places[row]
        blocks = network.get_submodule(stage)
        kept[stage, number] = blocks[number]
        blocks[number] = blocks[number].downsample
    right = accuracy(network)
    for (stage, number), block in kept.items():
        network.get_submodule(stage)[number] = block
    return right


rng = np.random.default_rng(0)
means = {}
for count in (1, 2, 4, 8, 16):
    means[count] = np.mean([several_deleted(residual, count, rng) for _ in range(20)])
    print(f"{count:2} of 27 deleted: {means[count]:.1%}")
assert list(means.values()) == sorted(means.values(), reverse=True)
assert means[1] > 0.9 and means[4] > 0.6 and means[16] < 0.4
assert abs(accuracy(residual) - 0.99) < 0.02  # all blocks are back
