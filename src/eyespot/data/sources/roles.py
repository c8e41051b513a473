"""Which files of a folder are images and which are masks: by the names of folders and files, or by patterns."""

import os
from dataclasses import dataclass
from pathlib import Path

from eyespot.data.sources.samples import contact_sheets, walk
from eyespot.data.sources.stems import stem_of
from eyespot.data.sources.words import names_images, names_mask
from eyespot.errors import UserError


@dataclass(frozen=True)
class Roles:
    """The images and masks among the files of a folder.

    elsewhere   files that are neither, since there are folders of images and they lie outside these
    by_folder   whether folders are called masks, or only files
    image_folders   whether folders are called images
    asked       whether the user said which files are masks
    """

    images: list[Path]
    masks: list[Path]
    elsewhere: list[Path]
    by_folder: bool = False
    image_folders: bool = False
    asked: bool = False


def roles_by_name(files: list[Path], root: Path) -> Roles:
    """Images and masks by their names; without masks where no name says so."""
    top = common_folder(files, root)
    of_folder = {path: _folder_role(path, top) for path in files}
    masks = [path for path in files if of_folder[path] == "mask"]
    by_folder = bool(masks)
    named = [path for path in files if names_mask(stem_of(path)) and of_folder[path] != "mask"]
    masks += [path for path in named if not (by_folder and of_folder[path] == "image")]
    chosen = set(masks)
    rest = [path for path in files if path not in chosen]
    in_folders = [path for path in rest if of_folder[path] == "image"]
    images = in_folders or rest
    sheets = contact_sheets(root)
    elsewhere = (
        [path for path in rest if of_folder[path] != "image" and path not in sheets] if in_folders else []
    )
    return Roles(images, sorted(masks), elsewhere, by_folder, bool(in_folders))


def common_folder(files: list[Path], root: Path) -> Path:
    """The deepest folder that holds all files; its own name says nothing about them."""
    return Path(os.path.commonpath([path.parent for path in files])) if files else root


def _folder_role(path: Path, top: Path) -> str:
    """What the names of a file's folders say of it, the deepest first."""
    for name in reversed(path.relative_to(top).parts[:-1]):
        if names_mask(name):
            return "mask"
        if names_images(name):
            return "image"
    return ""


def roles_by_pattern(files: list[Path], root: Path, images: str | None, masks: str | None) -> Roles:
    """Images and masks as the user's patterns say; what these leave open, by name. Raises UserError for no file."""
    of_masks = matching_files(root, masks, "--masks") if masks else []
    of_images = matching_files(root, images, "--images") if images else []
    both = set(of_masks) & set(of_images)
    if both:
        raise UserError(f"{min(both)} matches --images and --masks: give patterns for different files")
    chosen = {*of_masks, *of_images}
    named = roles_by_name([path for path in files if path not in chosen], root)
    if masks and images:
        return Roles(of_images, of_masks, [], asked=True)
    if masks:
        sheets = contact_sheets(root)
        rest = [path for path in named.images if path not in sheets]
        return Roles(rest, of_masks, named.elsewhere, asked=True)
    return Roles(of_images, named.masks, [], named.by_folder, True)


def matching_files(root: Path, pattern: str, option: str) -> list[Path]:
    """The files below a folder that a pattern matches. Raises UserError where none does."""
    if Path(pattern).is_absolute():
        raise UserError(
            f"{option} is {pattern!r}, an absolute path: give a pattern below {root}, such as 'scans/*.tif'"
        )
    try:
        matches = sorted(root.glob(pattern))
    except (ValueError, NotImplementedError) as error:
        raise UserError(f"{option} {pattern!r} is not a pattern: {error}") from error
    files = [file for path in matches for file in (walk(path) if path.is_dir() else [path])]
    if not files:
        raise UserError(
            f"{option} {pattern!r} matches no file below {root}: give a pattern such as 'scans/*.tif'"
        )
    return list(dict.fromkeys(files))
