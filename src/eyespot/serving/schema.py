"""What the OpenAPI document says of requests and responses that FastAPI does not know from signatures."""

from typing import Any

from eyespot.serving.body import FIELD
from eyespot.serving.masks import FORMATS

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["status", "message"],
            "properties": {"status": {"type": "integer"}, "message": {"type": "string"}},
        },
        "predictions": {"type": "array", "items": {"type": "object"}},
        "bug": {"type": "string"},
    },
}
BINARY = {"type": "string", "format": "binary"}
IMAGES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"One or several images, each in a field {FIELD!r}; or the content of one image as the body.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "array", "minItems": 1, "items": BINARY}},
                }
            },
            "application/octet-stream": {"schema": BINARY},
        },
    }
}
MEANING = {
    400: "The request is not one of images.",
    401: "The token is missing or wrong.",
    404: "There is no such path.",
    405: "The path has another method.",
    406: "The result does not exist in this format.",
    413: "The request is larger than this server takes.",
    415: "The body is of another type.",
    421: "The server is not called by this name.",
    422: "An image cannot be read: the sentence says which and why, and `predictions` has the others.",
    500: "A bug, with the number that it has in the log.",
    503: "The server is busy: come back after Retry-After seconds.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of a path."""
    schema = {"application/json": {"schema": ERROR}}
    return {
        status: {"description": MEANING[status], "content": schema}
        for status in (401, 405, 421, 500, *statuses)
    }


def files_of_masks() -> dict[int | str, dict[str, Any]]:
    """The documented files of masks."""
    content = {kind: {"schema": BINARY} for kind in FORMATS.values()}
    return {200: {"description": "JSON, or one mask as a file", "content": content}}
