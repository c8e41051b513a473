"""The anatomy of a network, what it is made of and what it costs: `describe(model, shape)` measures it layer by layer.

Two forward passes run on the "meta" device, where tensors have shapes and no values, so that the largest network at
the largest size takes a second and no memory (measure.py). In the first, as in prediction, multiply-adds and the
tensors alive at once are counted, and receptive fields are carried from the inputs of each function to its outputs.
In the second, as in training, what autograd keeps for the backward pass is added up.

field.py    a receptive field along one axis, as arithmetic
axes.py     the axes of the image as a tensor has them
rules.py    for each function of PyTorch, the receptive field of its output from those of its inputs
follow.py   applies the rules while a network runs
taps.py     records or replaces activations at named modules
gradients.py  the norm of the gradient at each depth, with and without skip connections and norms
"""

from eyespot.anatomy.description import Description, Layer
from eyespot.anatomy.effective import Effective, effective_field
from eyespot.anatomy.measure import describe
from eyespot.anatomy.picture import draw
from eyespot.anatomy.taps import replace_relu, taps

__all__ = ["Description", "Effective", "Layer", "describe", "draw", "effective_field", "replace_relu", "taps"]
