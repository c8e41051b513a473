"""A classifier of arrays with the methods that scikit-learn expects, for its cross-validation, searches and pipelines."""

from types import SimpleNamespace
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from eyespot.config import Settings, given_settings
from eyespot.data.header import WORD, Array, Unreadable, as_depth, channels_last
from eyespot.errors import UserError
from eyespot.files import new_folder, temporary_folder


class ImageClassifier:
    """A network that is trained on arrays, by `eyespot.train`.

    settings   as for `eyespot.train`, such as epochs=20, minutes=1, model="small" or seed=1; dim=1 for signals, 3 for volumes

    X is (N, *S), (N, *S, C) or (N, C, *S), where channels are fewer than samples along the other axes; y is (N,), labels of any
    type. A fifth of the images is held out for validation, as `eyespot.train` does: `evaluation_` has its metrics.
    """

    def __init__(self, **settings: Unpack[Settings]):
        given_settings(settings)  # raises TypeError for other names
        self.settings: dict[str, Any] = dict(settings)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings that were given."""
        return dict(self.settings)

    def set_params(self, **settings: Any) -> "ImageClassifier":
        """Change settings, before the next `fit`. Raises TypeError for other names."""
        given_settings(settings)
        self.settings |= settings
        return self

    def fit(self, X: Any, y: Any) -> "ImageClassifier":
        """Train. Raises UserError for arrays that are no images, and for what cannot be trained on."""
        from eyespot.run import train

        images = self._images(X)
        self.classes_, positions = np.unique(np.asarray(y), return_inverse=True)
        if len(positions) != len(images):
            raise UserError(f"X has {len(images)} {self._word()}s, and y {len(positions)} labels")
        with temporary_folder() as folder:
            with new_folder(folder / "arrays") as data:
                for i, (image, k) in enumerate(zip(images, positions.tolist(), strict=True)):
                    with data.open(f"{k:06}/{i:09}.npy") as file:
                        np.save(file, image)
            run = train(folder / "arrays", out=folder / "run", **{"dim": 2} | self.settings)  # type: ignore[arg-type]
            self.evaluation_ = run.evaluation
            self.predictor_ = run.predictor
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """(N, classes) probabilities, in the order of `classes_`. Raises UserError for an image that cannot be read."""
        if not hasattr(self, "predictor_"):
            raise UserError("this classifier is not trained: call fit first")
        predictions = self.predictor_(self._images(X))
        if unread := [i for i, p in enumerate(predictions) if p.error is not None]:
            raise UserError(f"{self._word()} {unread[0]} of X cannot be read: {predictions[unread[0]].error}")
        rows = [[p.probabilities[f"{k:06}"] for k in range(len(self.classes_))] for p in predictions]
        return np.array(rows, np.float64).reshape(len(predictions), len(self.classes_))

    def predict(self, X: Any) -> NDArray[Any]:
        """(N,) the likeliest labels."""
        likeliest = self.predict_proba(X).argmax(1)
        return self.classes_[likeliest]

    def score(self, X: Any, y: Any) -> float:
        """The accuracy."""
        return float((self.predict(X) == np.asarray(y)).mean())

    def _word(self) -> str:
        return WORD[self.settings.get("dim") or 2]

    def _images(self, X: Any) -> Array:
        """(N, *S, C)"""
        array = as_depth(np.asarray(X))
        dim = self.settings.get("dim") or 2
        if array.ndim not in (dim + 1, dim + 2) or not array.size:
            axes = f"{self._word()}s take {dim + 1} axes, or {dim + 2} with channels"
            raise UserError(f"X has shape {array.shape}: {axes}; reshape it, or give dim=1 for signals")
        try:
            images = np.stack([channels_last(image, dim) for image in array])
        except Unreadable as reason:
            raise UserError(f"X: {reason}") from reason
        if 1 < images.shape[-1] > min(images.shape[1:-1]):
            raise UserError(f"X has shape {array.shape}, which does not tell channels from samples")
        return images

    def __sklearn_tags__(self) -> Any:
        tags = dict.fromkeys(("target_tags", "transformer_tags", "regressor_tags", "classifier_tags"))
        inputs = SimpleNamespace(pairwise=False, sparse=False, allow_nan=False)
        return SimpleNamespace(estimator_type="classifier", input_tags=inputs, requires_fit=True, **tags)

    def __repr__(self) -> str:
        return f"ImageClassifier({', '.join(f'{k}={v!r}' for k, v in self.settings.items())})"
