"""The learning rate as a pure function of the fraction of the run that is done."""

WARM_UP = 0.1
HEAD_ALONE = 0.15
"""The share of the run in which fine-tuning changes only the head."""


def rate(fraction: float) -> float:
    """The learning rate over its peak (one cycle, Smith 2018)."""
    # 1. rise from a tenth to the peak
    if fraction < WARM_UP:
        return 0.1 + 0.9 * fraction / WARM_UP
    # 2. fall to nothing at the end
    if fraction < 1:
        return (1 - fraction) / (1 - WARM_UP)
    # 3. finished
    return 0.0
