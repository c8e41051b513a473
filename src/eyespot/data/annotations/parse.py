"""The annotation file of another tool, recognised by its content and parsed once."""

import json
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any
from xml.etree import ElementTree

from eyespot.data.annotations.coco import is_coco, read_coco
from eyespot.data.annotations.labelme import is_labelme, read_labelme
from eyespot.data.annotations.other_tools import name_of_tool
from eyespot.data.annotations.outlines import AnnotationFile, Malformed
from eyespot.data.annotations.xml_files import is_cvat, is_voc, read_cvat, read_voc
from eyespot.data.annotations.yolo import read_yolo
from eyespot.errors import UserError

ENDINGS = frozenset({".json", ".xml", ".txt"})
Kinds = tuple[tuple[Callable[[Any], bool], Callable[[Any], AnnotationFile]], ...]
"""(recognises what was parsed, reads it)"""
JSON_KINDS: Kinds = ((is_coco, read_coco), (is_labelme, read_labelme))
XML_KINDS: Kinds = ((is_cvat, read_cvat), (is_voc, read_voc))
KNOWN_TOOLS = "COCO, LabelMe, YOLO, CVAT and Pascal VOC are"
HEAD = 1 << 16
_parsed: dict[Path, tuple[tuple[int, int], AnnotationFile | None]] = {}
_lock = Lock()


def annotation_file(path: Path) -> AnnotationFile | None:
    """The content of an annotation file; None for a file of another kind.

    It is kept in memory until the file changes. Raises UserError where it is of a known tool, and wrong.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; mend its path or its permissions") from error
    version = (status.st_mtime_ns, status.st_size)
    with _lock:
        known = _parsed.get(path)
        if known is None or known[0] != version:
            _parsed[path] = (version, _parse(path))
        return _parsed[path][1]


def _parse(path: Path) -> AnnotationFile | None:
    try:
        text = path.read_bytes()
        if path.suffix.lower() == ".txt":
            return read_yolo(path, text.decode("utf-8", "replace"))
        return _of_json(text) if path.suffix.lower() == ".json" else _of_xml(text)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; mend its permissions") from error
    except Malformed as reason:
        raise UserError(f"{path} {reason}: mend the file, or export it again") from reason


def _of_json(text: bytes) -> AnnotationFile | None:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        head = text[:HEAD]
        if b'"images"' in head or b'"annotations"' in head or b'"shapes"' in head:
            raise Malformed(f"looks like an annotation file and is not whole JSON ({error})") from error
        return None
    read = next((read for recognises, read in JSON_KINDS if recognises(content)), None)
    return read(content) if read else name_of_tool(content)


def _of_xml(text: bytes) -> AnnotationFile | None:
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        if b"<annotation" in text[:HEAD]:
            raise Malformed(f"looks like an annotation file and is not whole XML ({error})") from error
        return None
    read = next((read for recognises, read in XML_KINDS if recognises(root)), None)
    return read(root) if read else None
