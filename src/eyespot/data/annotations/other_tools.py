"""Annotation files of tools that are not read: they are called by their names."""

from collections.abc import Callable
from typing import Any

from eyespot.data.annotations.outlines import AnnotationFile


def _is_via(content: Any) -> bool:
    entries = content.get("_via_img_metadata", content) if isinstance(content, dict) else {}
    first = next(iter(entries.values()), None) if isinstance(entries, dict) else None
    return isinstance(first, dict) and {"filename", "regions"} <= set(first)


def _first_has(*keys: str) -> Callable[[Any], bool]:
    def recognises(content: Any) -> bool:
        first = content[0] if isinstance(content, list) and content else None
        return isinstance(first, dict) and set(keys) <= set(first)

    return recognises


def _has(*keys: str) -> Callable[[Any], bool]:
    return lambda content: isinstance(content, dict) and set(keys) <= set(content)


TOOLS: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("a file of the VGG Image Annotator", _is_via),
    ("a Label Studio file", _first_has("annotations", "data")),
    ("a CreateML file", _first_has("image", "annotations")),
    ("a Supervisely file", _has("objects", "size", "tags")),
    ("a Labelbox file", _first_has("Labeled Data", "Label")),
    ("a Datumaro file", _has("categories", "items")),
    ("a Cityscapes polygon file", _has("imgHeight", "imgWidth", "objects")),
    ("a GeoJSON file", _has("type", "features")),
)
"""(name, recognises parsed JSON)"""


def name_of_tool(content: Any) -> AnnotationFile | None:
    """A file of a known tool, without its content."""
    tool = next((name for name, recognises in TOOLS if recognises(content)), None)
    return AnnotationFile(tool, [], unread=True) if tool else None
