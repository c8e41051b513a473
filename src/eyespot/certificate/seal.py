"""The last bytes of an exported file: the SHA-256 of all bytes before them, as one more entry of its metadata.

Every reader of protobuf takes a field at the end of a file as if it stood among the others, so the file stays a plain
.onnx. A file that any program wrote again has its fields in another order and no seal at its end.
"""

from hashlib import sha256

from eyespot.certificate.wire import delimited

METADATA = 14
"""The number of ModelProto.metadata_props."""
KEY = "eyespot.seal"
DIGITS = 64


def entry(key: str, value: str) -> bytes:
    """A field of a model: one entry of its metadata."""
    return delimited(METADATA, delimited(1, key.encode()) + delimited(2, value.encode()))


def seal_of(content: bytes | memoryview) -> bytes:
    """The seal that belongs after this content."""
    return entry(KEY, sha256(content).hexdigest())


LENGTH = len(entry(KEY, "0" * DIGITS))


def is_sealed(content: bytes) -> bool:
    """Whether all bytes of a file are those that were written."""
    view = memoryview(content)
    return bytes(view[-LENGTH:]) == seal_of(view[:-LENGTH])


def digest(content: bytes) -> str:
    """What the seal of a file says: a name for exactly these bytes."""
    return content[-DIGITS:].decode()
