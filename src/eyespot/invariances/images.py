"""The images that are changed: those that a run did not train on, or a data set's, with their labels where there are any."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.console import track
from eyespot.data.duplicates.recognise import Looked
from eyespot.data.formats.read import read_header
from eyespot.data.header import WORD, Header
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.data.scan import value_or_reason
from eyespot.data.sources.find import find_samples
from eyespot.data.sources.samples import is_run, list_files
from eyespot.data.store import Store
from eyespot.errors import UserError
from eyespot.evaluation.classes import read_labelled
from eyespot.evaluation.evaluate import Chosen, choose
from eyespot.evaluation.evaluation import Evaluation, nothing_usable, of_sources
from eyespot.evaluation.files import notes_about_files
from eyespot.evaluation.masks import read_pairs
from eyespot.evaluation.seen_by import check_seen
from eyespot.plurals import count
from eyespot.prediction.predictor import Predictor
from eyespot.weights.ensemble_file import is_ensemble

MOST = {False: 2000, True: 100}
"""Images that are changed unless more are asked for: of classes, and of masks, which take longer."""


@dataclass(frozen=True)
class Images:
    """What is changed and predicted.

    paths    of the images, in the order of their index
    labels   (N,) positions of the classes; None for masks, and where there are no labels
    groups   (N,) names of what belongs together; None where each image is on its own
    pairs    images and masks, by `rows`; None for classes
    sizes    samples along the axes of each file, as its header says
    errors   the reason for each file that could not be read
    """

    predictor: Predictor
    name: str
    paths: list[str]
    labels: NDArray[np.int64] | None = None
    groups: list[str] | None = None
    pixels: Store | None = None
    masks: Store | None = None
    rows: NDArray[np.int64] | None = None
    sizes: tuple[tuple[int, ...], ...] = ()
    spacings: tuple[tuple[float, ...], ...] = ()
    errors: dict[str, str] | None = None
    notes: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """What one of them is called."""
        return WORD[self.predictor.preprocessing.dim]

    @property
    def longest(self) -> float:
        """Samples along the longer axis of the usual file; 0 where sizes are not known."""
        return float(np.median([max(size) for size in self.sizes])) if self.sizes else 0.0

    def only(self, keep: NDArray[np.int64]) -> "Images":
        """Those at these positions."""
        return replace(
            self,
            paths=[self.paths[i] for i in keep],
            labels=None if self.labels is None else self.labels[keep],
            groups=_grouped([self.groups[i] for i in keep]) if self.groups else None,
            rows=None if self.rows is None else self.rows[keep],
            sizes=tuple(self.sizes[i] for i in keep),
            spacings=tuple(self.spacings[i] for i in keep),
        )


def _grouped(names: list[str]) -> list[str] | None:
    """None where each image is on its own"""
    return names if len(set(names)) < len(names) else None


def images_of(
    predictor: Predictor,
    run: Path,
    data: str | os.PathLike | None,
    layout: Mapping[str, Any],
    most: int | None = None,
    split: str | None = None,
) -> Images:
    """The images of a run's test or validation set, or of a data set; at most so many, chosen at random.

    Raises UserError where they are of another task, and for a cross-validation, whose networks have seen its images.
    """
    if data is None and is_ensemble(run):
        raise UserError(
            f"{run} is a cross-validation, and each of its networks has seen the others' images: name one fold, such as "
            f"{run}/fold-1, or a data set after it"
        )
    of_positions = predictor.output.of_positions
    if data is not None and split is None and is_unlabelled(data, predictor):
        images = _unlabelled(predictor, data)
    else:
        chosen = choose(predictor, run, data, layout, split)
        images = _of_masks(chosen, run) if of_positions else _of_classes(chosen, run)
    return _at_most(images, most or MOST[of_positions])


def _at_most(images: Images, most: int) -> Images:
    n = len(images.paths)
    if n <= most:
        return images
    keep = np.sort(np.random.default_rng(0).permutation(n)[:most])
    note = f"note: {most:,} of {count(n, images.word)}, chosen at random (--most {n} for all)"
    return replace(images.only(keep), notes=(*images.notes, note))


def is_unlabelled(data: str | os.PathLike, predictor: Predictor) -> bool:
    """Whether data are an image, or a folder of nothing but images, that nothing gives a class or a mask."""
    path = Path(data)
    if not path.is_dir() or is_run(path):
        return path.is_file() and path.suffix.lower() not in (".csv", ".tsv", ".txt", ".json")
    files = list(list_files(path, predictor.preprocessing.dim))
    if not files or any(file.parent != path for file in files):
        return False
    try:
        find_samples(path)
    except UserError:
        return True
    return False


def _unlabelled(predictor: Predictor, data: str | os.PathLike) -> Images:
    path = Path(data)
    files = [path] if path.is_file() else list(list_files(path, predictor.preprocessing.dim))
    word = WORD[predictor.preprocessing.dim]
    note = f"note: these {word}s have no labels: accuracy is not measured, and whether predictions stay the same is"
    if predictor.output.of_positions:
        raise UserError(f"{data} has no masks, and this run predicts masks: give images/ and masks/")
    errors: dict[str, str] = {}
    headers = {}
    for file in track(files, len(files), "reading, files"):
        header = value_or_reason(partial(_readable_header, predictor.preprocessing), file)
        if isinstance(header, str):
            errors[str(file)] = header
        else:
            headers[str(file)] = header
    if not headers:
        raise UserError(nothing_usable(errors))
    sizes, spacings = _grids([*headers.values()], predictor.preprocessing.dim)
    return Images(
        predictor, str(data), [*headers], sizes=sizes, spacings=spacings, errors=errors, notes=(note,)
    )


def _readable_header(preprocessing: Preprocessing, content: bytes) -> Header:
    """The header of a file that the predictor can read. Raises Unreadable."""
    preprocessing(content)
    return read_header(content, preprocessing.read_options)


def _grids(headers: Sequence[Header], dim: int) -> tuple[Any, Any]:
    """Sizes and spacings as files of so many axes"""
    taken = [header.taken_as(dim) or header for header in headers]
    return tuple(h.shape for h in taken), tuple(h.spacing for h in taken)


def _of_classes(chosen: Chosen, run: Path) -> Images:
    predictor = chosen.predictor
    read = read_labelled(predictor, chosen.source, run, chosen.name)
    sizes, spacings = _grids(read.headers, predictor.preprocessing.dim)
    images = Images(predictor, chosen.name, read.paths, read.labels, sizes=sizes, spacings=spacings)
    notes = (*chosen.notes, *read.notes)
    return _finished(images, chosen, read.images.rows, run, read.looked, read.errors, notes)


def _of_masks(chosen: Chosen, run: Path) -> Images:
    predictor = chosen.predictor
    source = chosen.source
    pairs, headers = read_pairs(predictor, source, run, chosen.name)
    errors = {str(source.samples[i].path): reason for i, reason in sorted(pairs.errors.items())}
    read = [headers[int(i)] for i in pairs.rows]
    samples = [source.samples[int(i)] for i in pairs.rows]
    looked = Looked(read, pairs.pixels, pairs.thumbs, predictor.preprocessing, samples)
    notes = (*chosen.notes, *notes_about_files(predictor.preprocessing, read))
    images = Images(
        predictor,
        chosen.name,
        [str(sample.path) for sample in samples],
        pixels=pairs.pixels,
        masks=pairs.labels,
        rows=np.arange(len(pairs.rows)),
        sizes=tuple(shape[:-1] for shape in pairs.pixels.shapes),
        spacings=_grids(read, predictor.preprocessing.dim)[1],
    )
    return _finished(images, chosen, pairs.rows, run, looked, errors, notes)


def _finished(
    images: Images,
    chosen: Chosen,
    rows: NDArray[np.int64],
    run: Path,
    looked: Looked,
    errors: dict[str, str],
    notes: tuple[str, ...],
) -> Images:
    """With groups, and with the warning about images that the network has seen."""
    groups = of_sources(chosen.source, rows, chosen.share)
    plain = Evaluation({}, images.predictor.classes, None, errors, notes)
    checked = check_seen(plain, run, images.predictor.card, looked, images.paths)
    group_notes = groups.notes() if groups else ()
    names = groups.names if groups else None
    return replace(images, groups=names, errors=errors, notes=(*checked.notes, *group_notes))
