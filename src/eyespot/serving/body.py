"""The images of a request: read from its body within the limits, as one image or as a multipart form."""

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from eyespot.data.formats.channel_files import join
from eyespot.plurals import count
from eyespot.serving.limits import Limits, Refusal

FIELD = "image"
"""The name of the field of each image in a form."""
HOW = f"send images as multipart/form-data in the field {FIELD!r} (curl -F {FIELD}=@FILE), or one image as the body"
NOT_IMAGES = ("application/json", "application/x-www-form-urlencoded", "application/xml")
"""Types of a body that say that it is something else."""
LONGEST_NAME = 200


class Upload(NamedTuple):
    """One image: the name that the client gave it, which is shown and never opened, and its content."""

    name: str
    content: bytes


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body. Raises Refusal for one that is too large, as soon as that is known."""
    refuse_encoded(request)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limits.bytes:
        raise too_large(limits)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.bytes:
            raise too_large(limits)
    return bytes(body)


def refuse_encoded(request: Request) -> None:
    """Raises Refusal for a compressed body."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise Refusal(415, f"the body is encoded ({shown(encoding)}), which is not read: send it as it is")


def too_large(limits: Limits) -> Refusal:
    return Refusal(
        413,
        f"the request has more than {limits.megabytes:g} MB: send fewer or smaller images (the server's limit is --megabytes)",
    )


def uploads_of(
    body: bytes, content_type: str, limits: Limits, channels: tuple[str, ...] = ()
) -> list[Upload]:
    """The images in a body. Raises Refusal for a body that is something else, or holds too many of them.

    channels   the names of the files of an image, where its channels lie in several: each is in a field of its own
    """
    kind, options = parse_options_header(content_type)
    media_type = kind.decode("latin-1").lower()
    if media_type == "multipart/form-data":
        uploads = _of_form(body, options.get(b"boundary", b""), limits, channels)
    elif media_type in NOT_IMAGES:
        raise Refusal(415, f"the body is {media_type}: {how(channels)}")
    elif body:
        uploads = [Upload("(body)", body)]
    else:
        uploads = []
    if not uploads:
        raise Refusal(400, f"the request has no image: {how(channels)}")
    return uploads


@dataclass
class _Form:
    """What the parser of a form calls back; an image is a list of pieces until its end."""

    most: int
    channels: tuple[str, ...] = ()
    uploads: dict[str, list[Upload]] = field(default_factory=dict)
    whole: bool = False
    _headers: dict[str, bytes] = field(default_factory=dict)
    _name: bytes = b""
    _value: bytes = b""
    _pieces: list[bytes] = field(default_factory=list)

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self.begin,
            "on_header_field": lambda data, start, end: self._add_name(data[start:end]),
            "on_header_value": lambda data, start, end: self._add_value(data[start:end]),
            "on_header_end": self.header,
            "on_part_data": lambda data, start, end: self._pieces.append(data[start:end]),
            "on_part_end": self.end,
            "on_end": self.close,
        }

    def begin(self) -> None:
        if sum(map(len, self.uploads.values())) >= self.most * len(fields_of(self.channels)):
            raise Refusal(
                413, f"the request has more than {count(self.most, 'image')}: send them in several requests"
            )
        self._headers, self._pieces = {}, []

    def _add_name(self, text: bytes) -> None:
        self._name += text

    def _add_value(self, text: bytes) -> None:
        self._value += text

    def header(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value
        self._name = self._value = b""

    def end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        name = text_of(options.get(b"name", b""))
        if name not in fields_of(self.channels):
            raise Refusal(400, f"the form has the field {shown(name)!r}: {how(self.channels)}")
        uploads = self.uploads.setdefault(name, [])
        filename = text_of(options.get(b"filename", b"")) or f"(image {len(uploads)})"
        uploads.append(Upload(shown(filename), b"".join(self._pieces)))

    def close(self) -> None:
        self.whole = True


def fields_of(channels: tuple[str, ...]) -> tuple[str, ...]:
    """The fields of a form."""
    return tuple(f"{FIELD}.{name}" for name in channels) or (FIELD,)


def how(channels: tuple[str, ...]) -> str:
    """How images are sent."""
    if not channels:
        return HOW
    return (
        f"send the files of each image as multipart/form-data in the fields {', '.join(fields_of(channels))}"
    )


def _of_form(body: bytes, boundary: bytes, limits: Limits, channels: tuple[str, ...]) -> list[Upload]:
    if not boundary:
        raise Refusal(400, f"the form has no boundary: {how(channels)}")
    form = _Form(limits.images, channels)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refusal(400, f"the form is damaged or cut short: {how(channels)}") from error
    if not form.whole:
        raise Refusal(400, f"the form is damaged or cut short: {how(channels)}")
    files = [form.uploads.get(name, []) for name in fields_of(channels)]
    if len({len(uploads) for uploads in files}) > 1:
        raise Refusal(400, f"the form does not have as many files in each field: {how(channels)}")
    return [_joined(channels, parts) for parts in zip(*files, strict=True)]


def _joined(channels: tuple[str, ...], files: tuple[Upload, ...]) -> Upload:
    """One image of its files."""
    if not channels:
        return files[0]
    contents = [(name, file.content) for name, file in zip(channels, files, strict=True)]
    return Upload(", ".join(file.name for file in files), join(contents))


def text_of(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def shown(text: str) -> str:
    """A client's text without what could be more than text in a log or a terminal."""
    plain = re.sub(r"[^\x20-\x7e\u00a0-\u2027\u202f-\ud7ff\uf900-\uffff]", "?", text)
    return plain if len(plain) <= LONGEST_NAME else plain[:LONGEST_NAME] + "..."
