"""
9. What layers see
==================

The first layers see edges, later ones contours, and the last ones things that some classes have and others do not. This page shows
it on a network with 127,106 weights that was trained on 1,148 photographs of clothes, of 64 x 64 pixels, for eight epochs.
``docs/course/models/make_layers.py`` made the model file in a few minutes, and measured what needs photographs of clothes:
the accuracies and the classes below. The rest is measured here, on 20 photographs of animals and things, a shoe among them, that
the network was not trained on. They come with the package foolbox (``pip install foolbox``). For a network of your own,
``eyespot explain RUN --layers`` writes a page with such cards.
"""

import json
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image, ImageOps

import eyespot
from eyespot.anatomy import taps
from eyespot.explanation.cards import channel_pictures, nine, picture, shown_values
from eyespot.explanation.top import Reader, chosen_channels, collect, layers_to_show, stages_of
from eyespot.explanation.units import maximise, window_of
from eyespot.metrics.intervals import percent, proportion

BLUE = "#1f6f8b"
ORANGE = "#c2410c"
GREY = "#6b7280"
HERE = Path(sys.argv[0]).parent  # where this script lies; the gallery has no __file__

stored = json.loads((HERE / "models" / "layers.json").read_text())
predictor = eyespot.load(HERE / "models" / "layers.safetensors")
network = predictor.network

foolbox = find_spec("foolbox")
assert foolbox and foolbox.origin, "the pictures of this page come with a package: pip install foolbox"
files = sorted((Path(foolbox.origin).parent / "data").glob("imagenet_*.jpg"))
assert len(files) == 20

# %%
# The network is right for about three of four photographs of ten kinds of clothes that it was not trained on.

accuracy = stored["validation"]["accuracy"]
print(
    f"accuracy {accuracy['value']:.1%} ({accuracy['low']:.1%} to {accuracy['high']:.1%}, n = {accuracy['n']})"
)
assert predictor.card.scores["accuracy"] == accuracy
assert 0.65 < accuracy["low"] and accuracy["high"] < 0.85

# %%
# The 20 photographs. The middle square of each is made 256 and 128 pixels wide, and is cut into windows of 64 x 64 pixels, the
# size of the network's input: 16 and 4 of them, 400 together.

windows = []
for file in files:
    for size in (256, 128):
        image = np.asarray(ImageOps.fit(Image.open(file), (size, size), Image.Resampling.BOX))
        steps = range(0, size, 64)
        windows.extend(image[y : y + 64, x : x + 64] for y in steps for x in steps)
assert len(windows) == 400

figure, axes = plt.subplots(4, 5, figsize=(7, 5.7), layout="constrained")
for axis, file in zip(axes.flat, files, strict=True):
    axis.imshow(ImageOps.fit(Image.open(file), (128, 128), Image.Resampling.BOX))
    axis.set_axis_off()
plt.show()

# %%
# Statement 9.1: from layer to layer, a unit sees more of the image
# -----------------------------------------------------------------
# 9, 23 and 51 of the 64 pixels along an axis, at the end of the three blocks.

stages = stages_of(layers_to_show(predictor))
names = [stage.name for stage in stages]
for stage in stages:
    grid = " x ".join(map(str, stage.grid))
    print(
        f"{stage.name:10}{stage.channels:3} channels on {grid:8}places; a unit sees {stage.field} x {stage.field} pixels"
    )
assert [stage.field for stage in stages] == [9, 23, 51]
assert stages[-1].field < 64

# %%
# Statement 9.2: the windows that excite a channel most show what it responds to
# ------------------------------------------------------------------------------
# For each block, four of its channels, and for each channel the nine windows that excite it most, of nine photographs, cut to
# what the most excited unit sees. The channels are those whose nine stand out most from the other photographs. Look for what the
# nine have in common.

folder = tempfile.TemporaryDirectory()
paths = []
for number, window in enumerate(windows):
    paths.append(f"{folder.name}/{number:03}.png")
    Image.fromarray(window).save(paths[-1])

reader = Reader(predictor)
by_photograph = [collect(predictor, stages, paths[start : start + 20]) for start in range(0, 400, 20)]


def best_nine(one_layer):
    """A layer's stages of each photograph -> one stage, with the best window of each of the best nine photographs."""
    values = np.array([[channel[0].value for channel in stage.top] for stage in one_layer])
    order = np.argsort(-values, axis=0)[:9]
    top = [[one_layer[k].top[channel][0] for k in order[:, channel]] for channel in range(values.shape[1])]
    nine_values = np.take_along_axis(values, order, 0)
    selectivity = (nine_values.mean(0) - values.mean(0)) / (values.std(0) + 1e-9)
    return replace(one_layer[0], top=top, selectivity=selectivity, images=400)


