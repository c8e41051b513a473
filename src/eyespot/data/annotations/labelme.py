"""LabelMe's JSON files: one per image, with polygons, rectangles, circles or masks."""

import base64
import binascii
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from eyespot.data.annotations.outlines import (
    AnnotatedImage,
    AnnotationFile,
    Malformed,
    Outline,
    Runs,
    folders_and_name,
    is_number,
    is_rectangle,
    rectangle,
)
from eyespot.data.formats.read import decode
from eyespot.data.header import Unreadable
from eyespot.plurals import count

TOOL = "a LabelMe file"
CORNERS = 180
"""Of the polygon that a circle becomes."""
FLAT = frozenset({"point", "points", "line", "linestrip"})
Points = Sequence[tuple[float, float]]


def is_labelme(content: Any) -> bool:
    """Whether parsed JSON is of LabelMe's layout."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def read_labelme(content: dict[str, Any]) -> AnnotationFile:
    """The image and the outlines of a LabelMe file. Raises Malformed."""
    outlines: list[Outline] = []
    groups: dict[tuple[str, str], int] = {}
    flat = 0
    for i, shape in enumerate(content["shapes"], 1):
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
            raise Malformed(f"has no label for shape {i}")
        if shape.get("shape_type") in FLAT:
            flat += 1
            continue
        try:
            outline = _outline(shape)
        except Malformed as reason:
            raise Malformed(f"has shape {i} ({shape['label']}) that {reason}") from reason
        group = (outline.name, str(shape.get("group_id")))
        if shape.get("group_id") is None or outline.runs is not None:
            outlines.append(outline)
        elif group in groups:  # parts of one object
            first = outlines[groups[group]]
            outlines[groups[group]] = Outline(first.name, [*first.polygons, *outline.polygons])
        else:
            groups[group] = len(outlines)
            outlines.append(outline)
    height = content.get("imageHeight")
    width = content.get("imageWidth")
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    name = folders_and_name(str(content["imagePath"]))[-1]
    return AnnotationFile(TOOL, [AnnotatedImage(name, size, outlines, flat=flat)], one_image=True)


def _outline(shape: dict[str, Any]) -> Outline:
    label = shape["label"].strip()
    name = "background" if label == "_background_" else label
    kind = shape.get("shape_type") or "polygon"
    points = _points(shape.get("points"))
    if kind == "polygon":
        if len(points) < 3:
            raise Malformed(f"is a polygon of {count(len(points), 'point')}")
        polygon = [value for point in points for value in point]
        return Outline(name, [polygon], rectangle=is_rectangle([polygon]))
    if len(points) != 2 and not (kind == "rectangle" and len(points) == 4):
        raise Malformed(f"is a {kind} of {count(len(points), 'point')}, and 2 are needed")
    if kind == "rectangle":
        xs, ys = zip(*points, strict=True)
        return Outline(name, [rectangle(min(xs), min(ys), max(xs), max(ys))], rectangle=True)
    if kind == "circle":
        return Outline(name, [_circle(*points)])
    if kind == "mask":
        return Outline(name, runs=_mask(shape.get("mask"), points))
    raise Malformed(f"is of the type {kind!r}; known: polygon, rectangle, circle, mask")


def _points(values: Any) -> Points:
    if not isinstance(values, list):
        raise Malformed("has no points")
    for point in values:
        if not isinstance(point, list) or len(point) != 2 or not all(map(is_number, point)):
            raise Malformed("has points that are not x and y")
    return [(x, y) for x, y in values]


def _circle(centre: tuple[float, float], edge: tuple[float, float]) -> list[float]:
    radius = math.dist(centre, edge)
    angles = [2 * math.pi * k / CORNERS for k in range(CORNERS)]
    corners = [(centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)) for a in angles]
    return [value for corner in corners for value in corner]


def _mask(text: Any, points: Points) -> Runs:
    """A small image in base64, whose top left pixel is at the first point."""
    try:
        inside = decode(base64.b64decode(text, validate=True)).array[..., 0] > 0
    except (binascii.Error, TypeError, ValueError, Unreadable) as error:
        raise Malformed(f"has a mask that cannot be decoded ({error})") from error
    flat = inside.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    lengths = np.diff([0, *edges.tolist(), flat.size]).tolist()
    left, top = (round(value) for value in points[0])
    return Runs(lengths, (inside.shape[0], inside.shape[1]), (top, left))
