"""Names of networks that are asked for: those that there are, by family, and what stands for those that there are not."""

import re
from difflib import get_close_matches
from textwrap import wrap

from eyespot.errors import UserError
from eyespot.models.registry import DENSENET, FCDENSENET, OURS, PRESETS, RESNET, SMALL, UNET, VGG, presets
from eyespot.wrapping import output_width

FAMILIES = {
    "small": (SMALL, "classes"),
    "VGG": (VGG, "classes"),
    "ResNet": (RESNET, "classes"),
    "DenseNet": (DENSENET, "classes"),
    "U-Net": (UNET, "masks"),
    "FC-DenseNet": (FCDENSENET, "masks"),
}
WIDTH = 79
"""Columns of the list of networks at most."""
NEAR = 0.75
"""Similarity from which a known name is offered for a mistyped one."""
OF_MASKS = (
    "deeplab fcn segformer mask.?rcnn nnu.?net cellpose stardist sam pspnet linknet fpn upernet".split()
)
OF_OBJECTS = "yolo faster.?rcnn retinanet ssd detr".split()
OF_CLASSES = (
    "efficientnet mobilenet convnext vit deit swin inception googlenet xception regnet resnext wide.?resnet alexnet "
    "squeezenet shufflenet mnasnet nasnet nfnet maxvit beit clip".split()
)


def check_preset(name: str) -> None:
    """Raise UserError for a name that `create` does not know."""
    if name not in PRESETS:
        raise UserError(f"no preset is called {name!r}; {instead_of(name)}")


def instead_of(name: str) -> str:
    """A clause that says what to take instead of a network that is not known."""
    near = get_close_matches(name.lower().replace("-", ""), presets(), n=1, cutoff=NEAR)
    if near:
        return f"did you mean {near[0]!r}?"
    for families, advice in (
        (OF_MASKS, "for masks take unet_narrow, unet_bn or fcdensenet56"),
        (OF_OBJECTS, "eyespot has no object detection; with a mask for each image, take unet_bn"),
        (OF_CLASSES, "for classes take resnet18, resnet50 or densenet121"),
    ):
        if re.match("|".join(families), name.lower()):
            return f"{advice}, or register your own"
    return "see eyespot inspect --list-models"


def listing() -> str:
    """The names by family, and those that were registered."""
    lines = []
    for family, (place, use) in FAMILIES.items():
        names = [name for name, (of, _) in OURS.items() if of == place and name in PRESETS]
        lines += wrap(
            ", ".join(names),
            min(output_width() - 1, WIDTH),
            initial_indent=f"{family:<13}{use:<9}",
            subsequent_indent=" " * 22,
        )
    own = [name for name in presets() if name not in OURS]
    lines += [f"{'registered':<22}{', '.join(own)}"] * bool(own)
    return "\n".join([f"{'family':<13}{'for':<9}names", *lines, "", "details  eyespot inspect NAME"])
