"""Counts with their nouns: 1 image, 2 images, 3 classes."""

import re


def count(n: int, thing: str, things: str | None = None) -> str:
    """1 image, 2 images, 3 classes, 4 copies.

    >>> count(1, "class"), count(1200, "class"), count(0, "copy"), count(2, "axis", "axes")
    ('1 class', '1,200 classes', '0 copies', '2 axes')
    """
    return f"{n:,} {thing if n == 1 else things or plural(thing)}"


def plural(thing: str) -> str:
    """The plural of a regular noun, or of a phrase that ends in one."""
    if re.search(r"(s|x|ch|sh)$", thing):
        return thing + "es"
    return re.sub(r"(?<![aeiou])y$", "ie", thing) + "s"
