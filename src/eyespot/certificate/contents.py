"""Hashes of what is in an exported file, so that a changed one can say what differs."""

from collections.abc import Iterable
from hashlib import sha256

from eyespot.certificate.seal import METADATA
from eyespot.certificate.wire import fields, messages

GRAPH = 7
"""The number of ModelProto.graph."""
GRAPH_FIELDS = {"nodes": (1, 11, 12), "weights": (5, 15)}
"""The numbers of the fields of a graph: nodes, inputs and outputs; and tensors."""
CARD = "eyespot.card"
CERTIFICATE = "eyespot.certificate"


def metadata(content: bytes | memoryview) -> dict[str, str]:
    """The entries of a model's metadata. Raises ValueError for what is no protobuf."""
    result = {}
    for item in messages(memoryview(content), METADATA):
        texts = {n: bytes(v).decode() for n, v in fields(item) if isinstance(v, memoryview)}
        result[texts.get(1, "")] = texts.get(2, "")
    return result


def graph_hashes(content: bytes | memoryview) -> dict[str, str]:
    """Of the weights, and of the nodes with inputs and outputs. Raises ValueError for what is no protobuf."""
    hashes = {name: sha256() for name in GRAPH_FIELDS}
    for graph in messages(memoryview(content), GRAPH):
        for number, value in fields(graph):
            for name, numbers in GRAPH_FIELDS.items():
                if number in numbers and isinstance(value, memoryview):
                    hashes[name].update(len(value).to_bytes(8, "little"))
                    hashes[name].update(value)
    return {name: value.hexdigest() for name, value in hashes.items()}


def text_hash(texts: Iterable[str]) -> str:
    """Of several texts in order."""
    whole = sha256()
    for text in texts:
        encoded = text.encode()
        whole.update(len(encoded).to_bytes(8, "little") + encoded)
    return whole.hexdigest()
