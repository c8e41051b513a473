"""A network on images that differ from one image in a small box: only what the box reaches is computed again.

Every layer's output for the one image is kept. For another image it is different only in a box, which grows by the
kernel at each convolution and shrinks with its stride; outside it the values are those of the one image. Where the box
is most of the output, or a function needs all positions, whole outputs are put together, and the rest runs as usual.
"""

import torch
from torch import Tensor, nn

from eyespot.explanation import box_rules as box_rules  # fills changed.RULES
from eyespot.explanation.boxes import boxes_of, changed_boxes
from eyespot.explanation.changed import Changed, Kept, wholes
from eyespot.explanation.folding import folded


class Incremental(nn.Module):
    """A network (B, C, *S) -> (B, ...) whose batches begin with the image that the others are compared with.

    The results are those of the network, up to rounding. The layers' outputs for each first image are kept, and batch
    norms are folded into the convolutions before them.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.smallest = getattr(network, "smallest", 1)
        self.known: list[Kept] = []

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        kept = self._kept(x[:1])
        if len(x) == 1:
            return kept.result
        corners, size = changed_boxes(x[1:], kept.image)
        result = self.network(Changed(kept.image, boxes_of(x[1:], corners, size), corners, kept))
        return torch.cat([kept.result, wholes(result)])

    def _kept(self, image: Tensor) -> "Kept":
        for kept in self.known:
            if kept.image.shape == image.shape and kept.image.equal(image):
                return kept
        image = image.clone()
        if not self.known:
            self.network = folded(self.network, image)
        self.known.append(Kept(image, self.network(image)))
        return self.known[-1]
