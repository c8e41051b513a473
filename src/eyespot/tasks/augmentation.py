"""What training does with a pipeline of transforms: checked against the data, and applied to normalised images."""

import re
from collections.abc import Sequence

from torch import Tensor

from eyespot.augment.exchange import check_classes
from eyespot.augment.geometry import Flip, FlipAxes
from eyespot.augment.pipeline import Spacing, Step, apply_steps, check_fit, parse
from eyespot.augment.transform import Transform
from eyespot.data.surveys.survey import Survey
from eyespot.tasks.batches import Normal

AUTO = "auto"
"""The pipeline that stands for what is chosen where none is given: what is known to keep the labels."""
LEARN = "learn"
"""The pipeline that stands for what is learned from the training images: see `invariances.learning`."""
SIDES = (
    ("left", "right"),
    ("l", "r"),
    ("lh", "rh"),
    ("os", "od"),  # of eyes: oculus sinister, oculus dexter
    ("west", "east"),
    ("port", "starboard"),
    ("clockwise", "counterclockwise"),
    ("clockwise", "anticlockwise"),
    ("cw", "ccw"),
    ("sinister", "dexter"),
    ("links", "rechts"),
    ("linke", "rechte"),
    ("gauche", "droite"),
    ("gauche", "droit"),
    ("izquierda", "derecha"),
    ("izquierdo", "derecho"),
    ("esquerda", "direita"),
    ("esquerdo", "direito"),
    ("sinistra", "destra"),
    ("sinistro", "destro"),
    ("lewo", "prawo"),
    ("lewa", "prawa"),
    ("lewy", "prawy"),
    ("vänster", "höger"),
    ("venstre", "høyre"),
    ("venstre", "højre"),
    ("vasen", "oikea"),
    ("sol", "sağ"),
    ("лево", "право"),
    ("левая", "правая"),
    ("левый", "правый"),
    ("左", "右"),
    ("왼", "오른"),
)
"""Words of which the first becomes the second in a mirror."""
SHORT_WORD = 3
"""Letters from which such a word may also be within a longer one, as in "lefthand"."""


def transforms_for(text: str, survey: Survey) -> list[Transform]:
    """The transforms that a string names. Raises UserError for those that these data do not have."""
    read = survey.preprocessing
    transforms = parse(text, read.dim)
    check_fit(transforms, read.channels, read.depth, read.view)
    check_classes(transforms, survey.classes)
    return transforms


def sided_classes(classes: Sequence[str]) -> tuple[str, str] | None:
    """Two classes that differ in a word for left and right only, so that a mirror exchanges them."""
    words = {" ".join(re.findall(r"[^\W\d_]+|\d+", name.lower())): name for name in classes}
    for name, original in words.items():
        for left, right in SIDES:
            is_short = len(left) < SHORT_WORD and left.isascii()  # the "l" in "lung" is no side
            mirrored = re.sub(rf"\b{left}\b" if is_short else left, right, name)
            if mirrored != name and mirrored in words:
                return original, words[mirrored]
    return None


def mirror_warning(transforms: Sequence[Transform], classes: Sequence[str]) -> str:
    """That a mirror makes one class of another, and their labels stay; empty where it does not."""
    pair = sided_classes(classes)
    mirrors = [t for t in transforms if isinstance(t, FlipAxes) or (isinstance(t, Flip) and not t.swaps)]
    if pair is None or not mirrors:
        return ""
    return (
        f"{mirrors[0]} mirrors images, and a mirrored image of {pair[0]} may show {pair[1]}, whose label it does not get: "
        f"flip(swaps='{pair[0]},{pair[1]}') exchanges them"
    )


def apply_to_normalised(
    x: Tensor, labels: Tensor | None, steps: Sequence[Step], normal: Normal, spacing: Spacing = None
) -> tuple[Tensor, Tensor | None]:
    """Normalised images (B, C, *S) and the labels of their pixels; transforms that mean the values of files get these."""
    if not any(transform.of_file_values for transform, _ in steps):
        return apply_steps(x, labels, steps, spacing)
    changed, labels = apply_steps(normal.undo(x), labels, steps, spacing)
    return normal.of_channels(changed), labels
