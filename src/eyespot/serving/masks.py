"""Predicted masks as files: with the values of the training masks, as `eyespot predict` writes them.

What writes them is imported where it is used, since a machine that only predicts classes has no tifffile or SciPy.
"""

import base64
import io
from typing import Any, NamedTuple

import numpy as np

from eyespot.data.formats.channel_files import contents_of, is_joined
from eyespot.data.formats.nifti import is_nifti
from eyespot.data.formats.tiff import is_tiff
from eyespot.data.header import Array
from eyespot.prediction.output import MEMORY_MB
from eyespot.prediction.predictions import MaskPrediction
from eyespot.serving.limits import Refusal

FORMATS = {
    "png": "image/png",
    "tiff": "image/tiff",
    "nifti": "application/gzip",
    "npy": "application/octet-stream",
}
"""The formats of a mask, and the type of each."""
ENDINGS = {"png": ".png", "tiff": ".tif", "nifti": ".nii.gz", "npy": ".npy"}


class MaskFile(NamedTuple):
    """One mask as a file."""

    kind: str
    content: bytes

    def as_document(self) -> dict[str, Any]:
        """For JSON."""
        return {"format": self.kind, "encoding": "base64", "data": base64.b64encode(self.content).decode()}


def mask_values(output: Any, prediction: MaskPrediction, instances: bool | None = None) -> Array:
    """(*S) or (*S, 3) the values that a mask has in a file; (classes, *S) of multi-label masks, 255 where a class is.

    instances   numbers of objects in place of classes; None for what the training masks had
    """
    labels = prediction.labels
    assert labels is not None
    if output.mapping.objects if instances is None else instances:
        output.check_objects()
        _refuse_large(labels.size)
        ids = output.ids(labels)
        return ids.astype(np.uint16 if ids.max(initial=0) < 2**16 else np.uint32)
    if output.multilabel:
        return labels.astype(np.uint8) * 255
    return output.mapping.value_of()[labels]


def _refuse_large(samples: int) -> None:
    """Raises Refusal for a mask whose objects take more memory than is allowed."""
    from eyespot.watershed import BYTES

    if -(-samples * BYTES >> 20) > MEMORY_MB:
        raise Refusal(
            413,
            f"numbering the objects of {samples / 1e6:,.0f} million pixels takes more than the {MEMORY_MB:,} MB that "
            "are allowed: send a smaller image, or ask for instances=false",
        )


def first_file(content: bytes) -> bytes:
    """The content itself, or that of the first of several files, after which `predict` names and places the mask."""
    return contents_of(content)[0][1] if is_joined(content) else content


def usual_format(output: Any, values: Array, content: bytes) -> str:
    """The format that `predict` would write: TIFF for TIFF, PNG for other images, NIfTI for NIfTI, else TIFF, and NumPy for signals."""
    dim = output.preprocessing.dim
    if dim == 1:
        return "npy"
    if dim == 3:
        return "nifti" if is_nifti(content) else "tiff"
    return "png" if _fits_png(output, values) and not is_tiff(content) else "tiff"


def _fits_png(output: Any, values: Array) -> bool:
    return not output.multilabel and values.dtype in (np.uint8, np.uint16)


def encoded(output: Any, values: Array, kind: str, source: bytes) -> MaskFile:
    """The values as a file. source   the content of the image, for the affine of NIfTI, and the resolution of others"""
    from eyespot.prediction.mask_files import encoded_map
    from eyespot.prediction.tiff_output import dots_per_inch, resolution_of

    if kind == "nifti":
        return MaskFile(kind, _nifti(values, source, output.multilabel))
    colours = not output.multilabel and values.ndim > output.preprocessing.dim
    content = io.BytesIO(source)
    how = {"png": dots_per_inch, "tiff": resolution_of}
    return MaskFile(
        kind, encoded_map(values, ENDINGS[kind], how[kind](content) if kind in how else {}, colours)
    )


def _nifti(values: Array, source: bytes, overlapping: bool) -> bytes:
    from eyespot.prediction.nifti_output import RGB, nifti_like_content

    if overlapping:
        return nifti_like_content(np.moveaxis(values, 0, -1), source)
    if values.ndim == 4:  # colours
        values = np.ascontiguousarray(values).view(RGB)[..., 0]
    return nifti_like_content(values, source)


def refuse_format(output: Any, kind: str, values: Array, content: bytes) -> None:
    """Raises Refusal for a format that cannot hold this mask."""
    dim = output.preprocessing.dim
    fits = {
        "png": dim == 2 and _fits_png(output, values),
        "tiff": dim > 1,
        "nifti": dim == 3 and is_nifti(content),
        "npy": True,
    }
    if not fits[kind]:
        usual = usual_format(output, values, content)
        raise Refusal(406, f"this mask cannot be sent as {kind}: ask for format={usual}")
