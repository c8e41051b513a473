r"""
5. Convolution as a matrix
==========================

Convolution is linear, so there is a matrix :math:`A` with :math:`A x = x * w`. It has few different numbers in it.
"""

import matplotlib.pyplot as plt
import numpy as np

from eyespot.convolution import adjoint, as_matrix, convolve, correlate, matrix_text, parameters

D, M = 5, 3

# %%
# Statement 5.1: for M = 3 and D = 5 it is a 7 x 5 Toeplitz matrix
# ----------------------------------------------------------------
# Row d holds what makes output d. Each column has the three weights, one row further down than the column before.

text = matrix_text((M,), (D,))
print(text)

assert text.splitlines() == [
    "w1  0  0  0  0",
    "w2 w1  0  0  0",
    "w3 w2 w1  0  0",
    " 0 w3 w2 w1  0",
    " 0  0 w3 w2 w1",
    " 0  0  0 w3 w2",
    " 0  0  0  0 w3",
]

# %%
# Toeplitz means: constant along each diagonal, so that A_dj = w_{d-j+1} depends on d - j only.

w = np.array([2, 7, 1])
A = as_matrix(w, (D,)).toarray()
assert A.shape == (D + M - 1, D) == (7, 5)
for offset in range(1 - A.shape[0], A.shape[1]):
    diagonal = A.diagonal(offset)
    expected = w[-offset] if 0 <= -offset < M else 0
    assert np.all(diagonal == expected)


def draw(axis, names, title):
    """A matrix of names, a colour for each weight."""
    colours = {"w1": "#9cc7d8", "w2": "#f3bf9a", "w3": "#c5d9a4"}
    for i, row in enumerate(names):
        for j, name in enumerate(row):
            axis.add_patch(
                plt.Rectangle((j, i), 1, 1, facecolor=colours.get(name, "#f1f3f5"), edgecolor="white")
            )
            shown = f"$w_{name[1]}$" if name in colours else "0"
            axis.text(j + 0.5, i + 0.5, shown, ha="center", va="center", fontsize=11, color="#222222")
    axis.set(xlim=(0, len(names[0])), ylim=(7, 0), aspect="equal", title=title)
    axis.axis("off")


def cells(text):
    return [row.split() for row in text.splitlines()]


figure, axes = plt.subplots(1, 2, figsize=(7, 3.6), layout="constrained")
draw(axes[0], cells(text), "full: 7 x 5")
draw(axes[1], cells(matrix_text((M,), (D,), mode="valid")), "valid: 3 x 5")
plt.show()

# %%
# Statement 5.2: the product with this matrix is the convolution
# --------------------------------------------------------------

rng = np.random.default_rng(0)
for _ in range(20):
    x = rng.integers(-9, 10, D)
    weights = rng.integers(-9, 10, M)
    assert np.array_equal(as_matrix(weights, (D,)) @ x, convolve(x, weights))

# %%
# Statement 5.3: "valid" is the 3 x 5 matrix, which is three rows of the large one
# --------------------------------------------------------------------------------
# Only the windows that lie inside the signal are kept: d = 3, 4, 5.

valid = as_matrix(w, (D,), mode="valid").toarray()
print(matrix_text((M,), (D,), mode="valid"))
assert valid.shape == (D - M + 1, D) == (3, 5)
assert np.array_equal(valid, A[M - 1 : D])

# %%
# Statement 5.4: the large one is "valid" on a signal padded with zeros
# ---------------------------------------------------------------------
# M - 1 = 2 zeros on either side make nine samples of five, and the 7 x 9 matrix of "valid" gives all seven outputs. The
# columns that meet the zeros do nothing: without them, the matrix is the one above.

x = np.array([2, 1, 0, 3, 1])
padded = np.pad(x, M - 1)
assert np.array_equal(convolve(padded, w, mode="valid"), convolve(x, w))
wide = as_matrix(w, padded.shape, mode="valid").toarray()
assert wide.shape == (7, 9)
assert np.array_equal(wide[:, M - 1 : -(M - 1)], A)

# %%
# Statement 5.5: few parameters
# -----------------------------
# A dense layer between the same five inputs and seven outputs has a weight for each pair. The matrix of the convolution has
# 15 entries that are not zero, and they are three numbers.

count = parameters((M,), (D,))
print(
    f"dense: {count.dense} weights, entries of the convolution that are not zero: {np.count_nonzero(A)}, weights: {count.convolution}"
)
assert count.dense == A.size == 35
assert np.count_nonzero(A) == D * M == 15
assert count.convolution == len(np.unique(A[A != 0])) == 3

# %%
# The dense layer grows with the square of the signal, and the convolution not at all.

sizes = np.array([5, 50, 500, 5000])
dense = [parameters((M,), (int(n),)).dense for n in sizes]
shared = [parameters((M,), (int(n),)).convolution for n in sizes]
assert dense[-1] == 5002 * 5000
assert shared == [3, 3, 3, 3]

figure, axis = plt.subplots(figsize=(7, 2.8), layout="constrained")
axis.loglog(sizes, dense, "o-", color="#c2410c", label="dense layer")
axis.loglog(sizes, shared, "o-", color="#1f6f8b", label="convolution with M = 3")
axis.set(xlabel="samples D", ylabel="weights")
axis.legend(frameon=False)
axis.grid(alpha=0.3)
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Statement 5.6: the transposed matrix is a convolution too
# ---------------------------------------------------------
# Its kernel is flipped. It carries gradients back from the outputs to the inputs, which makes it the second half of
# learning: the gradient of a loss with respect to x is the transpose times the gradient with respect to y.

y = rng.integers(-9, 10, D + M - 1)
assert np.array_equal(A.T @ y, adjoint(y, w, (D,)))
assert np.array_equal(A.T @ y, correlate(y, w, mode="valid"))
