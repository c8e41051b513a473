"""Images beside their masks: a folder of each, or files of one folder; matched by names, judged by content."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from eyespot.config import Config
from eyespot.data.guesses import Guess
from eyespot.data.sources.cases import by_class, kinds_of_masks, one_image_each, one_mask_each
from eyespot.data.sources.judge import LABELS, PICTURES, judged
from eyespot.data.sources.roles import Roles, roles_by_name, roles_by_pattern
from eyespot.data.sources.samples import (
    Sample,
    Source,
    class_names,
    ending_of,
    is_known,
    is_picture,
    is_table,
    walk,
)
from eyespot.data.sources.splits import with_splits
from eyespot.data.sources.stems import ENOUGH, Case, Matching, match_files
from eyespot.data.sources.unnamed import unnamed_roles
from eyespot.errors import UserError
from eyespot.plurals import count

SHORT = 90
"""Letters that the paths of an image and its mask may have in a sentence."""
OPTIONS = "--task classification, or --images PATTERN --masks PATTERN"
"""What overrules a pair of folders."""


@dataclass(frozen=True)
class Layout:
    """Which files are images and masks, how they match, and why."""

    roles: Roles
    matching: Matching
    reason: str


def source_of_pairs(root: Path, name: str, options: Config = Config()) -> Source | None:
    """The images with masks below a folder; None if it has another layout.

    Where there are folders called images, only these count. Masks in folders of their own below masks/ are masks of
    classes: an image without a file in one has nothing of that class, and without a file in any it has no mask. Raises
    UserError where names say images and masks, and they do not match, or the content says otherwise.
    """
    if options.task == "classification":
        _refuse_masks_option(options)
        return None
    files = list(walk(root))
    layout = _layout(root, _readable(files), options)
    if layout is None:
        if options.task == "segmentation":
            raise UserError(
                f"{root} has no masks whose names match those of images: name the files with --images PATTERN --masks PATTERN, or give a CSV with the columns path and mask"
            )
        return None
    ignored = Counter(ending_of(path) for path in files if not is_known(path))
    return _source(root, name, layout, dict(ignored), options)


def _refuse_masks_option(options: Config) -> None:
    if options.masks:
        raise UserError("--masks is for segmentation, and --task says classification: leave one of them out")


def _readable(files: list[Path]) -> list[Path]:
    """The files of known kinds; tables are notes where there are others."""
    known = [path for path in files if is_known(path)]
    others = [path for path in known if not is_table(path)]
    return others or known


def _layout(root: Path, files: list[Path], options: Config) -> Layout | None:
    """Raises UserError where two readings are plausible."""
    if options.images or options.masks:
        roles = roles_by_pattern(files, root, options.images, options.masks)
    else:
        roles = roles_by_name(files, root)
    if roles.masks and roles.images:
        matching = match_files(roles.images, roles.masks, root)
        if matching is not None:
            matching = _with_further_masks(root, roles, matching)
            _check_content(root, roles, matching, options)
            return Layout(roles, matching, "their names match")
        _refuse_unmatched(root, roles, options)
    if options.images or options.masks or roles.by_folder:
        return None
    unnamed = unnamed_roles(root, files)
    if unnamed is None:
        return None
    roles, matching, look = unnamed
    return Layout(roles, matching, look)


def _with_further_masks(root: Path, roles: Roles, matching: Matching) -> Matching:
    """The cases with the masks that are left but fit images too, under another name: which are meant is then asked."""
    again = match_files(roles.images, matching.masks, root) if len(matching.masks) > 1 else None
    if again is None:
        return matching
    further = {image: case.masks for case in again.cases for image in case.images}
    cases = []
    for case in matching.cases:
        masks = [mask for image in case.images for mask in further.get(image, ())]
        cases.append(Case(case.images, [*case.masks, *masks]))
    used = {mask for case in cases for mask in case.masks}
    return Matching(cases, matching.images, [mask for mask in matching.masks if mask not in used])


def _check_content(root: Path, roles: Roles, matching: Matching, options: Config) -> None:
    """Raises UserError for masks that are pictures, and for a few masks among the images of classes."""
    sure = roles.asked or options.task == "segmentation" or options.multilabel or options.objects is not None
    if sure:
        return
    masks = [path for case in matching.cases for path in case.masks]
    kinds = set(kinds_of_masks((case for case in matching.cases if len(case.masks) > 1), root).values())
    single = [case.masks[0] for case in matching.cases if len(case.masks) == 1]
    if kinds | ({judged(single)} if single else set()) == {PICTURES}:
        raise UserError(
            f"{_folders(root, masks)} seems by its name to hold masks of {_folders(root, roles.images)}, but {masks[0].name} is a picture "
            f"and no label map: give --task classification if the folders are classes, or name the masks with --masks PATTERN"
        )
    is_minority = sum(len(case.images) for case in matching.cases) < ENOUGH * len(roles.images)
    if is_minority and not roles.by_folder and options.task is None:
        raise UserError(
            f"{count(len(matching.cases), 'image')} of {len(roles.images)} in {root} {'has' if len(matching.cases) == 1 else 'have'} a mask by name, such as {masks[0]}: "
            "give --task segmentation to train on these, or --task classification if they are images of classes"
        )


def _refuse_unmatched(root: Path, roles: Roles, options: Config) -> None:
    """Raises UserError where folders or patterns name images and masks, and no two names agree."""
    contents = roles.by_folder and (judged(roles.masks), judged(roles.images)) == (LABELS, PICTURES)
    named = roles.by_folder and roles.image_folders
    if roles.asked or named or contents:
        classes = "" if options.masks else ", or give --task classification if both are classes"
        raise UserError(
            f"no mask has the name of an image: {roles.images[0]} is an image, {roles.masks[0]} a mask; name each mask after "
            f"its image, perhaps with _mask at the end, or choose the files with --images and --masks{classes}"
        )


def _example(root: Path, case: Case) -> str:
    """An image and its mask, by their paths where these are short, else by their names."""
    pair = [case.images[0].relative_to(root), case.masks[0].relative_to(root)]
    short = sum(len(str(path)) for path in pair) <= SHORT
    return " with ".join(str(path) if short else path.name for path in pair)


def _folders(root: Path, paths: Iterable[Path], most: int = 3) -> str:
    """The folders of files below a root, the first few by name."""
    names = list(dict.fromkeys(f"{path.parent.relative_to(root)}/" for path in paths))
    shown = [f"{root.name}/" if name == "./" else name for name in names[:most]]
    return ", ".join(shown) + ", ..." * (len(names) > most)


def _source(root: Path, name: str, layout: Layout, ignored: dict[str, int], options: Config) -> Source:
    roles = layout.roles
    guesses = []
    cases = layout.matching.cases
    cases, guess = one_image_each(root, cases, bool(options.masks and not options.images))
    guesses += [guess] if guess else []
    classes = () if roles.asked else by_class(cases, roles.images, root)
    if classes:
        samples = [
            Sample(c.images[0], "", masks=tuple(sorted((classes[m], m) for m in c.masks))) for c in cases
        ]
        reason = "the masks lie in a folder for each"
        names = tuple(sorted(set(classes.values())))
        guesses.append(
            Guess("classes", ", ".join(names[:8]), reason, "--masks PATTERN for one mask an image")
        )
    else:
        cases, guess = one_mask_each(root, cases)
        guesses += [guess] if guess else []
        samples = [Sample(case.images[0], "", mask=case.masks[0]) for case in cases]
        names = class_names(root)
    if not roles.asked:
        reason = f"{layout.reason}: {_example(root, cases[0])}"
        guesses.insert(0, Guess("task", "segmentation", reason, OPTIONS))
    samples, guess = with_splits(samples, root)
    guesses += [guess] if guess else []
    without = {
        "mask": tuple(layout.matching.images),
        "image": tuple(layout.matching.masks),
        "folder": tuple(sorted(path for path in roles.elsewhere if is_picture(path))),
    }
    without = {missing: paths for missing, paths in without.items() if paths}
    return Source(
        name, tuple(sorted(samples, key=lambda s: s.path)), names, ignored, without, guesses=tuple(guesses)
    )
