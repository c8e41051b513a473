"""The anatomy of a network, what it is made of and what it costs: `describe(model, shape)` measures it layer by layer.

Two forward passes on the "meta" device, where tensors have shapes and no values, so that the largest network at the
largest size takes a second and no memory: one as in prediction, which is followed for the receptive field (field.py,
follow.py, rules.py) and whose multiply-adds and living tensors are counted, and one as in training, where what
autograd keeps for the backward pass is added up (measure.py).
"""

from eyespot.anatomy.description import Description, Layer
from eyespot.anatomy.effective import Effective, effective_field
from eyespot.anatomy.measure import describe
from eyespot.anatomy.picture import draw

__all__ = ["Description", "Effective", "Layer", "describe", "draw", "effective_field"]
