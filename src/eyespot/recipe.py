"""The recipe: the parts of training that are not the network, each of which can be left out.

What each is worth, over several seeds, is in docs/recipe.md.
"""

from eyespot.errors import UserError, nearest
from eyespot.renamed import report_renamed

WHITEN = "whiten"
MUON = "muon"
ALTERNATE = "alternate"
EMA = "ema"
LABEL_SMOOTHING = "label_smoothing"
TTA_FLIP = "tta_flip"
TTA_SHIFT = "tta_shift"
GROW = ("grow_short", "grow_medium", "grow_long")
PARTS = {
    WHITEN: "the first layer decorrelates patches of the images and is not trained (`tiny` and `small` only)",
    MUON: "orthogonal updates for convolutions, AdamW for the rest; without it, AdamW for all",
    "grow_short": "images grow up to three quarters of the full size, for a few epochs",
    "grow_medium": "images grow to the full size, for about ten epochs",
    "grow_long": "images grow to the full size, for up to fifteen epochs",
    ALTERNATE: "if flip is used, an image is mirrored in every other epoch instead of at random",
    EMA: "exponential moving average: the network kept is the average over the last twentieth of the steps",
    LABEL_SMOOTHING: "a fifth of each label is spread over all classes",
    TTA_FLIP: "a prediction is the mean over the image and its mirror image",
    TTA_SHIFT: "and over the image shifted by a sample along its diagonal, in both directions",
}
RENAMED = {"average": EMA, "smooth": LABEL_SMOOTHING, "mirror": TTA_FLIP, "moved": TTA_SHIFT}
"""Names of earlier versions."""


def parse_recipe(text: str) -> frozenset[str]:
    """The parts that a recipe names: "whiten|muon" has two, "none" and "" have none.

    Raises UserError for a name that is none of `PARTS`, and for more than one of `GROW`.
    """
    names = [] if text.strip() in ("", "none") else [name.strip() for name in text.split("|")]
    parts = frozenset(_part(name) for name in names)
    if len(parts & set(GROW)) > 1:
        raise UserError(f"recipe {text!r} names two ways to grow: keep one of {', '.join(GROW)}")
    return parts


def _part(name: str) -> str:
    if name in RENAMED:
        report_renamed("recipe entry", name, RENAMED[name])
        return RENAMED[name]
    if name not in PARTS:
        raise UserError(f"recipe has the unknown entry {name!r}; {nearest(name, list(PARTS))}")
    return name
