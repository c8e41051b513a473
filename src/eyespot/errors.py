"""The one exception that a user is meant to read."""

from difflib import get_close_matches

NEAR = 0.65
"""Similarity from which a known word is offered for a mistyped one."""


class UserError(ValueError):
    """A request that cannot be met: one sentence that names the file, the value and the remedy (exit code 2)."""


def one_line(text: str) -> str:
    """The text without line breaks, which names of files may have.

    >>> one_line("new\\nline.png")
    'new\\\\nline.png'
    """
    return text.replace("\r", "\\r").replace("\n", "\\n")


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """A clause that offers the known word nearest to a mistyped one, or lists them all."""
    close = get_close_matches(word, known, n=1, cutoff=NEAR)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
