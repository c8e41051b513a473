"""
3. Invariance built in
======================

Augmentation teaches a network by examples what does not change the label. A convolution has one such piece of
knowledge built in: what lies close together belongs together, and a feature is the same wherever it lies.
"""

from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image

import eyespot
from eyespot.convolution import as_matrix, convolve, correlate

BLUE = "#1f6f8b"
ORANGE = "#c2410c"
GREY = "#6b7280"

# %%
# Statement 3.1: neighbouring pixels carry similar information
# ------------------------------------------------------------
# The correlation of two pixels falls with their distance. It is measured on a photograph of Grace Hopper (public domain,
# part of matplotlib), on 20 small pictures of CIFAR-10 (Krizhevsky 2009; they come with the package foolbox), and on the
# photograph with its pixels shuffled.


def correlation(image, distances):
    """Of pixels that lie so far apart in a row."""
    return np.array([np.corrcoef(image[:, d:].ravel(), image[:, :-d].ravel())[0, 1] for d in distances])


with get_sample_data("grace_hopper.jpg") as file:
    photo = np.asarray(Image.open(file).convert("L"), float)
rng = np.random.default_rng(0)
shuffled = rng.permutation(photo.ravel()).reshape(photo.shape)
foolbox = find_spec("foolbox")
assert foolbox and foolbox.origin, "the pictures of this page come with a package: pip install foolbox"
files = sorted((Path(foolbox.origin).parent / "data").glob("cifar10_*.png"))
rows = np.stack([np.asarray(Image.open(file).convert("L"), float) for file in files])

far = np.array([1, 2, 4, 8, 16, 32, 64, 128])
near = far[far < 32]
of_photo = correlation(photo, far)
of_pictures = np.array([np.corrcoef(rows[:, :, d:].ravel(), rows[:, :, :-d].ravel())[0, 1] for d in near])
of_shuffled = correlation(shuffled, far)

print("neighbours in the photograph:", of_photo[0].round(3))
print("neighbours in the small pictures:", of_pictures[0].round(3))
print("neighbours after shuffling:", of_shuffled[0].round(3))
assert of_photo[0] > 0.95 and of_pictures[0] > 0.9
assert np.all(np.diff(of_photo) < 0) and np.all(np.diff(of_pictures) < 0)
assert np.abs(of_shuffled).max() < 0.02

figure, axis = plt.subplots(figsize=(7, 2.8), layout="constrained")
axis.semilogx(far, of_photo, "o-", base=2, color=BLUE, label="photograph, 600 x 512")
axis.semilogx(near, of_pictures, "s-", base=2, color=ORANGE, label="20 pictures, 32 x 32")
axis.semilogx(far, of_shuffled, "^-", base=2, color=GREY, label="photograph, pixels shuffled")
axis.set(xlabel="distance in pixels", ylabel="correlation", ylim=(-0.1, 1.05))
axis.set_xticks(far, far)
axis.legend(frameon=False, loc="center left", bbox_to_anchor=(0, 0.35))
axis.spines[["top", "right"]].set_visible(False)
axis.grid(alpha=0.3)
plt.show()

# %%
# So a small kernel already sees what belongs together. A correlation in the sense of the later pages computes such sums of
# products for all distances at once: a row of pixels correlated with itself.

row = photo[300] - photo[300].mean()
products = correlate(row, row)
middle = len(row) - 1
for d in (0, 1, 5):
    assert np.isclose(products[middle + d], np.sum(row[d:] * row[: len(row) - d]))

# %%
# Statement 3.2: where a feature moves, its place in the map moves with it
# ------------------------------------------------------------------------
# The kernel is a small cross; it is looked for in an image with noise. Where the cross is moved by 20 columns and 5 rows,
# the largest value of the map moves by as much.

cross = np.zeros((7, 7))
cross[3] = 1
cross[:, 3] = 1
kernel = cross - cross.mean()


