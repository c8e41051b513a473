"""How the learning rate and the image size change, as pure functions of the fraction of the run that is done."""

WARM_UP = 0.1
HEAD_ALONE = 0.15
"""The share of the run in which fine-tuning changes only the head."""
GROWTH = {
    "grow_short": ((0.75, 6), (0.40, 5), (0.0, 4)),
    "grow_medium": ((0.75, 8), (0.50, 7), (0.0, 6)),
    "grow_long": ((0.85, 8), (0.70, 7), (0.50, 6), (0.0, 5)),
    "": ((0.0, 8),),
}
"""By the recipe's part: from this fraction of the run on, so many eighths of the full image size."""
PASSES = {"grow_short": 3.0, "grow_medium": 10.0, "grow_long": 15.0, "": float("inf")}
"""Up to so many passes over full-size images, as long as they would take, a growth is the best; "" is none."""


def rate(fraction: float) -> float:
    """The learning rate over its peak (one cycle, Smith 2018)."""
    # 1. rise from a tenth to the peak
    if fraction < WARM_UP:
        return 0.1 + 0.9 * fraction / WARM_UP
    # 2. fall to nothing at the end
    if fraction < 1:
        return (1 - fraction) / (1 - WARM_UP)
    # 3. done
    return 0.0


def side(fraction: float, size: int, growth: str) -> int:
    """The image size in pixels: small images are cheap and teach the coarse things first. Below 32 it stays."""
    if size < 32:
        return size
    eighths = next(n for start, n in GROWTH[growth] if fraction >= start)
    return max(16, round(size * eighths / 8 / 4) * 4) if eighths < 8 else size


def mean_cost(size: int, growth: str, dim: int = 2) -> float:
    """Time per image over a whole run, as a share of a full-size image's."""
    ends = [1.0, *(start for start, _ in GROWTH[growth][:-1])]
    shares = [end - start for end, (start, _) in zip(ends, GROWTH[growth], strict=True)]
    speeds = [(size / side(start, size, growth)) ** dim for start, _ in GROWTH[growth]]
    return 1 / sum(share * speed for share, speed in zip(shares, speeds, strict=True))


def usual_growth(passes: float) -> str:
    """The growth for a run in which so many passes over full-size images would fit."""
    return next(growth for growth, most in PASSES.items() if passes <= most)
