"""
9. What layers see
==================

The first layers see edges, later ones contours, and the last ones things that some classes have and others do not. This page shows
it on a network with 127,106 weights that was trained on 1,148 photographs of clothes, of 64 x 64 pixels, for eight epochs.
``docs/course/models/make_layers.py`` made the model file in about two minutes. All numbers are measured here, on 160 other
photographs. For a network of your own, ``eyespot explain RUN --layers`` writes a page with such cards.
"""

import json
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image

import eyespot
from eyespot.anatomy import taps
from eyespot.explanation.cards import channel_pictures, nine, picture, shown_values
from eyespot.explanation.top import Reader, chosen_channels, collect, layers_to_show, stages_of
from eyespot.explanation.units import maximise

BLUE = "#1f6f8b"
ORANGE = "#c2410c"
GREY = "#6b7280"
HERE = Path(sys.argv[0]).parent  # where this script lies; the gallery has no __file__

stored = json.loads((HERE / "models" / "layers.json").read_text())
classes = stored["classes"]
predictor = eyespot.load(HERE / "models" / "layers.safetensors")
network = predictor.network

sheet = np.asarray(Image.open(HERE / "images" / "clothes.jpg"))
photographs = sheet.reshape(10, 64, 16, 64, 3).swapaxes(1, 2).reshape(160, 64, 64, 3)
labels = np.repeat(np.arange(10), 16)

# %%
# The network is right for about three of four photographs of ten kinds of clothes. 160 of the 287 that it was validated on
# are used here.

predictions = predictor(list(photographs))
accuracy = np.mean([classes.index(p.label) for p in predictions] == labels)
print(f"accuracy {accuracy:.1%} here, and {stored['validation']['accuracy']['value']:.1%} of all 287")
assert abs(accuracy - stored["validation"]["accuracy"]["value"]) < 0.1

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
# Statement 9.2: the photographs that excite a channel most show what it responds to, red cloth too
# -------------------------------------------------------------------------------------------------
# For each block, four of its channels, and for each channel the nine photographs that excite it most, cut to what the most
# excited unit sees. The channels are the most selective ones. Look for what the nine have in common. It is not always the
# clothes: hats were often laid on red cloth, and the network takes an image that is nothing but red for a hat.

folder = tempfile.TemporaryDirectory()
paths = []
for number, (image, label) in enumerate(zip(photographs, labels, strict=True)):
    paths.append(f"{folder.name}/{number:03}-{classes[label]}.png")
    Image.fromarray(image).save(paths[-1])
of_path = {path: classes[label] for path, label in zip(paths, labels, strict=True)}

reader = Reader(predictor, of_path)
collected = collect(predictor, stages, paths)
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
        assert len({top.path for top in stage.top[channel]}) == 9

red = np.full((64, 64, 3), (225, 40, 30), np.uint8)
assert predictor([red])[0].label == "hat"

# %%
# The value on a card is the activation of that unit, which can be looked up.

top = collected[1].top[shown[1][0]][0]
with torch.no_grad(), taps(network, ["blocks.1"]) as record:
    network(reader.network_input(np.asarray(Image.open(top.path))))
assert np.isclose(float(record["blocks.1"][(0, shown[1][0], *top.unit)]), top.value, atol=1e-3)

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
# Images that excite a channel can be made too: from noise, by following the gradient (Olah et al. 2017).

figure, axes = plt.subplots(3, 4, figsize=(7, 5.7), layout="constrained")
gains = []
for row, stage, channels in zip(axes, collected, shown, strict=True):
    made, better = maximise(network, stage.place, channels, (64, 64), steps=32)
    gains.extend(better)
    for axis, channel, image in zip(row, channels, made, strict=True):
        axis.imshow(picture(shown_values(image), 172))
        axis.set_title(f"channel {channel}", fontsize=10)
        axis.set_xticks([])
        axis.set_yticks([])
    row[0].set_ylabel(stage.place.name, fontsize=10.5)
plt.show()
print(f"{sum(gains)} of {len(gains)} made images excite their channel more than noise does")
assert sum(gains) >= 9

# %%
# Statement 9.5: the last block sees things that only some classes have
# ---------------------------------------------------------------------
# Of the nine photographs that excite a channel most, the share that belongs to one class. Nine chosen at random would have
# about 27% in their most frequent class.


def share_of_one_class(paths_of_nine):
    counts = np.unique([of_path[path] for path in paths_of_nine], return_counts=True)[1]
    return counts.max() / counts.sum()


rng = np.random.default_rng(0)
by_chance = np.mean([share_of_one_class(rng.choice(paths, 9, replace=False)) for _ in range(1000)])
pure = {
    stage.place.name: np.array([share_of_one_class([top.path for top in channel]) for channel in stage.top])
    for stage in collected
}
print(f"by chance {by_chance:.0%}", {name: f"{shares.mean():.0%}" for name, shares in pure.items()})
assert 0.25 < by_chance < 0.31
means = [pure[name].mean() for name in names]
assert means[0] < means[1] < means[2] and means[2] > by_chance + 0.15

# %%
# Statement 9.6: the deeper the layer, the more its maps say about the class
# --------------------------------------------------------------------------
# A linear classifier gets the mean and the largest value of each map and nothing else. It is fitted to three quarters of the
# photographs and tried on the others, four times. Chance is 10%.


def classified(features):
    """The share of right classes of a ridge regression, in four parts."""
    scaled = (features - features.mean(0)) / (features.std(0) + 1e-6)
    right = 0
    for fold in range(4):
        test = np.arange(160) % 4 == fold
        x, y = scaled[~test], np.eye(10)[labels[~test]]
        weights = x.T @ np.linalg.solve(x @ x.T + 30 * np.eye(len(x)), y)
        right += ((scaled[test] @ weights).argmax(1) == labels[test]).sum()
    return right / 160


batch = torch.cat([reader.network_input(image) for image in photographs])
with torch.no_grad(), taps(network, ["stem", *names]) as record:
    network(batch)
maps = {"image": batch, **record}
known = {}
for name, values in maps.items():
    features = torch.cat([values.flatten(2).mean(2), values.flatten(2).amax(2)], 1).numpy()
    known[name] = classified(features)

figure, axis = plt.subplots(figsize=(7, 2.7), layout="constrained")
axis.plot(
    range(len(known)), [100 * v for v in known.values()], "o-", color=BLUE, label="classifier on the maps"
)
axis.plot(range(2, 5), [100 * m for m in means], "s-", color=ORANGE, label="of nine, in one class")
axis.axhline(10, color=GREY, linestyle=":", linewidth=1)
axis.text(4, 12, "chance of the classifier", color=GREY, ha="right")
axis.set_xticks(range(len(known)), known)
axis.set(ylabel="%", ylim=(0, 75))
axis.legend(frameon=False, loc="upper left")
axis.grid(alpha=0.3)
axis.spines[["top", "right"]].set_visible(False)
plt.show()

print({name: f"{share:.0%}" for name, share in known.items()})
assert known["blocks.0"] < known["blocks.1"] < known["blocks"]
assert known["image"] < 0.3 and known["blocks"] > 0.5
folder.cleanup()
