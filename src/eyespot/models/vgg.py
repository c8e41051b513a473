"""VGG, Simonyan & Zisserman 2014: nothing but 3-wide convolutions and max-pooling, then dense layers."""

from torch import Tensor, nn

from eyespot.fast import Chain
from eyespot.kit import Kit
from eyespot.models.initial import initialise
from eyespot.models.network import Network


class VGG(Network):
    """(B, channels, *S) -> (B, classes) logits, S halved once per level.

    depths  convolutions per level; each level doubles the channels, up to 8 times the first
    grid    samples per axis that the dense layers see; with 7 they know positions, with 1 only an average
    hidden  width of the two dense layers before the last
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 1000,
        kit: Kit = Kit(norm="none"),
        depths: tuple[int, ...] = (2, 2, 3, 3, 3),
        width: int = 64,
        grid: int = 7,
        hidden: int = 4096,
        dropout: float = 0.5,
    ):
        super().__init__(channels, classes, kit, halvings=[2] * len(depths), last=1)
        layers = []
        cin = channels
        for i, depth in enumerate(depths):
            cout = width * min(2**i, 8)
            for _ in range(depth):
                layers += [kit.conv(cin, cout, bias=True), *norms(kit, cout), nn.ReLU(inplace=True)]
                cin = cout
            layers += [kit.pool()]
        self.features = Chain(*layers)
        self.avgpool = kit.to_size(grid)
        self.classifier = nn.Sequential(
            *(nn.Linear(cin * grid**kit.dim, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout)),
            *(nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout)),
            nn.Linear(hidden, classes),
        )
        initialise(self, kit.init)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        x = self.features(x)  # (B, C, *S / 32)
        x = self.avgpool(x)  # (B, C, grid, ...)
        return self.classifier(x.flatten(1))  # (B, classes)


def norms(kit: Kit, channels: int) -> list[nn.Module]:
    """No layer at all for norm "none", so that the plain form keeps torchvision's numbering."""
    return [] if kit.norm == "none" else [kit.norm_of(channels)]
