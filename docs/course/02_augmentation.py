"""
2. Augmentation
===============

What leaves the label alone makes new training images for nothing. There are two forms: an enlarged data set, written once,
and transforms on the fly, sampled anew for each batch. ``docs/course/models/make_augmentation.py`` trained the networks of this
page and wrote their numbers. The 20 pictures are from the test set of CIFAR-10 (Krizhevsky 2009), as the package foolbox has
them.
"""

import csv
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

import eyespot
from eyespot.augment import Pipeline, parse

BLUE = "#1f6f8b"
ORANGE = "#c2410c"
HERE = Path(sys.argv[0]).parent  # where this script lies; the gallery has no __file__
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

foolbox = find_spec("foolbox")
assert foolbox and foolbox.origin, "the pictures of this page come with a package: pip install foolbox"
files = sorted((Path(foolbox.origin).parent / "data").glob("cifar10_*.png"))
assert len(files) == 20
pictures = torch.from_numpy(np.stack([np.array(Image.open(file)) for file in files])).movedim(3, 1)
labels = torch.tensor([int(file.stem.rpartition("_")[2]) for file in files])

# %%
# Statement 2.1: transforms give new images of the same class
# -----------------------------------------------------------
# A pipeline is written as one text. It samples parameters for each image, and the same parameters give the same images.

PIPELINE = "flip|shift(0.1)|rotate(10)|scale(0.9,1.1)"
pipeline = Pipeline(parse(PIPELINE, 2))
several = pictures[[3, 7, 12]].repeat_interleave(5, 0)
parameters = pipeline.sample(torch.Generator().manual_seed(3), several.shape)
versions = pipeline.apply(several, parameters)

assert torch.equal(versions, pipeline.apply(several, parameters))
assert all(not torch.equal(a, b) for a, b in zip(versions, several, strict=True))

figure, axes = plt.subplots(3, 6, figsize=(7, 3.7), layout="constrained")
for row, (line, original) in enumerate(zip(axes, (3, 7, 12), strict=True)):
    for axis, picture in zip(line, [pictures[original], *versions[5 * row : 5 * row + 5]], strict=True):
        axis.imshow(picture.movedim(0, 2).numpy())
        axis.set_xticks([])
        axis.set_yticks([])
    line[0].set_ylabel(CLASSES[labels[original]])
axes[0, 0].set_title("original")
axes[0, 3].set_title("versions")
plt.show()

# %%
# Statement 2.2: the enlarged set holds the images that the pipeline makes on the fly
# -----------------------------------------------------------------------------------
# ``eyespot augment DATA --copies 2 -o MORE`` writes such a set. Its table has the seed of each copy. Whoever samples with
# that seed while training gets the same image, value by value.


def as_image(path):
    return torch.from_numpy(np.array(Image.open(path))).movedim(2, 0)


with TemporaryDirectory() as work:
    source = Path(work) / "pictures"
    for i, picture in enumerate(pictures):
        place = source / CLASSES[labels[i]]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.movedim(0, 2).numpy()).save(place / f"{i:02}.png")
    enlarged = Path(work) / "enlarged"
    eyespot.augment_data(source, augment=PIPELINE, copies=2, out=enlarged)
    with open(enlarged / "augmented.csv", newline="") as file:
        copies = [row for row in csv.DictReader(file) if row["seed"]]
    written = torch.stack([as_image(enlarged / row["path"]) for row in copies])
    originals = torch.stack([as_image(row["original"]) for row in copies])
    copy_labels = torch.tensor([CLASSES.index(row["label"]) for row in copies])
    seeds = [int(row["seed"]) for row in copies]

made = torch.cat(
    [
        pipeline.apply(x[None], pipeline.sample(torch.Generator().manual_seed(seed), x[None].shape))
        for x, seed in zip(originals, seeds, strict=True)
    ]
)
assert len(written) == 40
assert torch.equal(made, written)

# %%
# Statement 2.3: so both forms train the same network
# ---------------------------------------------------
# With the same images in the same order, both give the same weights, bit for bit.


