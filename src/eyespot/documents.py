"""JSON documents on standard output, which docs/json.md describes."""

import json
from typing import Any

SCHEMA = 1
"""Is raised where a key of a document goes away or means something else, and not where one comes."""


def print_json(document: dict[str, Any]) -> None:
    """One document, with the version of what its keys mean."""
    print(json.dumps({"schema_version": SCHEMA} | document, indent=2))
