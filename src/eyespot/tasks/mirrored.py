"""Whether mirrored images may be of another class, so that mirroring must not be an augmentation."""

import numpy as np
from numpy.typing import NDArray

from eyespot.data.surveys.survey import Survey

MOST = 2000
"""Images that are compared, at the most."""
FEWEST = 20
"""Below so many nothing is decided."""
DROP = 0.1
"""The share of images whose nearest neighbour changes class when they are mirrored, from which mirroring is harmful."""
ERRORS = 3.0
"""Standard errors by which the share has to be above chance."""


def nearest_class_drop(thumbs: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, float]:
    """How much less often the nearest other thumbnail has the right class when an image is mirrored, and its standard error.

    thumbs   (N, T) square thumbnails of unit length, see `data.duplicates`
    """
    side = round(thumbs.shape[1] ** 0.5)
    mirrored = thumbs.reshape(-1, side, side)[:, :, ::-1].reshape(thumbs.shape)
    correct = _nearest(thumbs, thumbs, labels) == labels
    still = _nearest(mirrored, thumbs, labels) == labels
    change = correct.astype(float) - still
    return float(change.mean()), float(change.std() / len(labels) ** 0.5)


def _nearest(
    queries: NDArray[np.float32], thumbs: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(N,) the class of the thumbnail that is nearest to each, itself left out."""
    likeness = queries @ thumbs.T
    np.fill_diagonal(likeness, -np.inf)
    return labels[likeness.argmax(1)]


def mirroring_changes_class(survey: Survey, train: NDArray[np.int64]) -> bool:
    """Whether mirrored training images look like another class, as arrows and letters do."""
    thumbs = survey.images.thumbs[train]
    side = round(thumbs.shape[1] ** 0.5) if len(thumbs) else 0
    if len(train) < FEWEST or side * side != thumbs.shape[1] or side < 8:
        return False
    chosen = np.random.default_rng(0).permutation(len(train))[:MOST]
    drop, error = nearest_class_drop(thumbs[chosen], survey.labels[train][chosen])
    return drop > DROP and drop > ERRORS * error