def trained(images):
    """A small network after two epochs on 40 images."""
    torch.manual_seed(0)
    network = eyespot.create("small_w16", widths=(8, 8, 8))
    optimizer = torch.optim.SGD(network.parameters(), 0.05)
    for rows in torch.arange(40).repeat(2).split(20):
        x = (images(rows).float() - 127.5) / 64
        loss = nn.functional.cross_entropy(network(x), copy_labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.state_dict()


def on_the_fly(rows):
    """Images changed when they are needed."""
    changed = []
    for row in rows.tolist():
        x = originals[row : row + 1]
        changed.append(pipeline.apply(x, pipeline.sample(torch.Generator().manual_seed(seeds[row]), x.shape)))
    return torch.cat(changed)


from_files = trained(lambda rows: written[rows])
from_transforms = trained(on_the_fly)
without = trained(lambda rows: originals[rows])
assert all(torch.equal(from_files[name], from_transforms[name]) for name in from_files)
assert not torch.equal(from_files["fc.weight"], without["fc.weight"])

# %%
# What differs in practice is how many versions there are: an enlarged set has as many as were written, and on the fly there
# is a new one in each epoch.

# %%
# Statement 2.4: the two forms agree within the interval, and augmentation pays
# -----------------------------------------------------------------------------
# For each of four seeds: 1,000 pictures of CIFAR-10, a network of 38,978 weights, 40,000 images seen. Without augmentation
# these are the originals 40 times; from the enlarged set, the originals and nine copies of each, four times; on the fly, 40
# versions of each. The networks predict the same 2,000 other pictures. Without augmentation, so small a set is learned by heart,
# and longer training makes the network worse: hence two more networks, which stop after 10 and 20 epochs. Augmentation is worth what it
# gains over the best of the three.

stored = json.loads((HERE / "models" / "augmentation.json").read_text())
assert stored["augment"] == PIPELINE


def shown(score):
    return f"{100 * score['value']:5.1f} ({100 * score['low']:.1f} to {100 * score['high']:.1f})"


print(f"n = {stored['n']}, seeds {stored['seeds']}; mean over the seeds with its 95% interval")
for name, score in stored["mean"].items():
    print(f"{name:30}{shown(score)}")
print("differences of accuracy, seed by seed, in points")
for name, score in stored["differences"].items():
    print(f"{name:30}{shown(score)}")

for name, values in stored["accuracy"].items():
    assert len(values) == len(stored["seeds"])
    assert abs(np.mean(values) - stored["mean"][name]["value"]) < 1e-9
same = stored["differences"]["on the fly - enlarged"]
assert same["low"] < 0 < same["high"]
assert stored["differences"]["on the fly - none"]["low"] > 0
assert stored["differences"]["enlarged - none"]["low"] > 0
shorter = [name for name in stored["accuracy"] if name.startswith("none,")]
best = max(shorter, key=lambda name: stored["mean"][name]["value"])
assert np.all(np.subtract(stored["accuracy"][best], stored["accuracy"]["none"]) > 0)
assert stored["differences"][f"on the fly - {best}"]["low"] > 0

figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
for i, (name, values) in enumerate(stored["accuracy"].items()):
    score = stored["mean"][name]
    axis.plot(100 * np.array(values), np.full(len(values), i + 0.2), "o", color="#9aa3af", markersize=4)
    middle = 100 * score["value"]
    axis.errorbar(
        middle,
        i,
        xerr=[[middle - 100 * score["low"]], [100 * score["high"] - middle]],
        fmt="o",
        color=BLUE,
        capsize=4,
    )
axis.set_yticks(range(len(stored["accuracy"])), stored["accuracy"])
axis.set(xlabel="accuracy on 2,000 pictures (%)", ylim=(4.6, -0.5))
axis.grid(alpha=0.3)
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# A grey dot is one network; the blue one is their mean with its interval.

# %%
# Statement 2.5: these are the networks, and they still predict the same
# ----------------------------------------------------------------------
# The networks of the first seed lie beside this page, with weights of 16 bits. They are loaded into the code as it is now, and
# predict the 20 pictures again: as many are right as when they were stored.

for name in ("none", "enlarged", "on the fly"):
    network = eyespot.create("small_w16", widths=(16, 32, 32)).eval()
    file = HERE / "models" / f"augmentation-{name.replace(' ', '-')}.safetensors"
    network.load_state_dict(load_file(file))
    with torch.no_grad():
        predicted = network((pictures.float() - 127.5) / 64).argmax(1)
    right = int((predicted == labels).sum())
    print(f"{name}: {right} of 20 right")
    assert right == stored["right_of_pictures"][name]
    assert sum(p.numel() for p in network.parameters()) == 38978
