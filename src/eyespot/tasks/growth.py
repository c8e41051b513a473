"""How the image size grows during training, as a pure function of the fraction of the run that is done."""

GROWTH = {
    "grow_short": ((0.75, 6), (0.40, 5), (0.0, 4)),
    "grow_medium": ((0.75, 8), (0.50, 7), (0.0, 6)),
    "grow_long": ((0.85, 8), (0.70, 7), (0.50, 6), (0.0, 5)),
    "": ((0.0, 8),),
}
"""By the part of the recipe: from this fraction of the run on, so many eighths of the full image size."""
EPOCHS = {"grow_short": 3.0, "grow_medium": 10.0, "grow_long": 15.0, "": float("inf")}
"""Up to so many epochs at full size, as long as they would take, a growth is the best; "" is none."""
EIGHTHS = 8


def side(fraction: float, size: int, growth: str) -> int:
    """The image size in pixels: small images are cheap and teach coarse features first. Below 32 pixels it stays."""
    if size < 32:
        return size
    eighths = next(n for start, n in GROWTH[growth] if fraction >= start)
    return max(16, round(size * eighths / EIGHTHS / 4) * 4) if eighths < EIGHTHS else size


def mean_cost(size: int, growth: str, dim: int = 2) -> float:
    """Time per image over a whole run, as a share of a full-size image's."""
    ends = [1.0, *(start for start, _ in GROWTH[growth][:-1])]
    shares = [end - start for end, (start, _) in zip(ends, GROWTH[growth], strict=True)]
    speeds = [(size / side(start, size, growth)) ** dim for start, _ in GROWTH[growth]]
    return 1 / sum(share * speed for share, speed in zip(shares, speeds, strict=True))


def usual_growth(epochs: float) -> str:
    """The growth for a run in which so many epochs at full size would fit."""
    return next(growth for growth, most in EPOCHS.items() if epochs <= most)
