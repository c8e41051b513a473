"""Arrays as files that lose nothing: PNG, TIFF, WAV, NumPy and NIfTI."""

import io
from pathlib import Path

import numpy as np

from eyespot.data.formats.sound import KINDS as SOUND_KINDS
from eyespot.data.header import Array, Header
from eyespot.data.masks.mapping import COLOUR
from eyespot.enlargement.originals import Original
from eyespot.errors import UserError
from eyespot.plurals import count

File = tuple[bytes, str]
"""The content of a file, and the ending of its name."""


class Encoder:
    """How the samples of one file are written: in its own kind where that loses nothing."""

    def __init__(self, source: Path, header: Header, original: Original):
        self.source = source
        self.dim = original.image.ndim - 1
        self.rate = 1 / original.spacing[0] if self.dim == 1 and original.spacing else 0.0
        self.is_sound = header.kind in SOUND_KINDS and abs(self.rate - round(self.rate)) < 1e-6
        self.is_nifti = self.dim == 3 and "NIfTI" in header.kind

    def image(self, image: Array) -> File:
        """(*S, C) as a file. Raises UserError for a signal whose channels could not be known again."""
        if self.dim == 1:
            return self._signal(image)
        if self.dim == 3:
            return self._volume(image if image.shape[-1] > 1 or not self.is_nifti else image[..., 0])
        channels = image.shape[-1]
        plain = image[..., 0] if channels == 1 else image
        if (image.dtype == np.uint8 and channels in (1, 3)) or (image.dtype == np.uint16 and channels == 1):
            return _png(plain), ".png"
        return _tiff(plain), ".tif"

    def mask(self, values: Array) -> File:
        """(*S) values as a file; colours as an image of three channels."""
        if values.max(initial=0) >= COLOUR:
            rest = np.where(values >= COLOUR, values - COLOUR, values * 0x010101)
            colours = np.stack([rest >> 16 & 255, rest >> 8 & 255, rest & 255], -1).astype(np.uint8)
            return (_png(colours), ".png") if self.dim == 2 else _numpy(colours)
        stored = _smallest(values)
        if self.dim == 3 and self.is_nifti:
            return self._volume(stored)
        if self.dim != 2:
            return _numpy(stored)
        return (_png(stored), ".png") if stored.dtype in (np.uint8, np.uint16) else (_tiff(stored), ".tif")

    def _signal(self, image: Array) -> File:
        if self.is_sound:
            from scipy.io import wavfile

            buffer = io.BytesIO()
            wavfile.write(buffer, round(self.rate), image.astype(np.float32))
            return buffer.getvalue(), ".wav"
        if image.shape[1] >= len(image):
            raise UserError(
                f"{self.source} has {count(len(image), 'sample')} in {count(image.shape[1], 'channel')}: a signal that is written has to "
                "be longer than its channels are many"
            )
        return _numpy(image[:, 0] if image.shape[1] == 1 else image)

    def _volume(self, values: Array) -> File:
        if self.is_nifti:
            from eyespot.prediction.nifti_output import nifti_like

            return nifti_like(values, self.source), ".nii.gz"
        return _numpy(values)


def _smallest(values: Array) -> Array:
    kinds = (np.uint8, np.uint16, np.int16, np.int32, np.int64)
    low = int(values.min(initial=0))
    high = int(values.max(initial=0))
    return values.astype(next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max))


def _png(image: Array) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG")
    return buffer.getvalue()


def _tiff(image: Array) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    kind = "rgb" if image.ndim == 3 and image.shape[-1] == 3 else "minisblack"
    channels = "contig" if image.ndim == 3 else None
    tifffile.imwrite(buffer, np.ascontiguousarray(image), photometric=kind, planarconfig=channels)
    return buffer.getvalue()


def _numpy(values: Array) -> File:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(values))
    return buffer.getvalue(), ".npy"
