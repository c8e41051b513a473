"""A confusion matrix as the cells of a table."""

LARGEST_MATRIX = 40
"""Classes up to which the whole confusion matrix is drawn."""
MOST_CONFUSED = 12
"""Pairs of classes that are named below it."""
Cell = tuple[str, float, bool]
"""Text, share of the row for the shade, and whether it is right."""


def of_counts(matrix: list[list[int]], as_shares: bool = False) -> list[list[Cell]]:
    """Rows of cells, empty where nothing is counted. as_shares   the text is the percentage of the row, not the count"""
    rows = []
    for i, counts in enumerate(matrix):
        total = max(1, sum(counts))
        shares = [n / total for n in counts]
        texts = [_percent(s) for s in shares] if as_shares else [f"{n:,}" if n else "" for n in counts]
        rows.append(
            [(text, share, i == j) for j, (text, share) in enumerate(zip(texts, shares, strict=True))]
        )
    return rows


def _percent(share: float) -> str:
    """
    >>> [_percent(share) for share in (0, 0.001, 0.2, 0.9999, 1)]
    ['', '<1', '20', '>99', '100']
    """
    if not share:
        return ""
    if share < 0.01:
        return "<1"
    return ">99" if 0.99 < share < 1 else f"{100 * share:.0f}"
