"""Checks of the numbers that transforms take, each with one sentence that says what to give."""

from typing import Any

from eyespot.errors import UserError


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def check_up_to(name: str, value: Any, most: float, what: str) -> None:
    """Raises UserError unless a value is above 0 and at most `most`."""
    if not is_number(value) or not 0 < value <= most:
        raise UserError(f"{name}({value!r}): give {what}, above 0 and up to {most:g}")


def check_range(name: str, values: tuple[Any, Any], limits: tuple[float, float], what: str) -> None:
    """Raises UserError unless two values are in order and within the limits."""
    low, high = values
    if not (is_number(low) and is_number(high) and limits[0] <= low <= high <= limits[1]):
        raise UserError(
            f"{name}({low!r}, {high!r}): give a low and a high {what} from {limits[0]:g} to {limits[1]:g}"
        )


def check_probability(name: str, p: Any) -> None:
    """Raises UserError unless p is above 0 and at most 1."""
    if not is_number(p) or not 0 < p <= 1:
        raise UserError(f"{name}(p={p!r}): give the share of images that are changed, above 0 and up to 1")


def check_flag(name: str, setting: str, value: Any) -> None:
    """Raises UserError unless a value is true or false."""
    if not isinstance(value, bool):
        raise UserError(f"{name}({setting}={value!r}): give True or False")


def pairs_of(name: str, swaps: Any) -> tuple[tuple[str, str], ...]:
    """The pairs of classes that "left,right; west,east" names. Raises UserError for another text."""
    if not isinstance(swaps, str):
        raise UserError(f"{name}(swaps={swaps!r}): give pairs of classes as a text, such as 'left,right'")
    pairs = [tuple(c.strip() for c in pair.split(",")) for pair in swaps.split(";") if pair.strip()]
    names = [c for pair in pairs for c in pair]
    if any(len(pair) != 2 for pair in pairs) or not all(names) or len(set(names)) < len(names):
        raise UserError(
            f"{name}(swaps={swaps!r}): give pairs of different classes, such as 'left,right' or 'a,b; c,d'"
        )
    return tuple((pair[0], pair[1]) for pair in pairs)
