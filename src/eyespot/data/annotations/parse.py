"""The annotation file of another tool, recognised by its content and parsed once."""

import json
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

from eyespot.data.annotations.coco import is_coco, read_coco
from eyespot.data.annotations.outlines import AnnotationFile, Malformed
from eyespot.errors import UserError

ENDINGS = frozenset({".json"})
JSON_KINDS: list[tuple[Callable[[Any], bool], Callable[[Any], AnnotationFile]]] = [(is_coco, read_coco)]
"""(recognises parsed JSON, reads it)"""
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
        return _of_json(text) if path.suffix.lower() == ".json" else None
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
    return read(content) if read else None
