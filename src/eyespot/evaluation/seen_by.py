"""What a network has seen, by its run folder or its model file, and what that means for its metrics."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from eyespot.config import NO_WEIGHTS
from eyespot.data.duplicates.recognise import NOT_SEEN, Looked, Recognised, recognise
from eyespot.data.duplicates.seen import FILE, SeenImages, of_digests, read_seen, seen_of_card, short
from eyespot.data.header import WORD
from eyespot.errors import UserError
from eyespot.evaluation.evaluation import Evaluation
from eyespot.evaluation.run_split import SEEN, SPLIT, run_of, split_rows
from eyespot.plurals import count
from eyespot.weights.card import NAME, Card, read_card
from eyespot.weights.published import IMAGENET

NAMED = 3
"""Images that are named in a warning; JSON names all."""


def seen_by(weights: str | Path, card: Card | None = None) -> SeenImages | None:
    """What the network of a run folder or a model file has seen; None where that is not known.

    The run folder says most. Where a model file lies elsewhere, its card has the digests.
    """
    folder = run_of(weights)
    card = card or card_of(Path(weights))
    seen = _of_folder(folder, set())
    if seen is not None and (card is None or _is_of(card, seen)):
        return seen
    return seen_of_card(card.data.get("seen", {})) if card else None


def card_of(weights: Path) -> Card | None:
    """The card of a model file, where it is one of ours."""
    path = weights / NAME if weights.is_dir() else weights
    try:
        return read_card(path) if path.suffix == ".safetensors" else None
    except UserError:
        return None


def _is_of(card: Card, seen: SeenImages) -> bool:
    """Whether a model file belongs to the run beside it; those of older versions do not say."""
    return card.data.get("split", seen.fingerprint()) == seen.fingerprint()


def _of_folder(folder: Path, visited: set[Path]) -> SeenImages | None:
    """By its seen.npz; of older runs, by its split.csv and those of the runs that it started from."""
    if folder.resolve() in visited:
        return None
    try:
        return read_seen(folder / FILE)
    except (OSError, ValueError, KeyError):
        pass
    if not (folder / SPLIT).exists():
        return None
    rows = [row for row in split_rows(folder) if row.get("content")]
    seen = of_digests([(short(row["content"]), row["split"], row["path"]) for row in rows])
    start = _start_of(folder)
    if start in (None, NO_WEIGHTS, IMAGENET):
        return seen
    earlier = _of_folder(run_of(start), visited | {folder.resolve()})
    return seen.with_earlier(earlier) if earlier else replace(seen, unknown=(start,))


def _start_of(run: Path) -> str | None:
    """The weights that a run started from, by its plan."""
    try:
        return tomllib.loads((run / "plan.toml").read_text(encoding="utf-8")).get("start_from")
    except (OSError, ValueError):
        return None


def check_seen(evaluation: Evaluation, run: Path, card: Card, looked: Looked, paths: list[str]) -> Evaluation:
    """The evaluation, with a warning about images that the network has been trained on, in its notes and beside each metric.

    looked, paths   the images that were evaluated
    """
    word = WORD[card.preprocessing.get("dim", 2)]
    seen = seen_by(run, card)
    if seen is None:
        text = f"note: it is not known on which {word}s this network was trained, so some of these may be among them"
        return replace(evaluation, notes=(*evaluation.notes, text))
    with_copies = card.plan.get("duplicates") != "keep"
    recognised = recognise(looked, seen, with_copies)
    files = {
        path: seen.paths[i] if is_copy and seen.paths[i] != path else ""
        for path, i, is_trained, is_copy in zip(
            paths, recognised.position, recognised.trained, recognised.copies, strict=True
        )
        if is_trained
    }
    notes = [*_seen_notes(files, recognised, word), *_doubts(seen, recognised, word)]
    if not with_copies:
        notes.append(
            f"note: duplicates count as independent {word}s (--duplicates keep): some may be copies of training {word}s"
        )
    beside: dict[str, Any] = {"n": len(files), "of": len(paths), "files": files}
    scores = evaluation.scores
    if files:
        single = {name: score | {"seen": len(files)} for name, score in evaluation.single().items()}
        scores = scores | single
    return replace(evaluation, scores=scores, notes=(*notes, *evaluation.notes), seen=beside)


def _seen_notes(files: dict[str, str], recognised: Recognised, word: str) -> list[str]:
    if not files:
        return []
    changed = int(recognised.changed.sum())
    copies = int(recognised.copies.sum()) - changed
    of_these = f"; {copies:,} of them as other files: copied, saved again, mirrored or turned" * bool(copies)
    of_these += f"; {changed:,} of them are changed copies of such" * bool(changed)
    pairs = list(files.items())[:NAMED]
    names = [_brief(path) + (f" is {_brief(original)}" if original else "") for path, original in pairs]
    listed = ", ".join(names) + ", ..." * (len(files) > NAMED)
    n = f"{len(files):,} of these {len(recognised.trained):,} {word}s"
    return [f"warning: {n} {SEEN}, so the scores are too good{of_these} ({listed})"]


def by_content(word: str) -> str:
    """That copies are not recognised, where a card is all that is known of the images that a network has seen."""
    return f"training {word}s are known by their files only, without the run folder, so copies saved again are not recognised"


def _brief(path: str) -> str:
    """A file's name and its folder's."""
    return "/".join(Path(path).parts[-2:])


def _doubts(seen: SeenImages, recognised: Recognised, word: str) -> list[str]:
    """What is not known about what a network has seen."""
    notes = [
        f"note: it is not known on which {word}s {weights} was trained, from which this network started"
        for weights in seen.unknown
    ]
    if not seen.knows_copies and (recognised.position == NOT_SEEN).any():
        notes.append(f"note: {by_content(word)}: if there are any, the scores are too good")
    if recognised.unsure:
        text = f"note: {count(recognised.unsure, word)} may be copies of ones that were trained on, whose files are gone"
        notes.append(text)
    return notes
