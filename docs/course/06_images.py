r"""
6. Convolution of images
========================

An image :math:`X` and a kernel :math:`W` have two axes, and so has the sum:

.. math:: (X * W)_{ij} = \sum_{m, n} W_{mn}\, X_{i-m+1,\, j-n+1}.
"""

from time import process_time

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image

from eyespot.convolution import as_matrix, convolve, correlate, matrix_text, parameters

BLUE = "#9cc7d8"
ORANGE = "#f3bf9a"
PALE = "#f1f3f5"

# %%
# Statement 6.1: the formula, and what is computed
# ------------------------------------------------


def by_formula(X, W):
    """Four loops that count from 1, as the formula does."""
    H, V = X.shape
    M, N = W.shape
    Y = np.zeros((H + M - 1, V + N - 1))
    for i in range(1, H + M):
        for j in range(1, V + N):
            for m in range(1, M + 1):
                for n in range(1, N + 1):
                    if 1 <= i - m + 1 <= H and 1 <= j - n + 1 <= V:
                        Y[i - 1, j - 1] += W[m - 1, n - 1] * X[i - m, j - n]
    return Y


rng = np.random.default_rng(0)
X = rng.normal(size=(6, 7))
W = rng.normal(size=(3, 2))
assert np.allclose(convolve(X, W), by_formula(X, W))
assert np.allclose(convolve(X, W), convolve(W, X))

# %%
# Statement 6.2: each output is a small window of the image, weighted
# -------------------------------------------------------------------
# The schematic of every course, here without the flip, as networks compute it. Its texts come from the matrix of the
# operation: each row names the weights of one output.

letters = np.array(list("abcdefghijkl")).reshape(3, 4)
weights = np.array([["w11", "w12"], ["w21", "w22"]])
named = matrix_text((2, 2), (3, 4), mode="valid", operation="correlate")
sums = []
for line in named.splitlines():
    terms = [
        f"{letter} {name}" for letter, name in zip(letters.ravel(), line.split(), strict=True) if name != "0"
    ]
    sums.append(" + ".join(terms))
print(*sums, sep="\n")

assert len(sums) == 6
assert sums[0] == "a w11 + b w12 + e w21 + f w22"
assert sums[-1] == "g w11 + h w12 + k w21 + l w22"

numbers = dict(zip("abcdefghijkl", range(1, 13), strict=True)) | {
    "w11": 1,
    "w12": 10,
    "w21": 100,
    "w22": 1000,
}
values = [sum(numbers[a] * numbers[b] for a, b in map(str.split, text.split(" + "))) for text in sums]
computed = correlate(np.arange(1, 13).reshape(3, 4), [[1, 10], [100, 1000]], mode="valid")
assert np.array_equal(computed.ravel(), values)

# %%
# The picture shows the second output and its window.


def boxes(axis, texts, left, top, width, marked, colour, size=11):
    """A table of texts; those in `marked` in colour."""
    for (i, j), text in np.ndenumerate(texts):
        fill = colour if (i, j) in marked else PALE
        axis.add_patch(
            plt.Rectangle(
                (left + j * width, top + i), width, 1, facecolor=fill, edgecolor="white", linewidth=2
            )
        )
        axis.text(
            left + (j + 0.5) * width,
            top + i + 0.5,
            text,
            ha="center",
            va="center",
            fontsize=size,
            color="#222222",
        )


def two_lines(text):
    a, b, c, d = text.split(" + ")
    return f"{a} + {b}\n+ {c} + {d}"


outputs = np.array([two_lines(text) for text in sums]).reshape(2, 3)
figure, axis = plt.subplots(figsize=(7, 2.1), layout="constrained")
boxes(axis, letters, 0, 0, 1, {(0, 1), (0, 2), (1, 1), (1, 2)}, ORANGE)
boxes(axis, weights, 4.6, 0.5, 1, {(0, 0), (0, 1), (1, 0), (1, 1)}, BLUE)
boxes(axis, outputs, 7.2, 0.5, 2.35, {(0, 1)}, ORANGE, size=9)
for place, text in ((2, "image, 3 x 4"), (5.6, "kernel"), (10.7, "output, 2 x 3")):
    axis.text(place, -0.25, text, ha="center", va="bottom")
axis.text(4.3, 1.5, "*", fontsize=16, ha="center", va="center")
axis.text(6.9, 1.5, "=", fontsize=16, ha="center", va="center")
axis.set(xlim=(-0.05, 14.3), ylim=(3.1, -0.8))
axis.axis("off")
plt.show()

# %%
# Statement 6.3: its matrix is doubly block circulant on a circle
# ---------------------------------------------------------------
# The image is read row by row into a vector of 36 numbers. The matrix has a block for each pair of rows; the blocks are
# circulant, and so is their pattern. With zeros outside, read Toeplitz for circulant. The picture has a colour for each of
# the nine weights.

side = 6
kernel = np.arange(1, 10).reshape(3, 3)
circulant = as_matrix(kernel, (side, side), mode="same", boundary="circular").toarray()
toeplitz = as_matrix(kernel, (side, side), mode="same").toarray()
image = rng.integers(0, 10, (side, side))
assert np.array_equal(
    circulant @ image.ravel(), convolve(image, kernel, mode="same", boundary="circular").ravel()
)
assert np.array_equal(toeplitz @ image.ravel(), convolve(image, kernel, mode="same").ravel())

