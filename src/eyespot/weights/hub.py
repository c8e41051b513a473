"""Networks in repositories of the Hugging Face hub: `eyespot push RUN owner/name`, and hub:owner/name as a RUN."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eyespot.environment import offline
from eyespot.errors import UserError
from eyespot.missing import extra

PREFIX = "hub:"
NO_ADDRESS = re.compile(r"Name or service not known|name resolution|nodename nor servname|getaddrinfo")
"""What systems say where they have no connection, or the name of a host is wrong."""
ONNX = "model.onnx"
FILES = ("model.safetensors", "ensemble.json", "fold-*/model.safetensors", ONNX)
"""What is fetched of a repository, and nothing else: weights and cards, no code."""


def local(run: str | os.PathLike) -> Path:
    """The path of a RUN; where it is in a repository, hub:owner/name, what was fetched of it. Raises UserError."""
    return fetched(run) if isinstance(run, str) and run.startswith(PREFIX) else Path(run)


def repository_name(run: str | os.PathLike) -> str:
    """The name without its owner, where a RUN is in a repository; else empty.

    >>> repository_name("hub:ann/cats@main"), repository_name("runs/cats")
    ('cats', '')
    """
    name = str(run).removeprefix(PREFIX).partition("@")[0].rpartition("/")[2]
    return name if str(run).startswith(PREFIX) else ""


def fetched(run: str) -> Path:
    """The folder or file of hub:owner/name[@revision] in the hub's cache, fetched where it is not there yet.

    Raises UserError where it cannot be had, or holds no model of eyespot.
    """
    name, _, revision = run.removeprefix(PREFIX).partition("@")
    hub = library()
    with hub_errors(name), _without_warnings():
        options = {"revision": revision or None, "local_files_only": offline()}
        folder = Path(hub.snapshot_download(name, allow_patterns=list(FILES), **options))
    if (folder / "model.safetensors").exists() or (folder / "ensemble.json").exists():
        return folder
    if (folder / ONNX).exists():
        return folder / ONNX
    raise UserError(f"{run} holds no model of eyespot (none of {', '.join(FILES)}): check the name")


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Inside, the hub's library logs errors only: what it warns of is said by a sentence of ours."""
    from huggingface_hub.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def library() -> Any:
    """huggingface_hub. Raises UserError where it is not installed."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(f"networks on the Hugging Face hub need huggingface-hub: {extra('hub')}") from error
    return huggingface_hub


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Errors of the hub as one sentence each."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise UserError(f"{name!r} is not a repository: give owner/name") from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"the repository {name} has no such revision: check what follows the @") from error
    except (errors.RepositoryNotFoundError, errors.GatedRepoError) as error:
        raise UserError(
            f"the hub shows no repository {name}: check the name, and log in by hf auth login if it is private"
        ) from error
    except errors.LocalTokenNotFoundError as error:
        raise UserError("the hub needs a token: log in by hf auth login, or set HF_TOKEN") from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "an error")
        raise UserError(f"the hub answered {status} for {name}: {first_line(error)}") from error
    except (errors.LocalEntryNotFoundError, errors.IncompleteSnapshotError) as error:
        reason_offline = "EYESPOT_OFFLINE is set" if offline() else "there is no connection"
        raise UserError(
            f"{name} is not in the cache of the hub, and {reason_offline}: fetch it first"
        ) from error
    except (OSError, errors.HTTPError) as error:
        raise UserError(f"the hub cannot be reached for {name}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Why there is no connection, in words: the system's numbers and names of errors say little.

    >>> reason(OSError("[Errno -2] Name or service not known"))
    'the address of the hub is not known; check the connection'
    """
    text = first_line(error)
    if NO_ADDRESS.search(text):
        return "the address of the hub is not known; check the connection"
    return re.sub(r"^\[Errno -?\d+\] ", "", text)


def first_line(error: Exception) -> str:
    """The first line of an error's text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
