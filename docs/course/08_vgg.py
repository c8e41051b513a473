"""
8. VGG
======

VGG (Simonyan & Zisserman 2014) is a convolutional network at its plainest: 3 x 3 convolutions, ReLU and max-pooling, and
three dense layers at the end. This page takes it apart with ``eyespot.inspect``, which runs a network without values, so
that the largest one takes no memory.
"""

import matplotlib.pyplot as plt
from torch import nn

import eyespot
from eyespot.anatomy.picture import draw_field, draw_maps
from eyespot.convolution import Layer, output_size, receptive_field

BLUE = "#1f6f8b"
ORANGE = "#c2410c"
NAMES = ("vgg11", "vgg13", "vgg16", "vgg19")

described = {name: eyespot.inspect(name) for name in NAMES}


def with_weights(description):
    """The layers that have parameters of their own."""
    return [layer for layer in description.layers if layer.own_parameters]


# %%
# Statement 8.1: VGG is a table
# -----------------------------
# Each column is a network, from the image at the top to the classes at the bottom; conv3-64 is a convolution of 3 x 3 with
# 64 filters. The table is read from the modules of the networks. The number in a network's name is the number of its layers
# with weights.


def rows_of(description):
    """Texts of the layers, in the order of the calls: convolutions, poolings and dense layers."""
    texts = []
    for layer in description.layers:
        if layer.kind == "Conv2d":
            texts.append(f"conv3-{layer.output_shape[0]}")
        elif layer.kind == "MaxPool2d":
            texts.append("maxpool")
        elif layer.kind == "Linear":
            texts.append(f"dense-{layer.output_shape[0]}")
    return texts


def levels_of(texts):
    """The rows, divided where the image is halved."""
    levels = [[]]
    for text in texts:
        if text == "maxpool":
            levels.append([])
        else:
            levels[-1].append(text)
    return levels


levels = {name: levels_of(rows_of(d)) for name, d in described.items()}
print("".join(f"{name:>13}" for name in NAMES))
for number in range(6):
    rows = max(len(levels[name][number]) for name in NAMES)
    for row in range(rows):
        cells = (levels[name][number][row : row + 1] or [""] for name in NAMES)
        print("".join(f"{cell[0]:>13}" for cell in cells))
    if number < 5:
        print("".join(f"{'maxpool':>13}" for _ in NAMES))

for name in NAMES:
    assert len(with_weights(described[name])) == int(name[3:])
    assert [len(level) for level in levels[name]][5] == 3
assert [len(level) for level in levels["vgg16"]] == [2, 2, 3, 3, 3, 3]

with_modules = eyespot.create("vgg11", hidden=8, grid=1, classes=2)
convolutions = [m for m in with_modules.modules() if isinstance(m, nn.Conv2d)]
assert len(convolutions) == 8
assert all(m.kernel_size == (3, 3) and m.padding == (1, 1) and m.stride == (1, 1) for m in convolutions)

# %%
# Statement 8.2: the image is halved five times, and the channels are doubled up to 512
# -------------------------------------------------------------------------------------
# A 3 x 3 convolution with one zero at each edge keeps the size, and a pooling of two halves it. A unit of the last maps
# sees 212 of the 224 pixels along each axis.

vgg16 = described["vgg16"]
shapes = [layer.output_shape for layer in vgg16.layers if layer.kind == "MaxPool2d"]
print("after each max-pooling:", *(" x ".join(map(str, shape)) for shape in shapes), sep="\n")
assert shapes == [(64, 112, 112), (128, 56, 56), (256, 28, 28), (512, 14, 14), (512, 7, 7)]

chain = [layer for n in (2, 2, 3, 3, 3) for layer in [*[Layer(3, padding=1)] * n, Layer(2, stride=2)]]
assert output_size(224, chain) == 7
assert receptive_field(chain).size == vgg16.receptive_field == 212