def image_with_cross(top, left):
    image = np.random.default_rng(1).normal(0, 0.25, (48, 64))
    image[top : top + 7, left : left + 7] += cross
    return image


def place_of_maximum(feature_map):
    return tuple(int(i) for i in np.unravel_index(feature_map.argmax(), feature_map.shape))


figure, axes = plt.subplots(2, 2, figsize=(7, 5.2), layout="constrained")
places = []
for (shown, response), (top, left) in zip(axes, [(10, 12), (15, 32)], strict=True):
    image = image_with_cross(top, left)
    feature_map = correlate(image, kernel, mode="valid")
    places.append(place_of_maximum(feature_map))
    shown.imshow(image, cmap="gray")
    shown.set_title(f"cross at row {top}, column {left}")
    response.imshow(feature_map, cmap="gray")
    response.plot(places[-1][1], places[-1][0], "o", markersize=14, markerfacecolor="none", color=ORANGE)
    response.set_title(f"largest value at {places[-1]}")
for axis in axes.flat:
    axis.set_xticks([])
    axis.set_yticks([])
plt.show()

assert places == [(10, 12), (15, 32)]

# %%
# It holds for each value of the map and for any kernel: shift, then convolve, is convolve, then shift. On a circle, where
# nothing leaves the image, the two are equal in every value.

image = rng.normal(size=(24, 24))
any_kernel = rng.normal(size=(5, 3))
circular = {"mode": "same", "boundary": "circular"}
shifted_first = convolve(np.roll(image, (3, 7), (0, 1)), any_kernel, **circular)
shifted_last = np.roll(convolve(image, any_kernel, **circular), (3, 7), (0, 1))
assert np.allclose(shifted_first, shifted_last, rtol=0, atol=1e-12)

# %%
# Statement 3.3: among linear layers, only the convolution has this
# -----------------------------------------------------------------
# A dense layer with random weights does not commute with shifts. A matrix that commutes with the shift by one sample is
# circulant, which is the matrix of a circular convolution: averaging any matrix over all shifts leaves a circulant one, and
# a matrix that commutes with shifts is its own average.

n = 12
dense = rng.normal(size=(n, n))
x = rng.normal(size=n)
assert not np.allclose(dense @ np.roll(x, 1), np.roll(dense @ x, 1))

averaged = np.mean([np.roll(dense, (k, k), (0, 1)) for k in range(n)], 0)
assert np.allclose(averaged @ np.roll(x, 1), np.roll(averaged @ x, 1))
as_kernel = averaged[:, 0]
assert np.allclose(averaged @ x, np.fft.ifft(np.fft.fft(as_kernel) * np.fft.fft(x)).real)
centred = np.roll(as_kernel, (n - 1) // 2)
assert np.allclose(averaged, as_matrix(centred, (n,), **circular).toarray())
again = np.mean([np.roll(averaged, (k, k), (0, 1)) for k in range(n)], 0)
assert np.allclose(again, averaged)

# %%
# Statement 3.4: a network keeps it up to its stride
# --------------------------------------------------
# This network halves its maps three times, and takes the largest value of each map at the end. A shift by 8 pixels leaves
# its logits as they are, whatever its weights. A shift by one pixel does not, because another half of the samples is
# kept: page 7 measures how much that matters.

torch.manual_seed(0)
network = eyespot.create("small_w16", padding="circular").eval()
batch = torch.from_numpy(rng.normal(size=(4, 3, 32, 32)).astype(np.float32))
with torch.no_grad():
    logits = network(batch)
    by_eight = network(batch.roll((8, 16), (2, 3)))
    by_one = network(batch.roll((0, 1), (2, 3)))

print("largest change by a shift of 8 pixels:", float((by_eight - logits).abs().max()))
print("largest change by a shift of 1 pixel:", float((by_one - logits).abs().max()))
assert torch.allclose(by_eight, logits, rtol=0, atol=1e-5)
assert (by_one - logits).abs().max() > 1e-3
