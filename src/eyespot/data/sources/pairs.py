"""Images beside their masks, matched by folders and file endings."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from eyespot.config import Config
from eyespot.data.sources.samples import (
    SPLITS,
    TABLES,
    Sample,
    Source,
    class_names,
    contact_sheet_name,
    ending_of,
    is_known,
    walk,
)
from eyespot.errors import UserError

IMAGES = frozenset("image images img imgs raw pictures volumes signals".split())
MASKS = frozenset(
    "mask masks label labels annotation annotations gt groundtruth ground_truth segmentation segmentations "
    "target targets".split()
)
ENDINGS = ("_cp_masks", "_mask", "_masks", "_label", "_labels", "_seg", "_gt", "-mask", "-label", ".mask")
"""What the name of a mask may have after the name of its image."""
Key = tuple[str, ...]
"""What an image and its mask have in common: folders but for images/ or masks/, and the name."""


@dataclass(frozen=True)
class Matches:
    """Images with their masks, and the files without a partner; the classes where each has a folder of masks."""

    samples: list[Sample]
    without_mask: list[Path]
    without_image: list[Path]
    classes: tuple[str, ...] = ()


def source_of_pairs(root: Path, name: str, options: Config = Config()) -> Source | None:
    """The images with masks below a folder; None if no image has a mask.

    Where there are folders called images, only these count. Where no image has a mask of its name, the folders in masks/
    are taken as classes: an image without a file in one has nothing of that class, and without a file in any it has no
    mask. Raises UserError where folders of images and of masks exist, and no two names agree.
    """
    files = list(walk(root))
    known = [path for path in files if is_known(path)]
    masks = {path for path in known if _is_mask(path, root)}
    if not masks:
        return None
    images = [path for path in known if path not in masks]
    in_image_folders = [path for path in images if IMAGES & set(_folders(path, root))]
    candidates = in_image_folders or images
    matches = _match(root, candidates, masks, _one_each(root, masks))
    matches = matches or _match(root, candidates, masks, _by_class(root, masks))
    if matches is None:
        _refuse_unmatched(root, in_image_folders, masks)
        return None
    pictures = {path for path in images if path.suffix.lower() not in TABLES}
    elsewhere = pictures - {*in_image_folders, root / contact_sheet_name(root)} if in_image_folders else ()
    without = {
        "mask": tuple(matches.without_mask),
        "image": tuple(matches.without_image),
        "folder": tuple(sorted(elsewhere)),
    }
    ignored = Counter(ending_of(path) for path in files if not is_known(path))
    classes = matches.classes or class_names(root)
    without = {missing: paths for missing, paths in without.items() if paths}
    return Source(name, tuple(matches.samples), classes, dict(ignored), without)


def _refuse_unmatched(root: Path, images: list[Path], masks: set[Path]) -> None:
    in_mask_folders = [path for path in sorted(masks) if MASKS & set(_folders(path, root))]
    if images and in_mask_folders:
        raise UserError(
            f"no mask has the name of an image: {images[0]} is an image, {in_mask_folders[0]} a mask; name each mask after "
            "its image, perhaps with _mask at the end"
        )


def _one_each(root: Path, masks: set[Path]) -> dict[Key, dict[str, Path]]:
    """The mask of each key; of several, the first by name."""
    return {_key(path, root): {"": path} for path in sorted(masks, reverse=True)}


def _by_class(root: Path, masks: set[Path]) -> dict[Key, dict[str, Path]]:
    """The masks of each key, by class, where they lie in masks/CLASS/"""
    by_class: dict[Key, dict[str, Path]] = defaultdict(dict)
    for path in sorted(masks, reverse=True):
        names = path.relative_to(root).parts[:-1]
        below = next((i + 1 for i, name in enumerate(names) if name.lower() in MASKS), len(names))
        at = next((i for i in range(below, len(names)) if names[i].lower() not in SPLITS), None)
        if at is not None:
            without_class = root.joinpath(*names[:at], *names[at + 1 :], path.name)
            by_class[_key(without_class, root)][names[at]] = path
    return by_class


def _match(
    root: Path, images: list[Path], masks: set[Path], by_key: dict[Key, dict[str, Path]]
) -> Matches | None:
    samples = []
    without_mask = []
    used: set[Path] = set()
    for path in images:
        own = by_key.get(_key(path, root), {})
        if own:
            used.update(own.values())
            class_masks = tuple(sorted((name, file) for name, file in own.items() if name))
            samples.append(Sample(path, "", _split(path, root), own.get(""), class_masks))
        else:
            without_mask.append(path)
    classes = {name for own in by_key.values() for name in own if name}
    without_image = sorted(masks - used)
    return Matches(samples, without_mask, without_image, tuple(sorted(classes))) if samples else None


def _folders(path: Path, root: Path) -> list[str]:
    return [name.lower() for name in path.relative_to(root).parts[:-1]]


def _is_mask(path: Path, root: Path) -> bool:
    return bool(MASKS & set(_folders(path, root))) or _stem(path).lower().endswith(ENDINGS)


def _key(path: Path, root: Path) -> Key:
    stem = _stem(path)
    for ending in ENDINGS:
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
    return (*(name for name in _folders(path, root) if name not in MASKS | IMAGES), stem)


def _stem(path: Path) -> str:
    return path.name[:-7] if path.name.lower().endswith(".nii.gz") else path.stem


def _split(path: Path, root: Path) -> str:
    return next((SPLITS[name] for name in _folders(path, root) if name in SPLITS), "")
