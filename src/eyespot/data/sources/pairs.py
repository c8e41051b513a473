"""Images beside their masks: which belongs to which, by folders, endings or a CSV."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from eyespot.data.sources.samples import SPLITS, TABLES, Sample, is_known, look_name, walk
from eyespot.errors import UserError

IMAGES = frozenset("image images img imgs raw pictures volumes signals".split())
MASKS = frozenset(
    "mask masks label labels annotation annotations gt groundtruth ground_truth segmentation segmentations "
    "target targets".split()
)
ENDINGS = ("_cp_masks", "_mask", "_masks", "_label", "_labels", "_seg", "_gt", "-mask", "-label", ".mask")
"""What the name of a mask may have behind the name of its image."""


@dataclass(frozen=True)
class Found:
    """Pairs, and what has no partner; the classes where each has a folder of masks."""

    samples: list[Sample]
    without_mask: list[Path]
    without_image: list[Path]
    classes: tuple[str, ...] = ()
    ignored: dict[str, int] = field(default_factory=dict)
    """Files of no known kind, counted by their ending."""
    beside: tuple[Path, ...] = ()
    """Images that are in no folder called images, where there is one."""


def find_pairs(root: Path) -> Found | None:
    """The pairs below a folder; None if no image has a mask. Where there are folders called images, only these count.
    Raises UserError where these stand beside folders of masks, and no two names agree.

    Where no image has a mask of its name, the folders in masks/ are taken as classes: an image without a file in one has
    nothing of that class, and without a file in any it has no mask.
    """
    every = list(walk(root))
    files = [path for path in every if is_known(path)]
    masks = {path for path in files if _is_mask(path, root)}
    if not masks:
        return None
    images = [path for path in files if path not in masks]
    named = [path for path in images if any(part in IMAGES for part in _parts(path, root))]
    beside = {path for path in images if path.suffix.lower() not in TABLES} - {*named, root / look_name(root)}
    images = named or images
    one_each = {_key(path, root): {"": path} for path in sorted(masks, reverse=True)}
    found = _paired(root, images, masks, one_each) or _paired(root, images, masks, _by_class(root, masks))
    if found is not None:
        ignored = Counter(p.suffix.lower() or "no ending" for p in every if not is_known(p))
        return replace(found, ignored=dict(ignored), beside=tuple(sorted(beside)) if named else ())
    apart = [path for path in sorted(masks) if any(part in MASKS for part in _parts(path, root))]
    if named and apart:
        raise UserError(
            f"no mask has the name of an image: {named[0]} is one, and {apart[0]} is another, say; name each mask after its "
            "image, perhaps with _mask behind"
        )
    return None


def _by_class(root: Path, masks: set[Path]) -> dict[tuple[str, ...], dict[str, Path]]:
    """The masks of each key, by class, where they lie in masks/CLASS/"""
    found: dict[tuple[str, ...], dict[str, Path]] = defaultdict(dict)
    for path in sorted(masks, reverse=True):
        parts = path.relative_to(root).parts[:-1]
        below = next((i + 1 for i, part in enumerate(parts) if part.lower() in MASKS), len(parts))
        at = next((i for i in range(below, len(parts)) if parts[i].lower() not in SPLITS), None)
        if at is not None:
            found[_key(root.joinpath(*parts[:at], *parts[at + 1 :], path.name), root)][parts[at]] = path
    return found


def _paired(
    root: Path, images: list[Path], masks: set[Path], by_key: dict[tuple[str, ...], dict[str, Path]]
) -> Found | None:
    samples, without, used = [], [], set()
    for path in images:
        own = by_key.get(_key(path, root), {})
        if own:
            used.update(own.values())
            of_class = tuple(sorted((name, file) for name, file in own.items() if name))
            samples.append(Sample(path, "", _split(path, root), own.get(""), of_class))
        else:
            without.append(path)
    classes = {name for own in by_key.values() for name in own if name}
    return Found(samples, without, sorted(masks - used), tuple(sorted(classes))) if samples else None


def _parts(path: Path, root: Path) -> list[str]:
    return [part.lower() for part in path.relative_to(root).parts[:-1]]


def _is_mask(path: Path, root: Path) -> bool:
    return any(part in MASKS for part in _parts(path, root)) or _stem(path).lower().endswith(ENDINGS)


def _key(path: Path, root: Path) -> tuple[str, ...]:
    """What an image and its mask have in common: the folders but for images/ or masks/, and the name."""
    stem = _stem(path)
    for ending in ENDINGS:
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
    return (*(p for p in _parts(path, root) if p not in MASKS | IMAGES), stem)


def _stem(path: Path) -> str:
    return path.name[:-7] if path.name.lower().endswith(".nii.gz") else path.stem


def _split(path: Path, root: Path) -> str:
    return next((SPLITS[part] for part in _parts(path, root) if part in SPLITS), "")