figure, axes = plt.subplots(2, 1, figsize=(7, 4.6), layout="constrained", sharex=True)
weighted = [layer for layer in vgg16.layers if layer.own_multiply_adds]
draw_maps(axes[0], weighted)
draw_field(axes[1], weighted, 224)
axes[1].set_xlabel("layer of VGG-16 with weights")
axes[1].set_xticks(range(1, 17))
for axis in axes:
    axis.legend(frameon=False)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Statement 8.3: two convolutions of 3 x 3 see as much as one of 5 x 5, and have fewer weights
# --------------------------------------------------------------------------------------------
# Three see as much as one of 7 x 7, with 27 weights for each pair of channels instead of 49, and two more nonlinearities.


def weights(width, layers, channels=64):
    kernel = eyespot.Kit(norm="none").conv(channels, channels, width, bias=False).weight
    return layers * kernel.numel()


for layers, width in ((2, 5), (3, 7)):
    assert receptive_field([Layer(3)] * layers) == receptive_field(Layer(width))
    print(
        f"{layers} of 3 x 3: {weights(3, layers):,} weights; one of {width} x {width}: {weights(width, 1):,}"
    )
assert weights(3, 3) * 49 == weights(7, 1) * 27

# %%
# Statement 8.4: the parameters are counted, and agree with the formula and with torchvision
# ------------------------------------------------------------------------------------------
# A convolution has 9 weights for each pair of an input and an output channel, and a bias for each output channel.

TORCHVISION = {"vgg11": 132_863_336, "vgg13": 133_047_848, "vgg16": 138_357_544, "vgg19": 143_667_240}


def by_formula(description):
    total = 0
    before = 3
    for layer in with_weights(description):
        after = layer.output_shape[0]
        if layer.kind == "Conv2d":
            total += 9 * before * after + after
        else:
            inputs = 512 * 7 * 7 if before == 512 else before
            total += inputs * after + after
        before = after
    return total


for name, description in described.items():
    print(f"{name}: {description.parameters:,} parameters")
    assert description.parameters == by_formula(description) == TORCHVISION[name]

# %%
# Statement 8.5: most of the parameters are in the dense layers, and most of the work is not
# ------------------------------------------------------------------------------------------
# The first dense layer sees 512 x 7 x 7 values, and alone has nearly three quarters of VGG-16's parameters. Each of its weights is
# used once per image, while the weights of a convolution are used at every position.


def share(description, quantity):
    """Of the dense layers, in what all layers have."""
    of_dense = sum(getattr(x, quantity) for x in description.layers if x.kind == "Linear")
    return of_dense / sum(getattr(x, quantity) for x in description.layers)


first_dense = next(x for x in vgg16.layers if x.kind == "Linear")
print(
    f"first dense layer: {first_dense.own_parameters:,} = {first_dense.own_parameters / vgg16.parameters:.0%}"
)
for name, description in described.items():
    of_parameters = share(description, "own_parameters")
    of_work = share(description, "own_multiply_adds")
    print(
        f"{name}: {of_parameters:.1%} of the parameters, {of_work:.1%} of the multiply-adds in dense layers"
    )
    assert of_parameters > 0.85 and of_work < 0.02
assert round(share(vgg16, "own_parameters"), 3) == 0.894
assert 0.74 < first_dense.own_parameters / vgg16.parameters < 0.75

figure, axes = plt.subplots(2, 1, figsize=(7, 4.6), layout="constrained", sharex=True)
numbers = range(1, 17)
colours = [ORANGE if layer.kind == "Linear" else BLUE for layer in weighted]
axes[0].bar(numbers, [layer.own_parameters / 1e6 for layer in weighted], color=colours)
axes[0].set(ylabel="parameters (million)")
axes[1].bar(numbers, [layer.own_multiply_adds / 1e9 for layer in weighted], color=colours)
axes[1].set(ylabel="multiply-adds\n(thousand million)", xlabel="layer of VGG-16 with weights", xticks=numbers)
axes[0].bar([0], [0], color=BLUE, label="convolution")
axes[0].bar([0], [0], color=ORANGE, label="dense layer")
axes[0].legend(frameon=False, loc="upper left")
axes[1].set_xlim(0.4, 16.6)
for axis in axes:
    axis.grid(alpha=0.3, axis="y")
    axis.spines[["top", "right"]].set_visible(False)
plt.show()
