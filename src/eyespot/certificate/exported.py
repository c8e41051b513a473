"""An exported file, read and checked for changes, without torch and without onnx."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eyespot.certificate.certificate import Certificate, differing, hashes_of
from eyespot.certificate.contents import CARD, CERTIFICATE, metadata
from eyespot.certificate.seal import KEY, digest, is_sealed
from eyespot.errors import UserError
from eyespot.guard import system_sentence
from eyespot.weights.card import Card, card_of
from eyespot.wrapping import quoted

SUFFIX = ".onnx"


@dataclass(frozen=True)
class Exported:
    """An exported file whose bytes are those that were written."""

    path: Path
    content: bytes
    card: Card
    certificate: Certificate

    @property
    def digest(self) -> str:
        """A name for exactly these bytes."""
        return digest(self.content)


def is_exported(run: object) -> bool:
    """Whether a name is that of an .onnx file."""
    return str(run).lower().endswith(SUFFIX)


def read_exported(path: Path) -> Exported:
    """The file. Raises UserError for one that is missing, not ours, or not as it was when it was exported."""
    if path.is_dir():
        raise UserError(
            f"{path} is a folder, and not a file that eyespot export wrote: rename it if it is a run"
        )
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(
            f"{path} does not exist: write it with eyespot export RUN -o {quoted(path)}"
        ) from error
    except OSError as error:
        raise UserError(system_sentence("read", path, error)) from error
    if not content:
        raise UserError(
            f"{path} is empty (0 bytes): export it again, or copy it again from where it was made"
        )
    try:
        entries = metadata(content)
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is cut short, damaged or not an .onnx file ({error}): export it again, or copy it again from where it was made"
        ) from error
    if CARD not in entries and CERTIFICATE not in entries and KEY not in entries:
        raise UserError(
            f"{path} was not exported by eyespot: its classes, the scale of its values and how images are brought to size are "
            "not known; export a run with eyespot export RUN"
        )
    if not is_sealed(content):
        raise _changed(path, _what_differs(content, entries))
    for key in (CARD, CERTIFICATE):
        if key not in entries:
            raise UserError(
                f"{path} has no {key} in its metadata: export it again, or copy it again from where it was made"
            )
    card = card_of(entries[CARD], path)
    return Exported(path, content, card, _certificate(entries[CERTIFICATE], path))


def refuse_uncertified(exported: Exported) -> None:
    """Raises UserError for content that is not the certified one, although the seal fits: it was changed and sealed anew."""
    names = differing(exported.certificate.hashes, hashes_of(exported.content, exported.card))
    if names:
        raise _changed(exported.path, _other(names))


def _changed(path: Path, what: str) -> UserError:
    return UserError(
        f"{path} was changed after it was exported ({what}): export it again, or copy it again from where it was made"
    )


def _other(names: Sequence[str]) -> str:
    return f"other {' and '.join(names)} than those certified"


def _certificate(text: str, path: Path) -> Certificate:
    try:
        return Certificate.from_json(text)
    except ValueError as error:
        raise UserError(f"{path} cannot be checked: {error}; update eyespot, or export it again") from error


def _what_differs(content: bytes, entries: dict[str, str]) -> str:
    """What is not as certified, as far as the file still says it."""
    try:
        certified = Certificate.from_json(entries[CERTIFICATE]).hashes
        names = differing(certified, hashes_of(content, card_of(entries[CARD], Path("it"))))
    except (ValueError, KeyError, UserError):
        return "its certificate is damaged"
    if names:
        return _other(names)
    return "weights, nodes, classes and preprocessing are as certified, other bytes are not: it was saved again or damaged"
