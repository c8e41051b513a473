r"""
4. Convolution
==============

The convolution of two functions is

.. math:: (f * g)(t) = \int f(s)\, g(t - s)\, ds,

and the discrete one of a signal :math:`x` with :math:`D` samples and a kernel :math:`w` with :math:`M` weights is

.. math:: (x * w)_d = \sum_{m=1}^{M} w_m\, x_{d-m+1}, \qquad d = 1, \dots, D + M - 1.

Samples outside the signal are zero. All pages count in this way: see :doc:`the table of notation </course/notation>`.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from eyespot.convolution import convolve, convolve_functions, correlate

BLUE = "#1f6f8b"
ORANGE = "#c2410c"
GREY = "#6b7280"

# %%
# Statement 4.1: the integral can be computed by sampling, and its error estimated
# --------------------------------------------------------------------------------
# Take f(s) = s² and g(s) = 1, both between 0 and 1 and zero outside. The integral is then known: t³ / 3 up to t = 1, and
# (1 - (t - 1)³) / 3 from there to t = 2. Each function is sampled in the middle of small cells, which makes the integral
# a sum: the discrete convolution, times the width of a cell.


def f(s):
    return s**2


def g(s):
    return np.ones_like(s)


def exact(t):
    return np.where(t < 1, t**3 / 3, (1 - (t - 1) ** 3) / 3)


print("cells   largest error   estimate")
largest = {}
for cells in (8, 64, 512):
    result = convolve_functions(f, g, (0, 1), (0, 1), cells=cells)
    error = np.abs(result.values - exact(result.points[0]))
    largest[cells] = error.max()
    print(f"{cells:5}   {error.max():13.1e}   {result.error.max():8.1e}")
    assert np.all(error <= result.error + 1e-12)

assert 0 < largest[512] < 1e-6

# %%
# The estimate needs no formula: it is the change of the result when each cell is halved. The error falls with the square
# of the width of a cell, here with cells that are eight times as small to a 64th.

assert 60 < largest[8] / largest[64] < 68

# %%
# Statement 4.2: (f * g)(t) is the area under the product of f and the mirrored, shifted g
# ----------------------------------------------------------------------------------------
# For each t, g is mirrored and moved to t, multiplied by f, and the area is one value of the result.

result = convolve_functions(f, g, (0, 1), (0, 1), cells=256)
t = 1.4
s = np.linspace(-0.5, 2, 2001)
f_values = np.where((s > 0) & (s < 1), f(s), 0)
g_values = np.where((t - s > 0) & (t - s < 1), g(t - s), 0)
area = np.sum(f_values * g_values) * (s[1] - s[0])
at_t = np.interp(t, result.points[0], result.values)
assert abs(area - at_t) < 0.002

figure, axes = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained")
axes[0].plot(s, f_values, color=BLUE, label="f(s)")
axes[0].plot(s, g_values, color=ORANGE, label=f"g({t} - s)")
axes[0].fill_between(s, f_values * g_values, color=GREY, alpha=0.35, label=f"area {area:.2f}")
axes[0].set(xlabel="s", ylim=(0, 1.55))
axes[0].legend(frameon=False, ncols=3, loc="upper center", columnspacing=1, handlelength=1.2)
axes[1].plot(result.points[0], result.values, color=GREY)
axes[1].plot(t, at_t, "o", color=GREY)
axes[1].annotate(f"({t}, {at_t:.2f})", (t, at_t), xytext=(6, 4), textcoords="offset points")
axes[1].set(xlabel="t", ylabel="(f * g)(t)", ylim=(0, 0.6))
plt.show()

# %%
# Statement 4.3: the discrete convolution is the same with a sum
# --------------------------------------------------------------
# The formula, written as two loops. It counts from 1, and Python from 0: hence each "- 1".


def by_formula(x, w):
    D, M = len(x), len(w)
    y = np.zeros(D + M - 1)
    for d in range(1, D + M):
        for m in range(1, M + 1):
            if 1 <= d - m + 1 <= D:
                y[d - 1] += w[m - 1] * x[d - m + 1 - 1]
    return y


x = np.array([2, 1, 0, 3, 1])
w = np.array([1, 2, -1])
print(convolve(x, w))
assert np.array_equal(convolve(x, w), by_formula(x, w))

rng = np.random.default_rng(0)
for D, M in ((1, 1), (5, 3), (3, 5), (40, 7)):
    signal = rng.normal(size=D)
    kernel = rng.normal(size=M)
    assert np.allclose(convolve(signal, kernel), by_formula(signal, kernel))

# %%
# The picture shows how one output comes about: the kernel is flipped and laid over the signal.

d = 4
flipped = w[::-1]
y = convolve(x, w)
figure, axes = plt.subplots(3, 1, figsize=(7, 3.6), layout="constrained", sharex=True)
axes[0].bar(np.arange(1, 6), x, color=BLUE, width=0.6)
axes[0].set_ylabel("x")
axes[1].bar(np.arange(d - 2, d + 1), flipped, color=ORANGE, width=0.6)
axes[1].set_ylabel(f"w, flipped,\nat d = {d}")
colours = [GREY if i + 1 == d else "#c7ccd4" for i in range(len(y))]
axes[2].bar(np.arange(1, len(y) + 1), y, color=colours, width=0.6)
axes[2].set(ylabel="x * w", xlabel="d")
axes[2].set_xticks(range(1, len(y) + 1))
for axis in axes:
    axis.axhline(0, color="black", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
plt.show()

assert y[d - 1] == np.sum(x[d - 3 : d] * flipped)

# %%
# Statement 4.4: convolution is commutative
# -----------------------------------------
# f * g = g * f and x * w = w * x: substitute t - s for s. It holds for functions and for samples.

swapped = convolve_functions(g, f, (0, 1), (0, 1), cells=256)
assert np.allclose(swapped.values, result.values)
assert np.array_equal(convolve(w, x), convolve(x, w))

# %%
# It is associative and linear too, which page 5 uses: whatever is linear is a matrix.

v = np.array([4, -3])
assert np.array_equal(convolve(convolve(x, w), v), convolve(x, convolve(w, v)))
assert np.array_equal(convolve(3 * x + x[::-1], w), 3 * convolve(x, w) + convolve(x[::-1], w))

# %%
# Statement 4.5: what networks call convolution is a correlation
# --------------------------------------------------------------
# A layer of PyTorch computes the sum over w_m x_{d+m-1}, without the flip, and a flip is all that lies
# between the two. That sum is not commutative.

layer = torch.nn.Conv1d(1, 1, 3, bias=False)
with torch.no_grad():
    layer.weight[:] = torch.tensor(w, dtype=torch.float32)
    by_torch = layer(torch.tensor(x, dtype=torch.float32)[None, None])[0, 0].numpy()

print("torch.nn.Conv1d       ", by_torch)
print("correlate             ", correlate(x, w, mode="valid"))
print("convolve with the flip", convolve(x, w[::-1], mode="valid"))
assert np.array_equal(by_torch, correlate(x, w, mode="valid"))
assert np.array_equal(by_torch, convolve(x, w[::-1], mode="valid"))
assert not np.array_equal(correlate(x, w), correlate(w, x))

# %%
# Change it: with a kernel that equals its own mirror image, such as (1, 2, 1), both operations give the same. With
# any other kernel they differ.

symmetric = np.array([1, 2, 1])
assert np.array_equal(convolve(x, symmetric), correlate(x, symmetric))
