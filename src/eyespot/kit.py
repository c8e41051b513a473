"""The layers that every network here is built from, for images of one, two and three axes.

Shapes in comments and docstrings: B batch, C channels, S the spatial axes: (L), (H, W) or (D, H, W).
"""

from dataclasses import dataclass
from math import comb, gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyespot.errors import UserError, nearest

CHOICES = {
    "dim": (1, 2, 3),
    "norm": ("batch", "group", "instance", "none"),
    "padding": ("zeros", "reflect", "replicate", "circular"),
    "blur": (0, 2, 3, 4, 5, 6, 7),
    "subsample": ("paper", "max", "average", "stride"),
    "init": ("he", "dirac", "zero_last"),
}


def choose(setting: str, value: object, known: tuple) -> None:
    """Refuse a value that is not among the known ones, in a sentence that offers the nearest."""
    if not any(value == k and type(value) is type(k) for k in known):
        raise UserError(f"{setting} is {value!r}; {nearest(str(value), [str(k) for k in known])}")


@dataclass(frozen=True)
class Kit:
    """The layers of one network. Change the kit and every layer changes; no parameter's name does.

    dim        spatial axes: 1 for (B, C, L), 2 for (B, C, H, W), 3 for (B, C, D, H, W)
    norm       "batch", "group" (of 8, or fewer where 8 does not divide the channels), "instance" or "none"
    padding    what lies outside the image: "zeros", "reflect", "replicate" or "circular"
    blur       taps of the binomial low-pass before each subsampling (Zhang 2019): 0 for none, 3 for [1 2 1] / 4
    subsample  how a grid is made coarser: "paper" as published, or everywhere "max", "average" or "stride"
    init       the weights at the start: "he", "dirac" or "zero_last" (see models/initial.py)
    affine     whether a norm learns a scale and a shift per channel
    """

    dim: int = 2
    norm: str = "batch"
    padding: str = "zeros"
    blur: int = 0
    subsample: str = "paper"
    init: str = "he"
    affine: bool = True

    def __post_init__(self):
        for setting, known in CHOICES.items():
            choose(setting, getattr(self, setting), known)
        choose("affine", self.affine, (True, False))

    def conv(
        self,
        cin: int,
        cout: int,
        size: int = 3,
        stride: int = 1,
        bias: bool | None = None,
        padded: bool = True,
    ) -> nn.Module:
        """(B, cin, *S) -> (B, cout, *ceil(S / stride)) for an odd size; not padded, S loses size - 1.

        It has a bias unless a norm follows, if `bias` is None.
        """
        edge = size // 2 if padded else 0
        mode = self.padding if edge else "zeros"  # the other modes copy the image even to add nothing
        bias = self.norm == "none" if bias is None else bias
        if stride > 1 and (self.blur or self.subsample in ("max", "average")):
            conv = THINNED[self.dim](cin, cout, size, padding=edge, padding_mode=mode, bias=bias)
            conv.thin = self.pool("stride", 3, stride)
            return conv
        return self._layer("Conv")(cin, cout, size, stride, padding=edge, padding_mode=mode, bias=bias)

    def up(self, cin: int, cout: int, size: int = 2, bias: bool = True) -> nn.Module:
        """Transposed convolution: (B, cin, *S) -> (B, cout, *2S)"""
        kind = self._layer("ConvTranspose") if self.padding == "zeros" else PADDED_UP[self.dim]
        up = kind(cin, cout, size, stride=2, padding=(size - 1) // 2, output_padding=size % 2, bias=bias)
        if self.padding != "zeros":
            up.pad = Pad(self, (size // 4, (size + 1) // 4))
        return up

    def pool(self, how: str = "max", size: int = 2, stride: int = 2) -> nn.Module:
        """(B, C, *S) -> (B, C, *ceil(S / stride)) for an odd size, floor(S / stride) for an even one.

        `how` is the paper's way; the kit's `subsample` overrides it, and its `blur` does the striding.
        """
        how = how if self.subsample == "paper" else self.subsample
        cut = 0 if size % 2 else stride - 1  # an even window leaves out a last, incomplete one
        if self.blur and how != "max":
            return Blur(self, stride, cut)
        if how == "stride":
            every = self._layer("MaxPool")(1, stride)
            return nn.Sequential(Pad(self, (0, -cut)), every) if cut else every
        window = self._layer("MaxPool" if how == "max" else "AvgPool")
        edge = ((size - 1) // 2, size // 2) if size % 2 or self.blur else (0, 0)
        own = edge[0] if how == "max" and self.padding == "zeros" and edge[0] == edge[1] else 0
        pool = window(size, 1 if self.blur else stride, padding=own)
        before = [Pad(self, edge, -torch.inf if how == "max" else 0.0)] if edge[1] > own else []
        after = [Blur(self, stride, cut)] if self.blur else []
        return nn.Sequential(*before, pool, *after) if before or after else pool

    def to_size(self, size: int) -> nn.Module:
        """(B, C, *S) -> (B, C, size, ...), by averaging"""
        return self._layer("AdaptiveAvgPool")(size)

    def norm_of(self, channels: int) -> nn.Module:
        """(B, channels, *S) -> the same shape, each channel near mean 0 and variance 1"""
        if self.norm == "group":
            return nn.GroupNorm(gcd(8, channels), channels, affine=self.affine)
        if self.norm == "none":
            return nn.Identity()
        return self._layer(f"{self.norm.title()}Norm")(channels, affine=self.affine)

    def least(self, size: int) -> int:
        """The shortest axis that an odd window of this size can be centred on, given what lies outside."""
        return max(1, {"reflect": size // 2 + 1, "circular": size // 2}.get(self.padding, 1))

    def _layer(self, name: str) -> type:
        return SizeFreeMaxPool1d if (name, self.dim) == ("MaxPool", 1) else getattr(nn, f"{name}{self.dim}d")


class Pad(nn.Module):
    """Continue the image past its edges as the kit says: (B, C, *S) -> (B, C, *(low + S + high)).

    `value` stands for "outside" where the kit pads with zeros: a max-pool ignores it, so there it is -inf.
    """

    def __init__(self, kit: Kit, edge: tuple[int, int], value: float = 0.0):
        super().__init__()
        self.edge = [*edge] * kit.dim
        self.value = value
        self.mode = "constant" if kit.padding == "zeros" else kit.padding

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.edge, self.mode, self.value if self.mode == "constant" else None)

    def extra_repr(self) -> str:
        return f"{self.edge}, {self.mode}"


class Blur(nn.Module):
    """Binomial low-pass, then every stride-th sample: (B, C, *S) -> (B, C, *ceil((S - cut) / stride))."""

    kernel: Tensor

    def __init__(self, kit: Kit, stride: int, cut: int = 0):
        super().__init__()
        taps = torch.tensor([comb(kit.blur - 1, k) for k in range(kit.blur)]) / 2 ** (kit.blur - 1)
        kernel = taps
        for _ in range(kit.dim - 1):
            kernel = kernel[..., None] * taps
        self.register_buffer("kernel", kernel[None, None], persistent=False)  # a constant: no name to load
        self.pad = Pad(kit, ((kit.blur - 1) // 2, kit.blur // 2 - cut))
        self.stride = stride
        self.convolve = (F.conv1d, F.conv2d, F.conv3d)[kit.dim - 1]

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.expand(channels, *self.kernel.shape[1:])  # the same filter for each channel
        return self.convolve(self.pad(x), kernel, stride=self.stride, groups=channels)


class SizeFreeMaxPool1d(nn.MaxPool1d):
    """nn.MaxPool1d by way of two axes: under torch.export, torch 2.13's own fixes the length to the example's."""

    kernel_size: int
    stride: int
    padding: int

    def forward(self, x: Tensor) -> Tensor:
        y = F.max_pool2d(x.unsqueeze(2), (1, self.kernel_size), (1, self.stride), (0, self.padding))
        return y.squeeze(2)


class Thinned(nn.Module):
    """Mixin: a convolution at every sample, then a subsampling without parameters, under one name."""

    thin: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return self.thin(super().forward(x))


class ThinnedConv1d(Thinned, nn.Conv1d): ...


class ThinnedConv2d(Thinned, nn.Conv2d): ...


class ThinnedConv3d(Thinned, nn.Conv3d): ...


class PaddedUp(nn.Module):
    """Mixin: a transposed convolution that sees the kit's outside, where torch's own sees only zeros."""

    pad: Pad

    def forward(self, x: Tensor) -> Tensor:
        low, high = self.pad.edge[:2]
        y = super().forward(self.pad(x))  # (B, cout, *2(low + S + high))
        return F.pad(y, [-2 * low, -2 * high] * (x.dim() - 2))


class PaddedUp1d(PaddedUp, nn.ConvTranspose1d): ...


class PaddedUp2d(PaddedUp, nn.ConvTranspose2d): ...


class PaddedUp3d(PaddedUp, nn.ConvTranspose3d): ...


THINNED: dict[int, type] = {1: ThinnedConv1d, 2: ThinnedConv2d, 3: ThinnedConv3d}
PADDED_UP: dict[int, type] = {1: PaddedUp1d, 2: PaddedUp2d, 3: PaddedUp3d}
MEMORY = {1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d}
"""The order of values in memory that is fastest, by rank."""


def sent(tensor: Tensor, device: str | torch.device) -> Tensor:
    """The tensor on the device; a copy to an NVIDIA GPU is not waited for."""
    return tensor.to(device, non_blocking=torch.device(device).type == "cuda")
