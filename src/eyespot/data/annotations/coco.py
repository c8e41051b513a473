"""COCO annotation files: polygons, runs, boxes, categories."""

from collections import defaultdict
from typing import Any

from eyespot.data.annotations.fill import lengths_of_text
from eyespot.data.annotations.outlines import (
    AnnotatedImage,
    AnnotationFile,
    Malformed,
    Outline,
    Polygon,
    Runs,
    is_rectangle,
    polygon,
    rectangle,
)
from eyespot.plurals import count

TOOL = "a COCO annotation file"


def is_coco(content: Any) -> bool:
    """Whether parsed JSON is of COCO's layout."""
    lists = isinstance(content, dict) and isinstance(content.get("images"), list)
    return lists and ("annotations" in content or "categories" in content)


def read_coco(content: dict[str, Any]) -> AnnotationFile:
    """The images and outlines of a COCO file. Raises Malformed."""
    listed = _entries(content, "categories")
    categories = {_id(entry): str(entry.get("name", entry.get("id"))).strip() for entry in listed}
    known = {_id(entry) for entry in _entries(content, "images")}
    annotations = _entries(content, "annotations")
    by_image: dict[Any, list[Outline]] = defaultdict(list)
    empty = stray = 0
    for annotation in annotations:
        if _id(annotation, "image_id") not in known:
            stray += 1
            continue
        try:
            outline = _outline(annotation, categories)
        except Malformed as reason:
            raise Malformed(f"annotation {annotation.get('id', '?')} {reason}") from reason
        if outline is None:
            empty += 1
        else:
            by_image[annotation["image_id"]].append(outline)
    images = [_image(entry, by_image[_id(entry)]) for entry in _entries(content, "images")]
    numbers = {name: number for number, name in categories.items() if type(number) is int}
    return AnnotationFile(TOOL, images, numbers, _notes(stray, empty), _holds(annotations))


def _entries(content: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = content.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Malformed(f"has {name} that are not a list of objects")
    return entries


def _id(entry: dict[str, Any], key: str = "id") -> int | str:
    number = entry.get(key)
    if type(number) not in (int, str):
        raise Malformed(f"has the {key} {number!r}, and ids are whole numbers")
    return number  # type: ignore[reportReturnType]  (of these two types)


def _image(entry: dict[str, Any], outlines: list[Outline]) -> AnnotatedImage:
    name = entry.get("file_name")
    if not isinstance(name, str) or not name:
        raise Malformed(f"has no file_name for image {entry.get('id', '?')}")
    height = entry.get("height")
    width = entry.get("width")
    shape = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    return AnnotatedImage(name, shape if shape and min(shape) > 0 else None, outlines)


def _outline(annotation: dict[str, Any], categories: dict[Any, str]) -> Outline | None:
    """None for an annotation without an outline or a box."""
    if not annotation.get("segmentation") and not annotation.get("bbox"):
        return None
    number = _id(annotation, "category_id")
    if number not in categories:
        raise Malformed(f"has the category {number!r}, which is not in the file's categories")
    name = categories[number]
    segmentation = annotation.get("segmentation")
    crowd = bool(annotation.get("iscrowd"))
    if isinstance(segmentation, dict):
        return Outline(name, runs=_runs(segmentation), crowd=crowd)
    polygons = _polygons(segmentation)
    if polygons:
        return Outline(name, polygons, rectangle=is_rectangle(polygons), crowd=crowd)
    numbers = polygon(annotation.get("bbox") or [])
    if len(numbers) != 4:
        raise Malformed("has a bbox that is not x, y, width, height")
    left, top, width, height = numbers
    return Outline(name, [rectangle(left, top, left + width, top + height)], box=True, crowd=crowd)


def _polygons(segmentation: Any) -> list[Polygon]:
    if segmentation is None:
        return []
    if not isinstance(segmentation, list):
        raise Malformed("has a segmentation that is neither polygons nor runs")
    nested = segmentation if segmentation and isinstance(segmentation[0], list) else [segmentation]
    return [numbers for values in nested if len(numbers := polygon(values)) >= 6]


def _runs(segmentation: dict[str, Any]) -> Runs:
    size = segmentation.get("size")
    lengths = segmentation.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(type(n) is int and n > 0 for n in size):
        raise Malformed("has runs without a size of height and width")
    if isinstance(lengths, str):
        try:
            lengths = lengths_of_text(lengths)
        except ValueError as error:
            raise Malformed(f"has runs that cannot be decoded ({error})") from error
    if not isinstance(lengths, list) or not all(type(n) is int and n >= 0 for n in lengths):
        raise Malformed("has runs that are not whole numbers")
    if sum(lengths) != size[0] * size[1]:
        raise Malformed(f"has runs of {count(sum(lengths), 'pixel')}, and its size is {size[1]} x {size[0]}")
    return Runs(lengths, (size[0], size[1]), by_column=True)


def _notes(stray: int, empty: int) -> tuple[str, ...]:
    notes = []
    if stray:
        belongs = "belongs" if stray == 1 else "belong"
        notes.append(f"{count(stray, 'annotation')} {belongs} to images that the file does not list")
    if empty:
        has = "has" if empty == 1 else "have"
        notes.append(f"{count(empty, 'annotation')} {has} neither an outline nor a box")
    return tuple(notes)


def _holds(annotations: list[dict[str, Any]]) -> str:
    for key, what in (
        ("segments_info", "panoptic segments"),
        ("caption", "captions"),
        ("keypoints", "keypoints"),
    ):
        if any(key in annotation for annotation in annotations[:100]):
            return what
    return ""
