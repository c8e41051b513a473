"""
14. Summary
===========

Four claims of the lecture, each with a number and the page that it comes from. Then two more data sets: a signal has one
axis and a volume has three, and the same code learns them.
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tifffile
import torch

import eyespot
from eyespot.convolution import parameters
from eyespot.data.sources.builtin import unpack
from eyespot.metrics.intervals import percent, proportion

BLUE = "#1f6f8b"
ORANGE = "#c2410c"
HERE = Path(sys.argv[0]).parent  # where this script lies; the gallery has no __file__


def stored(name):
    return json.loads((HERE / "models" / name).read_text())


# %%
# Statement 14.1: a convolution has built in what is known of images, and so needs few parameters
# -----------------------------------------------------------------------------------------------
# Neighbours belong together, and a feature is the same anywhere (pages :doc:`3 </lecture/03_invariance_built_in>`,
# :doc:`5 </lecture/05_matrix>` and :doc:`6 </lecture/06_images>`). A 3 x 3 kernel on an image of 224 x 224 has 9 weights; a
# dense layer between the same values has 2.5 thousand million.

count = parameters((3, 3), (224, 224), mode="same")
print(f"convolution {count.convolution}, dense {count.dense:,}")
assert count.convolution == 9 and count.dense == (224 * 224) ** 2

# %%
# Statement 14.2: layer upon layer, a unit sees more of the image
# ---------------------------------------------------------------
# From 3 pixels to 212 in VGG-16 (:doc:`page 8 </lecture/08_vgg>`), from edges to things that some classes have and others do not
# (:doc:`page 9 </lecture/09_what_layers_see>`). Most of VGG's parameters are in its dense layers, which later networks do
# without.

vgg = eyespot.inspect("vgg16")
fields = [layer.as_dict()["receptive_field"] for layer in vgg.layers if layer.kind == "Conv2d"]
in_dense = sum(x.own_parameters for x in vgg.layers if x.kind == "Linear") / vgg.parameters
print("receptive fields", fields)
print(f"{vgg.receptive_field} after the last pooling; {in_dense:.1%} of the parameters in dense layers")
assert fields[0] == 3 and vgg.receptive_field == 212
assert fields == sorted(fields)
assert in_dense > 0.85

# %%
# Statement 14.3: shortcuts and norms make deep networks learn
# ------------------------------------------------------------
# The training loss of 56 layers, with shortcuts and without, after as many epochs
# (:doc:`page 10 </lecture/10_residual>`). ResNet-152 has 42% of the parameters of VGG-19, and DenseNet-161 has 20%
# (:doc:`page 11 </lecture/11_resnet_densenet>`). With batch norms three times the learning rate is possible
# (:doc:`page 12 </lecture/12_batch_norm>`).

deep = [run for run in stored("residual.json")["runs"] if run["layers"] == 56]
losses = {
    kind: np.array([r["losses"][-1] for r in deep if r["network"] == kind]) for kind in ("plain", "residual")
}
print("losses after the last epoch:", {kind: values.tolist() for kind, values in losses.items()})
assert losses["plain"].min() > 100 * losses["residual"].max()

sizes = {name: eyespot.inspect(name).parameters for name in ("vgg19", "resnet152", "densenet161")}
assert round(sizes["resnet152"] / sizes["vgg19"], 2) == 0.42
assert round(sizes["densenet161"] / sizes["vgg19"], 2) == 0.2

runs = stored("batch_norm.json")["runs"]
working = {
    norm: max(
        rate
        for rate in {r["rate"] for r in runs}
        if np.median([r["accuracy"] for r in runs if (r["rate"], r["norm"]) == (rate, norm)]) > 0.9
    )
    for norm in ("batch", "none")
}
print("largest learning rate that works:", working)
assert working["batch"] >= 3 * working["none"]

# %%
# Statement 14.4: the same layers say where, if skip connections bring it back
# ----------------------------------------------------------------------------
# Wrong pixels near the borders of cells, with and without the skip connections of a U-Net
# (:doc:`page 13 </lecture/13_segmentation>`).

cells = stored("cells.json")["runs"]
wrong = {
    name: np.mean([run["wrong_at_borders"] for run in cells if run["network"] == name])
    for name in ("unet", "without-skips")
}
print({name: f"{share:.1%}" for name, share in wrong.items()})
assert wrong["without-skips"] > 1.5 * wrong["unet"]

# %%
# Statement 14.5: a signal has one axis, and the same code learns it
# ------------------------------------------------------------------
# ``waves`` are 1,200 signals of 200 samples in two channels: sine, square, triangle or sawtooth, of any period, noisy. The
# function below does not know how many axes there are; ``dim`` goes to the network only. Four fifths are for training.


def learn(x, y, dim, epochs):
    """A network for x (B, C, *S) and classes y, trained on four fifths, and its accuracy on the others."""
    torch.manual_seed(0)
    network = eyespot.create("small", dim=dim, channels=x.shape[1], classes=4, stem=8, widths=(8, 24, 24))
    order = torch.randperm(len(x))
    train, test = order[: len(x) * 4 // 5], order[len(x) * 4 // 5 :]
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.01, epochs=epochs, steps_per_epoch=-(-len(train) // 16)
    )
    for _ in range(epochs):
        for rows in train[torch.randperm(len(train))].split(16):
            loss = torch.nn.functional.cross_entropy(network.train()(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        right = network.eval()(x[test]).argmax(1) == y[test]
    return network, proportion(int(right.sum()), len(test))


def read(name, reader):
    """The samples of a built-in set, standardised, and their classes."""
    folder = unpack(name)
    paths = sorted(folder.glob("*/*.*"))
    classes = sorted({path.parent.name for path in paths})
    arrays = np.stack([reader(path) for path in paths]).astype(np.float32)
    y = torch.tensor([classes.index(path.parent.name) for path in paths])
    return torch.from_numpy((arrays - arrays.mean()) / arrays.std()), y, classes


waves, of_waves, names_of_waves = read("waves", np.load)
network, of_signals = learn(waves, of_waves, dim=1, epochs=3)
print(f"waves {tuple(waves.shape)}: accuracy {percent(of_signals)}")
assert isinstance(network.stem, torch.nn.Conv1d)
assert of_signals["low"] > 0.6

# %%
# Statement 14.6: a volume has three axes, and the same code learns it
# --------------------------------------------------------------------
# ``solids`` are 400 volumes of 16 x 16 x 16 voxels: ball, box, cylinder or ring, turned anyhow, noisy. Trained for longer,
# by ``eyespot train waves --minutes 1.5`` and ``eyespot train solids --minutes 1.2``, networks reached 96% and 99%: see
# :doc:`the results </results>`.

solids, of_solids, names_of_solids = read("solids", tifffile.imread)
network, of_volumes = learn(solids[:, None], of_solids, dim=3, epochs=3)
print(f"solids {tuple(solids[:, None].shape)}: accuracy {percent(of_volumes)}")
assert isinstance(network.stem, torch.nn.Conv3d)
assert of_volumes["low"] > 0.45

figure, axes = plt.subplots(2, 4, figsize=(7, 3.4), layout="constrained")
for column in range(4):
    signal = waves[of_waves == column][0].numpy()
    axes[0, column].plot(signal[0, :100], color=BLUE)
    axes[0, column].plot(signal[1, :100], color=ORANGE)
    axes[0, column].set_title(names_of_waves[column], fontsize=10.5)
    axes[1, column].imshow(solids[of_solids == column][0][8].numpy(), cmap="gray")
    axes[1, column].set_title(f"{names_of_solids[column]}, middle slice", fontsize=10.5)
for axis in axes.flat:
    axis.set_xticks([])
    axis.set_yticks([])
plt.show()
