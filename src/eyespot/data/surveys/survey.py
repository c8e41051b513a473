"""What is known of a data set after it has been read once: its files, values, labels and problems."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyespot.data.guesses import Guess
from eyespot.data.header import WORD, Array, Header
from eyespot.data.image_pairs import Pairs
from eyespot.data.images import Images
from eyespot.data.masks.mapping import Mapping
from eyespot.data.masks.multilabel import unpack
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.data.scan import Scan
from eyespot.data.sources.samples import Source
from eyespot.errors import UserError

ERROR = "error"
WARNING = "warning"
NOTE = "note"
LEVELS = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Problem:
    """One finding: how bad it is, what it is and how to mend it, and the files concerned."""

    level: str
    text: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A data set read once: where its files are, how they are preprocessed, their values, and their problems."""

    source: Source
    scan: Scan
    preprocessing: Preprocessing
    reasons: dict[str, str]
    """Why the preprocessing was chosen so, by field."""
    images: Images
    labels: NDArray[np.int64]
    """(N,) class positions of the decoded rows; 0 where samples have masks."""
    alike: NDArray[np.int64]
    """(N,) equal for rows that show the same picture, exactly or nearly."""
    headers: list[Header]
    """Of the decoded rows."""
    problems: list[Problem] = field(default_factory=list)
    """The worst first."""
    checks: list[str] = field(default_factory=list)
    """The plausibility checks that ran."""
    guesses: list[Guess] = field(default_factory=list)
    """What the files do not state: each can be overruled."""
    dropped: dict[str, str] = field(default_factory=dict)
    """Files that were dropped as duplicates, and what each is a duplicate of."""
    mapping: Mapping | None = None
    """From the values of masks to classes; None where samples have classes."""

    @property
    def task(self) -> str:
        """What is trained: "classification", or "segmentation" where samples have masks."""
        return "classification" if self.mapping is None else "segmentation"

    @property
    def word(self) -> str:
        """What one sample is called: signal, image or volume."""
        return WORD[self.preprocessing.dim]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the labels."""
        return self.source.classes

    @property
    def splits(self) -> NDArray[np.str_]:
        """(N,) the split that the user put each decoded row in, "" if none."""
        return np.array([self.source.samples[i].split for i in self.images.rows], dtype="<U5")

    @property
    def present(self) -> NDArray[np.bool_]:
        """(N, classes) whether a row is of a class; of masks, whether they have some of it."""
        return self.labels[:, None] == np.arange(len(self.classes))

    def path(self, row: int) -> str:
        """The file of a decoded row."""
        return str(self.source.samples[int(self.images.rows[row])].path)

    def counts(self, split: str) -> dict[str, int]:
        """Samples of each class in a split ("" where there are none); of masks, the images that have some of it."""
        counts = Counter(self.labels[self.splits == split].tolist())
        return {name: counts[k] for k, name in enumerate(self.classes)}

    def mask_summary(self) -> dict[str, Any]:
        """What `look` says of masks; empty where samples have classes."""
        return {}

    def mask(self, row: int) -> Array:
        """The label map of a row: (*S), or (classes, *S) of 0 and 1 where classes may overlap."""
        raise TypeError(f"samples of {self.source.name} have classes and no masks")

    def add_problems(self, problems: Iterable[Problem]) -> None:
        """Add findings and keep the worst first."""
        self.problems.extend(problems)
        self.problems.sort(key=lambda problem: LEVELS.index(problem.level))

    def refuse_errors(self) -> None:
        """Raise the first finding that makes training impossible. Raises UserError."""
        for problem in self.problems:
            if problem.level == ERROR:
                raise UserError(problem.text)


@dataclass(frozen=True, kw_only=True)
class PairSurvey(Survey):
    """A data set of images and masks, read once."""

    images: Pairs
    mapping: Mapping  # type: ignore[reportGeneralTypeIssues]  (the field of Survey, no longer optional)
    shares: NDArray[np.float64]
    """(images, classes) the share of each image's counted pixels that each class has."""
    overlap: float = 0.0
    """The share of all counted pixels that belong to several classes."""

    @property
    def classes(self) -> tuple[str, ...]:
        return self.mapping.classes

    @property
    def present(self) -> NDArray[np.bool_]:
        return self.shares > 0

    def counts(self, split: str) -> dict[str, int]:
        present = self.present[self.splits == split]
        return dict(zip(self.classes, present.sum(0).tolist(), strict=True))

    def mask_summary(self) -> dict[str, Any]:
        mean_shares = self.shares.mean(0).round(6).tolist()
        images = (self.shares > 0).sum(0).tolist()
        return {
            "mapping": self.mapping.as_dict(),
            "overlap": round(self.overlap, 6),
            "shares": dict(zip(self.classes, mean_shares, strict=True)),
            "images_with": dict(zip(self.classes, images, strict=True)),
        }

    def mask(self, row: int) -> Array:
        return self.as_shown(self.images.labels[row])

    def as_shown(self, labels: NDArray[np.uint8]) -> Array:
        """Labels (*S) as `overlays.with_mask` takes them: (classes, *S) where classes may overlap"""
        return unpack(labels, len(self.classes)) if self.mapping.multilabel else labels
