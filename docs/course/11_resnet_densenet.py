"""
11. ResNet and DenseNet
=======================

With shortcuts, depth is no longer the difficulty: ResNet (He et al. 2015) has 152 layers, and fewer parameters than VGG with
19. DenseNet (Huang et al. 2016) keeps the maps of all earlier layers instead of adding to them, and has fewer still.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

import eyespot
from eyespot.anatomy import taps

BLUE = "#1f6f8b"
ORANGE = "#c2410c"
GREY = "#6b7280"
NAMES = ("vgg19", "resnet18", "resnet50", "resnet152", "densenet121", "densenet201", "densenet161")

described = {name: eyespot.inspect(name) for name in NAMES}

# %%
# Statement 11.1: ResNet-152 has 152 layers, and under half of the parameters of VGG-19
# -------------------------------------------------------------------------------------
# Counted from the modules: convolutions and dense layers, without those of shortcuts. One dense layer is left of VGG's
# three, behind an average over all positions.


def layers_of(name):
    """The layers with weights that multiply, on the way that does not take shortcuts."""
    layers = [x for x in described[name].layers if x.kind in ("Conv2d", "Linear")]
    return [x for x in layers if "downsample" not in x.name]


print(f"{'':13}layers   parameters   multiply-adds")
for name in NAMES:
    d = described[name]
    print(f"{name:13}{len(layers_of(name)):6}{d.parameters:13,}{d.multiply_adds / 1e9:14.1f} G")

for name in ("resnet18", "resnet50", "resnet152", "densenet121", "densenet201", "densenet161"):
    assert len(layers_of(name)) == int("".join(c for c in name if c.isdigit()))

ratio = described["resnet152"].parameters / described["vgg19"].parameters
print(f"ResNet-152 has {ratio:.0%} of the parameters of VGG-19")
assert described["resnet152"].parameters == 60_192_808  # as torchvision's
assert described["vgg19"].parameters == 143_667_240
assert ratio < 0.5
assert described["resnet152"].multiply_adds < described["vgg19"].multiply_adds

# %%
# The reason: the dense layers of VGG-19 alone have twice as many parameters as all of ResNet-152.

dense_of_vgg = sum(x.own_parameters for x in described["vgg19"].layers if x.kind == "Linear")
dense_of_resnet = sum(x.own_parameters for x in described["resnet152"].layers if x.kind == "Linear")
print(f"in dense layers: VGG-19 {dense_of_vgg:,}, ResNet-152 {dense_of_resnet:,}")
assert dense_of_vgg > 2 * described["resnet152"].parameters
assert dense_of_resnet == 2048 * 1000 + 1000

# %%
# Statement 11.2: a bottleneck makes a block of 3 layers cheaper than one of 2
# ----------------------------------------------------------------------------
# A 1 x 1 convolution narrows 256 channels to 64, the 3 x 3 convolution works on those, and another 1 x 1 widens them again.
# ResNet-50 and deeper consist of such blocks.

with torch.device("meta"):  # shapes without values
    bottleneck = eyespot.create("resnet50").get_submodule("layer1.1")
weights = {n: m.weight.numel() for n, m in bottleneck.named_modules() if isinstance(m, nn.Conv2d)}
plain = 2 * 9 * 256 * 256
print("bottleneck", weights)
print(f"in all {sum(weights.values()):,}; two of 3 x 3 on 256 channels: {plain:,}")
assert weights == {"conv1": 256 * 64, "conv2": 9 * 64 * 64, "conv3": 64 * 256}
assert plain > 16 * sum(weights.values())

# %%
# Statement 11.3: in a dense block, each layer sees the maps of every layer before it
# -----------------------------------------------------------------------------------
# A small DenseNet with blocks of five layers and a growth rate of four runs once, and its layers are recorded. Each layer's
# input is compared with the outputs of the layers before it, and the connections that are confirmed are drawn. A box has the
# number of maps that a layer makes; grey arrows are those that a plain network has too.

torch.manual_seed(0)
DEPTH, GROWTH, WIDTH = 5, 4, 8
network = eyespot.create(
    "densenet_bc_100_12", depths=(DEPTH, DEPTH), growth=GROWTH, width=WIDTH, squeeze=0, classes=2
).eval()
block = network.features.denseblock1
layers = [f"features.denseblock1.denselayer{i + 1}" for i in range(DEPTH)]
inputs = {}
for name, layer in zip(layers, block.children(), strict=True):
    layer.register_forward_pre_hook(lambda module, args, name=name: inputs.update({name: args[0].clone()}))
with torch.no_grad(), taps(network, ["features.conv0", *layers, "features.denseblock1"]) as record:
    network(torch.randn(2, 3, 16, 16))

maps = [record["features.conv0"], *(record[name] for name in layers)]
connections = []
for number, name in enumerate(layers, start=1):
    pieces = inputs[name].split([m.shape[1] for m in maps[:number]], 1)
    for source, (piece, made) in enumerate(zip(pieces, maps, strict=False)):
        assert torch.equal(piece, made)
        connections.append((source, number))
assert torch.equal(record["features.denseblock1"], torch.cat(maps, 1))
assert len(connections) == DEPTH * (DEPTH + 1) // 2 == 15
chain = [(i, i + 1) for i in range(DEPTH)]
assert len(chain) == 5

figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
for source, target in connections:
    reach = target - source
    colour = GREY if reach == 1 else BLUE
    axis.annotate(
        "",
        (target - 0.22, 0),
        (source + 0.22, 0),
        arrowprops={
            "arrowstyle": "-|>",
            "color": colour,
            "connectionstyle": f"arc3,rad={0 if reach == 1 else -0.45}",
            "alpha": 0.85,
        },
    )
for position, made in enumerate(maps):
    text = "input" if position == 0 else f"layer {position}"
    axis.text(
        position,
        0,
        f"{made.shape[1]}",
        ha="center",
        va="center",
        color="white",
        fontsize=12,
        bbox={"boxstyle": "round,pad=0.45", "facecolor": ORANGE, "edgecolor": "none"},
        zorder=3,
    )
    axis.text(position, -0.32, text, ha="center", va="top", fontsize=10)
    if position:
        seen = inputs[layers[position - 1]].shape[1]
        axis.text(position, -0.62, f"sees {seen} maps", ha="center", va="top", fontsize=10, color=GREY)
axis.set(xlim=(-0.5, DEPTH + 0.5), ylim=(-0.95, 1.15))
axis.axis("off")
plt.show()

# %%
# Statement 11.4: the growth rate is the number of maps that each layer adds
# --------------------------------------------------------------------------
# After l layers there are k0 + l k maps, where k is the growth rate and k0 the number at the start. A transition halves
# them, and the grid, before the next block.

for number, name in enumerate(layers):
    assert inputs[name].shape[1] == WIDTH + number * GROWTH
    assert record[name].shape[1] == GROWTH
assert record["features.denseblock1"].shape[1] == WIDTH + DEPTH * GROWTH

of_121 = [x for x in described["densenet121"].layers if x.kind in ("DenseBlock", "Transition")]
counts = [64]
for layer in of_121:
    counts.append(layer.output_shape[0])
    print(
        f"{layer.name:22}{layer.output_shape[0]:6} maps of {layer.output_shape[1]} x {layer.output_shape[2]}"
    )
for before, depth, after in zip(counts[::2], (6, 12, 24, 16), counts[1::2], strict=True):
    assert after == before + 32 * depth
for before, after in zip(counts[1::2], counts[2::2], strict=False):
    assert after == before // 2

# %%
# A layer makes few maps, because it need not repeat what is there. In a residual network each block makes as many as it gets.

assert {x.output_shape[0] for x in described["densenet121"].layers if x.name.endswith(".conv2")} == {32}
assert bottleneck.conv1.in_channels == bottleneck.conv3.out_channels == 256

# %%
# Statement 11.5: for the same error, DenseNet has fewer parameters than ResNet
# -----------------------------------------------------------------------------
# The errors are those of one crop on ImageNet, as published: of the ResNets by Gross and Wilber (fb.resnet.torch), who
# trained them with the augmentation that DenseNet's authors used too, and of the DenseNets in the README of their authors.
# DenseNet-161 has the error of ResNet-152 with under half of its parameters. Newer recipes reach lower errors with either.

ERRORS = {"resnet50": 24.0, "resnet152": 22.2, "densenet121": 25.0, "densenet201": 22.5, "densenet161": 22.2}
assert described["densenet161"].parameters < 0.5 * described["resnet152"].parameters
assert described["densenet201"].parameters < 0.8 * described["resnet50"].parameters
assert ERRORS["densenet161"] == ERRORS["resnet152"]
assert ERRORS["densenet201"] < ERRORS["resnet50"]

figure, axis = plt.subplots(figsize=(7, 3.1), layout="constrained")
for name, error in ERRORS.items():
    colour = BLUE if name.startswith("resnet") else ORANGE
    millions = described[name].parameters / 1e6
    axis.plot(millions, error, "o", color=colour, markersize=8)
    label = name.replace("resnet", "ResNet-").replace("densenet", "DenseNet-")
    axis.annotate(label, (millions, error), xytext=(8, 4), textcoords="offset points", fontsize=10)
axis.set(
    xlabel="parameters (million)", ylabel="top-1 error on\nImageNet (%)", xlim=(0, 75), ylim=(21.5, 25.8)
)
axis.grid(alpha=0.3)
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# The small forms for CIFAR-10: a DenseNet-BC of 100 layers has under half of the parameters of a ResNet of 110.

small = {name: eyespot.inspect(name).parameters for name in ("densenet_bc_100_12", "resnet110")}
print(small)
assert small["densenet_bc_100_12"] == 769_162 and small["resnet110"] == 1_727_962
assert small["densenet_bc_100_12"] < 0.5 * small["resnet110"]

# %%
# It pays with memory: the maps of all layers are kept, and read again by every layer. The multiply-adds per parameter say
# how often a weight is used.

for name in ("resnet152", "densenet161"):
    d = described[name]
    print(f"{name}: {d.multiply_adds / d.parameters:.0f} multiply-adds per parameter")
assert (
    described["densenet161"].multiply_adds / described["densenet161"].parameters
    > described["resnet152"].multiply_adds / described["resnet152"].parameters
)
