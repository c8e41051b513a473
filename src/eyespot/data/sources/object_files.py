"""Images whose masks are folders with a file per object: Kaggle's ID/images and ID/masks, or masks/ID below images/."""

from collections.abc import Callable
from pathlib import Path

from eyespot.config import Config
from eyespot.data.annotations.object_files import ANY_NUMBER, object_files, stems_before_number
from eyespot.data.formats.read import load_bytes
from eyespot.data.guesses import Guess
from eyespot.data.header import NeedsPackage, Unreadable
from eyespot.data.masks.pixels import read_mask
from eyespot.data.sources.samples import TABLES, Sample, Source, folders, is_known, walk
from eyespot.data.sources.splits import with_splits
from eyespot.data.sources.stems import ENOUGH, stem_of
from eyespot.data.sources.words import names_images, names_mask
from eyespot.errors import UserError
from eyespot.labels import components

SEEN = 5
"""Images of which the files are read, to see what they hold."""
Key = tuple[str, ...]
"""What an image and the folder of its objects have in common: the folders but for images/ and masks/, and the name."""


def source_of_object_files(root: Path, name: str, options: Config) -> Source | None:
    """The images with a folder of masks each; None where the folder has another layout."""
    mask_folders = [folder for folder in _folders_below(root) if _is_of_masks(folder, root)]
    if options.task == "classification" or not mask_folders:
        return None
    images = [
        path
        for path in walk(root)
        if is_known(path) and path.suffix.lower() not in TABLES and not _is_of_masks(path.parent, root)
    ]
    of_image = (
        _by_case(root, images, mask_folders)
        or _by_name(root, images, mask_folders)
        or _by_number(root, images, mask_folders, options)
    )
    if not of_image:
        return None
    folder_of_first = next(iter(of_image.values()))
    samples, split = with_splits([Sample(image, "", "", folder) for image, folder in of_image.items()], root)
    without = tuple(image for image in images if image not in of_image)
    reason = f"each image has a file per object, as in {folder_of_first.relative_to(root)}"
    guess = Guess("task", "segmentation", reason, "--task classification")
    return Source(
        name,
        tuple(samples),
        (),
        {},
        {"mask": without} if without else {},
        (guess, *([split] if split else [])),
    )


def _by_case(root: Path, images: list[Path], mask_folders: list[Path]) -> dict[Path, Path]:
    """Images that are alone in their folder, beside a folder of masks: ID/images/ID.png and ID/masks/*.png"""
    folder_of = {_key(folder, root, names_mask): folder for folder in mask_folders}
    cases: dict[Key, list[Path]] = {}
    for image in images:
        cases.setdefault(_key(image.parent, root, names_images), []).append(image)
    single = {key: of_case[0] for key, of_case in cases.items() if len(of_case) == 1 and key in folder_of}
    if len(single) < 0.5 * len(cases):
        return {}
    return _if_objects({image: folder_of[key] for key, image in single.items()})


def _by_name(root: Path, images: list[Path], mask_folders: list[Path]) -> dict[Path, Path]:
    """Images whose name a folder of masks has: images/ID.png and masks/ID/*.png"""
    folder_of = {_key(folder, root, names_mask): folder for folder in mask_folders}
    keys = {image: (*_key(image.parent, root, names_images), stem_of(image)) for image in images}
    of_image = {image: folder_of[key] for image, key in keys.items() if key in folder_of}
    numbered = len(of_image) >= ENOUGH * len(images) > 1 and _fewer_than_images(of_image)
    return _if_objects(of_image, numbered)


def _fewer_than_images(of_image: dict[Path, Path]) -> bool:
    """Whether hardly a folder has as many files as there are images, as the masks of one class would be."""
    full = sum(len(object_files(folder)) >= len(of_image) for folder in of_image.values())
    return full < ENOUGH * len(of_image)


def _if_objects(of_image: dict[Path, Path], by_folder: bool = False) -> dict[Path, Path]:
    """The images and their folders; nothing where the files in these are one per image or per class.

    by_folder   whether most images have a folder, so that numbers as names of files are no names of images
    """
    files = {image: object_files(folder) for image, folder in of_image.items()}
    several = [paths for paths in files.values() if len(paths) > 1]
    named_like_image = sum(stem_of(p) in {stem_of(i) for i in of_image} for paths in several for p in paths)
    words = [frozenset(stem_of(p) for p in paths if not stem_of(p).isdecimal()) for paths in several]
    per_class = len(several) > 1 and len(set(words)) == 1 and bool(words[0])
    of_images = named_like_image > len(several) and not by_folder
    return {} if not several or per_class or of_images else of_image


def _by_number(root: Path, images: list[Path], mask_folders: list[Path], options: Config) -> dict[Path, Path]:
    """Images whose masks have their name and a number: images/ID.png and masks/ID_1.png, masks/ID_2.png, ...

    Raises UserError where every image has the same numbers, which may be objects, classes or people.
    """
    stems = {stem_of(image) for image in images}
    numbered: dict[tuple[Key, str], list[Path]] = {}
    for folder in mask_folders:
        for path in object_files(folder):
            stem = next((stem for stem in stems_before_number(path) if stem in stems), None)
            if stem is None:
                return {}
            numbered.setdefault((_key(folder, root, names_mask), stem), []).append(path)
    if not any(len(paths) > 1 for paths in numbered.values()):
        return {}
    endings = {tuple(stem_of(p).removeprefix(stem) for p in paths) for (_, stem), paths in numbered.items()}
    alike = len(endings) == 1 and len(numbered) > 1 and options.objects is not True
    if alike and not all(map(_are_connected, list(numbered.values())[:SEEN])):
        first = next(iter(numbered.values()))
        raise UserError(
            f"each image of {root} has {len(first)} masks such as {first[0].name} and {first[1].name}: use --objects if each "
            "is one object; put them into masks/CLASS if each is a class"
        )
    keys = {image: (_key(image.parent, root, names_images), stem_of(image)) for image in images}
    return {
        image: numbered[key][0].parent / f"{key[1]}{ANY_NUMBER}"
        for image, key in keys.items()
        if key in numbered
    }


def _are_connected(paths: list[Path]) -> bool:
    """Whether there are more than two files, and each shows one connected thing: hardly classes, or the work of people"""
    try:
        masks = [read_mask(load_bytes(path), 2)[0] for path in paths]
    except NeedsPackage:
        raise
    except Unreadable:
        return False
    return len(paths) > 2 and all(int(components(mask > 0).max()) <= 1 for mask in masks)


def _folders_below(root: Path) -> list[Path]:
    below = folders(root, with_empty=True)  # an image may have no object
    return [path for folder in below for path in (folder, *_folders_below(folder))]


def _is_of_masks(folder: Path, root: Path) -> bool:
    return any(map(names_mask, folder.relative_to(root).parts))


def _key(folder: Path, root: Path, left_out: Callable[[str], bool]) -> Key:
    return tuple(name for name in folder.relative_to(root).parts if not left_out(name))
