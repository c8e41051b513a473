"""Images whose masks an annotation file of another tool outlines."""

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from eyespot.config import Config
from eyespot.data.annotations.outlines import AnnotationFile, common_end
from eyespot.data.annotations.parse import ENDINGS, KNOWN_TOOLS, annotation_file
from eyespot.data.guesses import Guess
from eyespot.data.sources.folders import source_of_folders
from eyespot.data.sources.pairs import source_of_pairs
from eyespot.data.sources.samples import PICTURES, TABLES, Sample, Source, contact_sheets, is_table, walk
from eyespot.data.sources.words import names_images, names_mask, split_of_path
from eyespot.errors import UserError

FIRST = "instances"
"""COCO's name of the files with outlines; others beside them annotate the same images otherwise."""
YAML = (".yaml", ".yml")
Files = dict[Path, AnnotationFile]


def source_of_annotations(root: Path, name: str, options: Config) -> Source | None:
    """The images of a folder that annotation files list; None where there are none.

    Raises UserError for files with boxes only, and for two files about one image.
    """
    if options.task == "classification":
        return None
    paths = list(walk(root))
    sheets = contact_sheets(root)
    images = [p for p in paths if p.suffix.lower() in PICTURES and p not in sheets]
    files = _annotation_files(paths, images)
    if not files:
        return None
    outlined = _outlined(files)
    with_masks = _with_mask_files(root, name, options) if outlined else source_of_pairs(root, name, options)
    if with_masks is not None and not any(mask in files for s in with_masks.samples for mask in s.mask_files):
        first = next(iter(outlined), None)
        guess = Guess("masks", "the image files", f"{first} is there as well", f"give {first} as the data")
        return replace(with_masks, guesses=(*with_masks.guesses, *([guess] if first else [])))
    if not outlined:
        refuse_boxes(files, root)
    return _source(name, root, outlined, images)


def _annotation_files(paths: list[Path], images: list[Path]) -> Files:
    """The files of known tools, but for label files without any object"""
    stems = {path.stem for path in images}
    candidates = [
        p for p in paths if p.suffix.lower() in ENDINGS - TABLES or (is_table(p) and p.stem in stems)
    ]
    parsed = {path: annotation_file(path) for path in candidates}
    files = {path: file for path, file in parsed.items() if file is not None}
    if not any(is_table(path) and (file.outlined or file.boxed) for path, file in files.items()):
        files = {path: file for path, file in files.items() if not is_table(path)}
    return files


def _outlined(files: Files) -> Files:
    """The files with outlines, and of tools that write a file per image also those without any"""
    tools = {file.tool for file in files.values() if file.outlined}
    return {p: file for p, file in files.items() if file.tool in tools and (file.one_image or file.outlined)}


def source_of_annotation_file(path: Path, options: Config) -> Source | None:
    """The images that one annotation file lists; None for a file of another kind. Raises UserError."""
    if path.suffix.lower() in YAML:
        return source_of_annotations(path.parent, path.resolve().parent.name, options)
    if path.suffix.lower() not in ENDINGS - TABLES:
        return None
    file = annotation_file(path)
    if file is None:
        raise UserError(
            f"{path} is not an annotation file that is known ({KNOWN_TOOLS}): give a folder or a CSV"
        )
    if file.one_image and file.outlined:
        raise UserError(f"{path} is {file.tool} of one image: give the folder with the others")
    if options.task == "classification":
        raise UserError(
            f"{path} is {file.tool}, for segmentation: for classes give folders, or a CSV with path and label"
        )
    if not file.outlined:
        refuse_boxes({path: file}, path.parent)
    root = path.parent
    images = [p for p in walk(root) if p.suffix.lower() in PICTURES]
    if not any(p.name.lower() in file.by_name for p in images) and names_mask(root.name):
        root = root.parent
        images = [p for p in walk(root) if p.suffix.lower() in PICTURES]
    return _source(path.stem, root, {path: file}, images)


def refuse_boxes(files: Files, root: Path) -> None:
    """Raises UserError, which says what files without an outline hold."""
    or_classes = ", or use --task classification for the classes of its folders" * _has_classes(root)
    path, file = next(((p, f) for p, f in files.items() if f.boxed), next(iter(files.items())))
    if file.unread:
        raise UserError(f"{path} is {file.tool}, which is not read: export the outlines as COCO{or_classes}")
    what = "bounding boxes" if file.boxed else file.holds or "no objects"
    instead = f"{what} and no outlines" if what != "no objects" else what
    raise UserError(
        f"{path} is {file.tool} and holds {instead}, which cannot be trained: outline the objects{or_classes}"
    )