blocks = circulant.reshape(side, side, side, side).swapaxes(1, 2)
for i in range(side):
    for k in range(side):
        block = blocks[i, k]
        assert np.array_equal(block, np.roll(block, (1, 1), (0, 1)))
        assert np.array_equal(block, blocks[(i + 1) % side, (k + 1) % side])

flat = toeplitz.reshape(side, side, side, side).swapaxes(1, 2)
assert np.array_equal(flat[1, 0], flat[2, 1]) and not flat[0, side - 1].any()

figure, axes = plt.subplots(1, 2, figsize=(7, 3.7), layout="constrained")
palette = np.vstack([[0.95, 0.955, 0.96], plt.get_cmap("tab10").colors[:9]])
for axis, matrix, title in zip(axes, (toeplitz, circulant), ("zeros outside", "circular"), strict=True):
    axis.imshow(palette[matrix])
    for edge in range(side, side**2, side):
        axis.axvline(edge - 0.5, color="white", linewidth=1.5)
        axis.axhline(edge - 0.5, color="white", linewidth=1.5)
    axis.set_title(title)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
plt.show()

# %%
# Statement 6.4: nobody instantiates that matrix
# ----------------------------------------------
# For a grey photograph of 512 x 512 pixels it would have 69 thousand million entries, of which 9 in each row are not zero.

pixels = 512 * 512
entries = parameters((3, 3), (512, 512), mode="same")
print(
    f"entries: {entries.dense:,}, in float32: {entries.dense * 4 / 2**30:.0f} GiB, weights: {entries.convolution}"
)
assert entries.dense == pixels**2 == 2**36
assert entries.dense * 4 == 256 * 2**30
sparse = as_matrix(np.ones((3, 3)), (512, 512), mode="same")
assert sparse.nnz < 9 * pixels and sparse.nnz > 8.9 * pixels

# %%
# Even for 48 x 48 pixels the product with the matrix takes much longer than the operation. Both are timed by the
# processor's clock, one after the other, and the medians compared.

small = rng.normal(size=(48, 48))
kernel = rng.normal(size=(3, 3))
matrix = as_matrix(kernel, small.shape, mode="same").toarray()
assert np.allclose(matrix @ small.ravel(), convolve(small, kernel, mode="same").ravel())


def seconds(run):
    start = process_time()
    for _ in range(5):
        run()
    return (process_time() - start) / 5


times = np.array(
    [
        (seconds(lambda: matrix @ small.ravel()), seconds(lambda: convolve(small, kernel, mode="same")))
        for _ in range(15)
    ]
)
ratio = float(np.median(times[:, 0]) / np.median(times[:, 1]))
print(
    f"the matrix takes {matrix.nbytes / small.nbytes:.0f} times the memory of the image and {ratio:.0f} times as long"
)
assert matrix.nbytes == 48 * 48 * small.nbytes
assert ratio > 3

# %%
# Statement 6.5: the filter [1 -1] finds upright edges in a photograph
# --------------------------------------------------------------------
# The difference of neighbours is zero where an image is even, and large at an edge. Commander Grace Hopper, 600 x 512
# pixels; the photograph is in the public domain and comes with matplotlib.

with get_sample_data("grace_hopper.jpg") as file:
    photo = np.asarray(Image.open(file).convert("L"))
edges = convolve(photo, [[1, -1]], mode="valid")
assert photo.shape == (600, 512) and edges.shape == (600, 511)
assert np.array_equal(edges, np.diff(photo.astype(int), axis=1))

level = convolve(photo, [[1], [-1]], mode="valid")
figure, axes = plt.subplots(1, 3, figsize=(7, 3.1), layout="constrained")
axes[0].imshow(photo, cmap="gray")
axes[0].set_title("photograph")
axes[1].imshow(edges, cmap="gray", vmin=-60, vmax=60)
axes[1].set_title("1 -1: upright edges")
axes[2].imshow(level, cmap="gray", vmin=-60, vmax=60)
axes[2].set_title("1; -1: level edges")
for axis in axes:
    axis.set_xticks([])
    axis.set_yticks([])
plt.show()

# %%
# A picture of stripes has edges of one kind only.

upright = np.tile([0, 0, 9, 9], (8, 3))
assert np.abs(convolve(upright, [[1, -1]], mode="valid")).sum() > 0
assert not convolve(upright, [[1], [-1]], mode="valid").any()

# %%
# Statement 6.6: the same by a matrix product costs a hundred thousand times as much
# ----------------------------------------------------------------------------------
# Two multiplications for each of the 600 x 511 outputs, against one for each pair of an output and a pixel.

cost = 2 * edges.size
product = parameters((1, 2), photo.shape, mode="valid").dense
print(f"operation: {cost:,} multiplications; matrix product: {product:,}; ratio {product / cost:,.0f}")
assert cost == 613_200
assert product == edges.size * photo.size == 94_187_520_000
assert product / cost == photo.size / 2 == 153_600
