"""On features of networks that never saw a change: are changed images still recognised as they were?

The nearest neighbours of a changed image are looked for among training images and their changed copies. So what is only new
to the network stays with its class, and what looks like another class goes over to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyespot.data.header import Array
from eyespot.invariances.changes import Change
from eyespot.invariances.learning.quick import Network, Rows
from eyespot.invariances.original import Original

NEIGHBOURS = 5
COPIES = 2
"""Of each training image, in different directions where the change has some."""


@dataclass(frozen=True)
class Probed:
    """Of N images, each by the network that was not trained on it.

    predicted   (N,) the class of the changed image, and `control` of the one that was changed there and back, so that only the
                kernel and the border are left; None where nothing is interpolated or filled
    """

    predicted: Rows
    control: Rows | None


class Probe:
    """images (N, *S, C) as stored, labels (N,), and for each image the position of the network that was not trained on it"""

    def __init__(self, images: Array, labels: Rows, folds: Rows, networks: Sequence[Network]):
        self.images = images
        self.labels = labels
        self.folds = folds
        self.networks = networks
        self.originals = [Original(image, i, prepared=True) for i, image in enumerate(images)]
        self.features = [network.features(images) for network in networks]
        self.unchanged = self._predicted(self.features, ())

    def of(self, change: Change, severity: float) -> Probed:
        """Predictions of the changed images."""
        directions = range(min(COPIES, change.trials))
        copies = [np.stack(change.apply(self.originals, severity, trial)) for trial in directions]
        features = [[network.features(copy) for network in self.networks] for copy in copies]
        back = change.back(self.originals, list(copies[0]), severity)
        control = None
        if back is not None:
            undone = np.stack(back)
            of_undone = [network.features(undone) for network in self.networks]
            control = self._predicted(of_undone, (of_undone,))
        return Probed(self._predicted(features[0], features), control)

    def _predicted(self, queries: Sequence[Array], copies: Sequence[Sequence[Array]]) -> Rows:
        """(N,) by the images of other folds, and their copies; features are given by network"""
        predicted = np.zeros(len(self.labels), np.int64)
        for k in range(len(self.networks)):
            here = self.folds == k
            pool = np.concatenate([self.features[k][~here], *(copy[k][~here] for copy in copies)])
            labels = np.tile(self.labels[~here], 1 + len(copies))
            predicted[here] = nearest_class(pool, labels, queries[k][here])
        return predicted


def nearest_class(pool: NDArray[np.float32], labels: Rows, queries: NDArray[np.float32]) -> Rows:
    """(Q,) the class that most of the nearest of (P, F) have, by the angle between standardised features; of equals the nearer"""
    mean = pool.mean(0)
    std = pool.std(0) + 1e-6
    known, asked = (_unit((values - mean) / std) for values in (pool, queries))
    likeness = asked @ known.T
    count = min(NEIGHBOURS, len(pool))
    nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    votes = np.zeros((len(queries), labels.max() + 1))
    places = np.arange(len(queries))
    for column in nearest.T:
        votes[places, labels[column]] += 1 + 0.01 * likeness[places, column]
    return votes.argmax(1)


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)
