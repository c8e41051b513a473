"""The parts of training that are not the network: each by a name, each left out by leaving out its name.

What each is worth, over several seeds, is in benchmarks/recipe.md.
"""

from eyespot.errors import UserError, nearest

PARTS = {
    "whiten": "the first layer decorrelates patches of the images, and is not trained (of tiny and small)",
    "muon": "orthogonal updates for the filters of convolutions, AdamW for the rest; without it AdamW for all",
    "grow_short": "image sizes for a few passes over the images, up to three quarters of the full size",
    "grow_medium": "image sizes for about ten passes",
    "grow_long": "image sizes for up to fifteen; for more none is better",
    "alternate": "an image is seen as it is and mirrored in turn, and not by chance, where flip is among the changes",
    "ema": "the network kept is the average over the last twentieth of the steps",
    "label_smoothing": "a fifth of each label is spread over all classes",
    "tta_flip": "the answer is the mean over an image and its mirror image",
    "tta_shift": "and over the image moved by a sample along its diagonal, either way",
}
RENAMED = {"average": "ema", "smooth": "label_smoothing", "mirror": "tta_flip", "moved": "tta_shift"}
GROW = ("grow_short", "grow_medium", "grow_long")


def parse_recipe(text: str) -> frozenset[str]:
    """ "whiten|muon" -> its parts; "none" has none. Raises UserError for an unknown one."""
    parts = (
        []
        if text.strip() in ("", "none")
        else [RENAMED.get(name.strip(), name.strip()) for name in text.split("|")]
    )
    for part in parts:
        if part not in PARTS:
            raise UserError(f"recipe has the unknown part {part!r}; {nearest(part, list(PARTS))}")
    if sum(part in GROW for part in parts) > 1:
        raise UserError(f"recipe {text!r} names two ways to grow: keep one of {', '.join(GROW)}")
    return frozenset(parts)
