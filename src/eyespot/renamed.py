"""Old public names: they keep working, and the first use of each in a process is reported."""

from functools import cache


@cache
def report_renamed(what: str, old: str, new: str) -> None:
    """Print once per process, on standard error, that `old` has a new name. `what` is its kind, such as "setting"."""
    from eyespot.console import say

    say(f"the {what} {old!r} was renamed {new!r}; the old name still works")