collected = [best_nine(one_layer) for one_layer in zip(*by_photograph, strict=True)]
shown = [chosen_channels(stage, 4) for stage in collected]

figure, axes = plt.subplots(3, 4, figsize=(7, 6), layout="constrained")
for row, stage, channels in zip(axes, collected, shown, strict=True):
    for axis, channel in zip(row, channels, strict=True):
        card = channel_pictures(predictor, reader, stage, channel, None)
        axis.imshow(nine(card["crops"]))
        axis.set_title(f"channel {channel}", fontsize=10)
        axis.set_xticks([])
        axis.set_yticks([])
    row[0].set_ylabel(f"{stage.place.name}: {stage.place.field} x {stage.place.field}", fontsize=10.5)
plt.show()

for stage, channels in zip(collected, shown, strict=True):
    for channel in channels:
        values = [top.value for top in stage.top[channel]]
        assert len(values) == 9 and values == sorted(values, reverse=True)
        assert len({paths.index(top.path) // 20 for top in stage.top[channel]}) == 9

# %%
# It need not be what one hopes for: the network takes an image that is nothing but red for a hat.

red = np.full((64, 64, 3), (225, 40, 30), np.uint8)
assert predictor([red])[0].label == "hat"

# %%
# The value on a card is the activation of that unit, which can be looked up. The largest activations of each channel, in the mean
# over the 400 windows, are those that were stored with the network. And a unit sees no more than what is shown: with noise
# around it, the activation stays the same.

noise = np.random.default_rng(0)
for stage, channels in zip(collected, shown, strict=True):
    for channel in channels:
        top = stage.top[channel][0]
        image = np.asarray(Image.open(top.path))
        box = tuple(slice(max(0, low), high) for low, high in window_of(stage.place, top.unit, (64, 64)))
        around = noise.integers(0, 256, image.shape, dtype=np.uint8)
        around[box] = image[box]
        with torch.no_grad(), taps(network, [stage.place.name]) as record:
            network(torch.cat([reader.network_input(image), reader.network_input(around)]))
        values = record[stage.place.name][(slice(None), channel, *top.unit)].numpy()
        assert np.allclose(values, top.value, atol=1e-3)

with torch.no_grad(), taps(network, names) as record:
    network(torch.cat([reader.network_input(window) for window in windows]))
for name in names:
    maxima = record[name].flatten(2).amax(2).mean(0).numpy()
    assert np.allclose(maxima, stored["mean_maxima"][name], rtol=0.01, atol=0.01)

# %%
# Statement 9.3: the first block sees edges
# -----------------------------------------
# An edge is shown to it, black on one side and white on the other, in steps of ten degrees. Nearly every channel has a
# direction that excites it more than twice as much as a quarter turn further, and these directions differ.

rows, columns = np.mgrid[:64, :64] - 31.5


def as_batch(pictures):
    return torch.from_numpy(np.stack(pictures).astype(np.float32))[:, None].expand(-1, 3, -1, -1)


def activations(batch, middle=False):
    """By stage (pictures, channels): the largest activation of a channel, in the whole map or in its middle."""
    with torch.no_grad(), taps(network, names) as record:
        network(batch)
    result = {}
    for name in names:
        maps = record[name]
        centre = maps.shape[2] // 2
        window = slice(centre - 1, centre + 2) if middle else slice(None)
        result[name] = maps[:, :, window, window].flatten(2).amax(2).numpy()
    return result


angles = np.arange(0, 360, 10)
turned = [np.tanh(columns * np.cos(a) + rows * np.sin(a)) for a in np.radians(angles)]
by_angle = activations(as_batch(turned), middle=True)["blocks.0"]
best = angles[by_angle.argmax(0)]
quarter = np.take_along_axis(by_angle, ((by_angle.argmax(0) + 9) % 36)[None], 0)[0]
most = by_angle.max(0)
print("best direction of each channel:", *sorted(best))
print(
    "channels that are excited twice as much as a quarter turn further:",
    int((most > 2 * quarter).sum()),
    "of",
    len(most),
)

figure, axis = plt.subplots(figsize=(7, 2.8), layout="constrained")
selective = np.argsort(quarter - most)[:4]
for channel, style in zip(selective, ("-", "--", "-.", ":"), strict=True):
    axis.plot(angles, by_angle[:, channel], style, label=f"channel {channel}")
axis.set(xlabel="direction of the edge (degrees)", ylabel="activation", xticks=range(0, 361, 45))
axis.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
axis.grid(alpha=0.3)
axis.spines[["top", "right"]].set_visible(False)
plt.show()

assert (most > 2 * quarter).sum() >= 12
assert len(np.unique(best // 45)) >= 5

# %%
# Statement 9.4: in later blocks, more channels prefer a curve to any straight edge
# ---------------------------------------------------------------------------------
# Circles of several radii are shown too, dark and light. The channels that are excited by one of them more than by any
# straight edge are about a fifth in the first block, and a third in the last.

circles = [sign * np.tanh(np.hypot(columns, rows) - r) for r in (4, 6, 8, 12, 16, 22) for sign in (-1, 1)]
of_edges = activations(as_batch(turned))
of_circles = activations(as_batch(circles))
rounder = {name: float((of_circles[name].max(0) > 1.1 * of_edges[name].max(0)).mean()) for name in names}
for name, share in rounder.items():
    print(f"{name:10}{share:.0%} of the channels are excited more by a circle than by any edge")
assert rounder["blocks.0"] < rounder["blocks.1"] < rounder["blocks"]
assert rounder["blocks.0"] < 0.25 and rounder["blocks"] > 0.3

# %%
# Images that excite a channel can be made too: from noise, by following the gradient (Olah et al. 2017). Here for eight channels
# of the last block; each image excites its channel more than the noise did.

last = collected[-1]
eight = chosen_channels(last, 8)
made, better = maximise(network, last.place, eight, (64, 64), steps=32)
assert all(better)

figure, axes = plt.subplots(2, 4, figsize=(7, 3.9), layout="constrained")
for axis, channel, image in zip(axes.flat, eight, made, strict=True):
    axis.imshow(picture(shown_values(image), 172))
    axis.set_title(f"channel {channel}", fontsize=10)
    axis.set_axis_off()
plt.show()

# %%
# Statement 9.5: the last block sees things that only some classes have
# ---------------------------------------------------------------------
# This needs photographs of clothes: 16 of each class that the network was not trained on. Of the nine that excite a channel
# most, the share that belongs to one class, in the mean over the channels. Nine chosen at random have about 27% in their
# most frequent class; in the last block it is twice as much.

shares = stored["of_nine_in_one_class"]
by_chance = stored["of_nine_by_chance"]
print(
    f"{stored['photographs']} photographs; by chance {by_chance:.0%}",
    {k: f"{v:.0%}" for k, v in shares.items()},
)
assert list(shares) == names
assert 0.25 < by_chance < 0.3
assert shares["blocks"] > 1.9 * by_chance
assert shares["blocks"] > max(shares["blocks.0"], shares["blocks.1"]) + 0.1

# %%
# Statement 9.6: the deeper the layer, the more its maps say about the class
# --------------------------------------------------------------------------
# A linear classifier gets the mean and the largest value of each map and nothing else. It was fitted to three quarters of
# the same 160 photographs of clothes and tried on the others, four times. Chance is 10%.

known = stored["classifier_on_maps"]
n = stored["photographs"]
intervals = {name: proportion(round(share * n), n) for name, share in known.items()}

figure, axis = plt.subplots(figsize=(7, 2.7), layout="constrained")
axis.plot(
    range(len(known)), [100 * v for v in known.values()], "o-", color=BLUE, label="classifier on the maps"
)
axis.plot(
    range(2, 5), [100 * share for share in shares.values()], "s-", color=ORANGE, label="of nine, in one class"
)
axis.axhline(10, color=GREY, linestyle=":", linewidth=1)
axis.text(4, 12, "chance of the classifier", color=GREY, ha="right")
axis.set_xticks(range(len(known)), known)
axis.set(ylabel="%", ylim=(0, 75))
axis.legend(frameon=False, loc="upper left")
axis.grid(alpha=0.3)
axis.spines[["top", "right"]].set_visible(False)
plt.show()

for name, interval in intervals.items():
    print(f"{name:10}{percent(interval)}")
assert list(known) == ["image", "stem", *names]
assert list(known.values()) == sorted(known.values())
assert known["image"] < 0.3 and known["blocks"] > 0.5
folder.cleanup()
