"""Annotation files in XML: CVAT's for images, LabelMe's old ones, and Pascal VOC's, which have boxes."""

import math
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from eyespot.data.annotations.outlines import (
    AnnotatedImage,
    AnnotationFile,
    Malformed,
    Outline,
    Runs,
    is_number,
    is_rectangle,
    rectangle,
)
from eyespot.plurals import count

CVAT = "a CVAT file"
LABELME = "a LabelMe file"
VOC = "a Pascal VOC annotation file"
FLAT = ("polyline", "points", "skeleton", "cuboid")
CORNERS = 180
"""Of the polygon that an ellipse becomes."""


def is_cvat(root: Element) -> bool:
    """Whether XML is of CVAT's layout."""
    return root.tag == "annotations" and (_has(root, "image") or _has(root, "track"))


def read_cvat(root: Element) -> AnnotationFile:
    """The images and outlines of a CVAT file, version 1.1. Raises Malformed."""
    if _has(root, "track"):
        raise Malformed("is a CVAT file of a video: export it as 'CVAT for images'")
    images = []
    for image in root.iter("image"):
        name = image.get("name")
        if not name:
            raise Malformed("has an image without a name")
        size = (round(_number(image, "height")), round(_number(image, "width")))
        try:
            outlines = list(_outlines(image))
        except Malformed as reason:
            raise Malformed(f"has on the image {name} {reason}") from reason
        flat = sum(len(image.findall(tag)) for tag in FLAT)
        images.append(AnnotatedImage(name, size, outlines, flat=flat))
    return AnnotationFile(CVAT, images)


def _has(root: Element, tag: str) -> bool:
    return next(root.iter(tag), None) is not None


def _outlines(image: Element) -> Iterator[Outline]:
    for shape in image:
        label = shape.get("label") or ""
        order = float(shape.get("z_order") or 0)
        if shape.tag in ("polygon", "box", "ellipse", "mask") and not label:
            raise Malformed(f"a {shape.tag} without a label")
        if shape.tag == "polygon":
            points = _points(shape)
            yield Outline(label, [points], rectangle=is_rectangle([points]), order=order)
        elif shape.tag == "mask":
            yield Outline(label, runs=_runs(shape), order=order)
        elif shape.tag == "ellipse":
            yield Outline(label, [_ellipse(shape)], order=order)
        elif shape.tag == "box":
            yield Outline(label, [_box(shape)], box=True, order=order)


def _number(element: Element, name: str) -> float:
    return _as_number(element.get(name), f"a {element.tag} whose {name}")


def _as_number(text: str | None, what: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not is_number(value):
        raise Malformed(f"{what} is {text!r}")
    return value


def _points(shape: Element) -> list[float]:
    text = shape.get("points") or ""
    try:
        points = [[float(value) for value in point.split(",")] for point in text.split(";")]
    except ValueError as error:
        raise Malformed("a polygon whose points are not numbers") from error
    if len(points) < 3 or not all(len(point) == 2 and all(map(is_number, point)) for point in points):
        raise Malformed("a polygon that is not x,y;x,y;x,y")
    return [value for point in points for value in point]


def _runs(shape: Element) -> Runs:
    left, top, width, height = (round(_number(shape, name)) for name in ("left", "top", "width", "height"))
    try:
        lengths = [int(value) for value in (shape.get("rle") or "").split(",")]
    except ValueError as error:
        raise Malformed("a mask whose runs are not whole numbers") from error
    if sum(lengths) != width * height or min(lengths) < 0:
        raise Malformed(
            f"a mask whose runs have {count(sum(lengths), 'pixel')}, and {width} x {height} are needed"
        )
    return Runs(lengths, (height, width), (top, left))


def _ellipse(shape: Element) -> list[float]:
    x, y, across, down = (_number(shape, name) for name in ("cx", "cy", "rx", "ry"))
    angles = [2 * math.pi * k / CORNERS for k in range(CORNERS)]
    corners = [(x + across * math.cos(a), y + down * math.sin(a)) for a in angles]
    return _turned(corners, (x, y), float(shape.get("rotation") or 0))


def _box(shape: Element) -> list[float]:
    left, top, right, bottom = (_number(shape, name) for name in ("xtl", "ytl", "xbr", "ybr"))
    values = rectangle(left, top, right, bottom)
    corners = list(zip(values[0::2], values[1::2], strict=True))
    return _turned(corners, ((left + right) / 2, (top + bottom) / 2), float(shape.get("rotation") or 0))


def _turned(corners: list[tuple[float, float]], centre: tuple[float, float], degrees: float) -> list[float]:
    """Clockwise on the screen, where y goes down."""
    cos = math.cos(math.radians(degrees))
    sin = math.sin(math.radians(degrees))
    offsets = [(x - centre[0], y - centre[1]) for x, y in corners]
    turned = [(centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos) for x, y in offsets]
    return [value for corner in turned for value in corner]


def is_voc(root: Element) -> bool:
    """Whether XML is of Pascal VOC's layout, which LabelMe's old files share."""
    return root.tag == "annotation" and root.find("filename") is not None


def read_voc(root: Element) -> AnnotationFile:
    """The image and the boxes of a Pascal VOC file, whose masks are image files; or the polygons of LabelMe's XML.

    Raises Malformed.
    """
    name = (root.findtext("filename") or "").strip()
    outlines = []
    for thing in root.iter("object"):
        label = (thing.findtext("name") or "").strip()
        box = thing.find("bndbox")
        corners = [point for polygon in thing.findall("polygon") for point in polygon.findall("pt")]
        if thing.findtext("deleted") == "1":
            continue
        if corners:
            points = [_text_number(point, axis) for point in corners for axis in ("x", "y")]
            outlines.append(Outline(label, [points], rectangle=is_rectangle([points])))
        elif box is not None:
            edges = [_text_number(box, tag) for tag in ("xmin", "ymin", "xmax", "ymax")]
            outlines.append(Outline(label, [rectangle(*edges)], box=True))
    is_labelme = any(not outline.box for outline in outlines) or _has(root, "polygon")
    tool = LABELME if is_labelme else VOC
    return AnnotationFile(tool, [AnnotatedImage(name, None, outlines)], one_image=True)


def _text_number(element: Element, tag: str) -> float:
    return _as_number(element.findtext(tag), f"has a {element.tag} whose {tag}")