def _has_classes(root: Path) -> bool:
    """Whether the folder can be read as classes, two of which have samples."""
    try:
        source = source_of_folders(root, root.name, Config(task="classification"))
    except UserError:
        return False
    labels = {sample.label for sample in source.samples}
    return len(labels) > 1 and labels == set(source.classes) and not all(map(names_images, labels))


def _with_mask_files(root: Path, name: str, options: Config) -> Source | None:
    """The images with masks that are image files, where there are any"""
    try:
        return source_of_pairs(root, name, options)
    except UserError:
        return None


@dataclass
class _Matches:
    """Which annotation file lists which image, and what is missing."""

    files_of: dict[Path, list[Path]]
    missing: list[Path]


def _source(name: str, root: Path, files: Files, images: list[Path]) -> Source:
    matches = _match(root, files, images)
    if not matches.files_of:
        path, file = next(iter(files.items()))
        listed = f"the first is {file.images[0].file}" if file.images else "it lists none"
        raise UserError(f"none of the images of {path} is below {root}: {listed}; put the images there")
    samples = []
    for image, annotations in sorted(matches.files_of.items()):
        chosen = _one(image, annotations)
        split = split_of_path(chosen.relative_to(root)) or split_of_path(image.parent.relative_to(root))
        samples.append(Sample(image, "", split, chosen))
    if not any(sample.split == "train" for sample in samples):
        samples = [replace(sample, split="") for sample in samples]
    unlisted = tuple(path for path in images if path not in matches.files_of)
    without = {"mask": unlisted, "file": tuple(matches.missing)}
    used = {sample.mask for sample in samples}
    first = next(path for path in files if path in used)
    others = f" and {len(used) - 1:,} more" if len(used) > 1 else ""
    reason = f"there is {files[first].tool} ({first.name}{others})"
    guess = Guess("task", "segmentation", reason, "--task classification")
    kept = {missing: paths for missing, paths in without.items() if paths}
    return Source(name, tuple(samples), (), {}, kept, (guess,))


def _match(root: Path, files: Files, images: list[Path]) -> _Matches:
    named = defaultdict(list)
    stems = defaultdict(list)
    for path in images:
        named[path.name.lower()].append(path)
        stems[path.stem].append(path)
    matches = _Matches(defaultdict(list), [])
    for annotations, file in files.items():
        for entry_name, entries in file.by_name.items():
            listed = (file.one_image and stems[annotations.stem]) or named[entry_name]
            candidates = [p for p in listed if _may_belong(annotations, p, root)]
            for entry in entries:
                image = _nearest(annotations, entry.file, candidates, root)
                if image is None:
                    matches.missing.append(Path(entry.file))
                else:
                    matches.files_of[image].append(annotations)
    return matches


def _nearest(annotations: Path, file: str, candidates: list[Path], root: Path) -> Path | None:
    """The image that a name in an annotation file means. Raises UserError where several may be."""

    place = _place(annotations, root)

    def rank(path: Path) -> tuple[int, bool, bool]:
        return common_end(path, file), _place(path, root) == place, path.is_relative_to(annotations.parent)

    best = [path for path in candidates if rank(path) == max(map(rank, candidates))]
    if len(best) > 1:
        raise UserError(
            f"{file} in {annotations} may be {best[0]} or {best[1]}: give the file the folders of its images, or move one away"
        )
    return best[0] if best else None


def _place(path: Path, root: Path) -> list[str]:
    """The folders of a file below the root, but for those that say what is in them"""
    return [
        name for name in path.relative_to(root).parts[:-1] if not (names_images(name) or names_mask(name))
    ]


def _one(image: Path, annotations: list[Path]) -> Path:
    """The annotation file of an image. Raises UserError where there are several."""
    first = [path for path in annotations if path.stem.lower().startswith(FIRST)]
    chosen = first if len(first) == 1 else annotations
    if len(chosen) > 1:
        raise UserError(
            f"{image} is in {chosen[0]} and in {chosen[1]}: give one of these files as the data, or move the other away"
        )
    return chosen[0]


def _may_belong(annotations: Path, image: Path, root: Path) -> bool:
    """Whether the splits in the names of an annotation file and of an image's folders do not contradict."""
    ours = split_of_path(annotations.relative_to(root))
    theirs = split_of_path(image.parent.relative_to(root))
    return not ours or not theirs or ours == theirs
