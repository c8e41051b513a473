"""How the learning rate and the image size change, as pure functions of the fraction of the run that is done."""

WARM_UP = 0.1
HEAD_ALONE = 0.15
"""The share of the run in which fine-tuning changes only the head."""
GROWTH = ((0.85, 8), (0.70, 7), (0.50, 6), (0.0, 5))
"""From this fraction of the run on, so many eighths of the final image size."""


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


def side(fraction: float, size: int) -> int:
    """The image size in pixels: small images are cheap and teach the coarse things first. Below 32 it stays."""
    if size < 32:
        return size
    eighths = next(n for start, n in GROWTH if fraction >= start)
    return max(16, round(size * eighths / 8 / 4) * 4) if eighths < 8 else size


def mean_cost(size: int, dim: int = 2) -> float:
    """Values per image over a whole run, as a share of full-size images."""
    ends = [1.0, *(start for start, _ in GROWTH[:-1])]
    return sum(
        (end - start) * (side(start, size) / size) ** dim
        for end, (start, _) in zip(ends, GROWTH, strict=True)
    )
