"""The fields of a protobuf message, which is what an .onnx file is: enough to read its metadata and to hash its content."""

from collections.abc import Iterator

LENGTHS = {1: 8, 5: 4}
"""Bytes of the wire types of fixed length."""
VARINT = 0
DELIMITED = 2


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of each field in order; a message, a text or bytes as a view. Raises ValueError for a damaged one."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == DELIMITED:
            length, at = _varint(message, at)
        elif kind in LENGTHS:
            length = LENGTHS[kind]
        else:
            raise ValueError(f"wire type {kind}")
        if at + length > len(message):
            raise ValueError("a field that goes on after the end")
        yield tag >> 3, message[at : at + length]
        at += length


def messages(message: memoryview, number: int) -> list[memoryview]:
    """The values of all fields with this number that are messages, texts or bytes."""
    return [value for n, value in fields(message) if n == number and isinstance(value, memoryview)]


def delimited(number: int, content: bytes) -> bytes:
    """A field that is a message, a text or bytes."""
    return _as_varint(number << 3 | DELIMITED) + _as_varint(len(content)) + content


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise ValueError("a number without an end")


def _as_varint(number: int) -> bytes:
    result = bytearray()
    while number > 127:
        result.append(number & 127 | 128)
        number >>= 7
    result.append(number)
    return bytes(result)
