"""The samples of a data set at their own sizes, as they are read before they are fitted to a network."""

from dataclasses import dataclass, replace

import numpy as np

from eyespot.data.formats.read import load_bytes
from eyespot.data.header import Array, Unreadable
from eyespot.data.masks.alignment import aligned
from eyespot.data.masks.mapping import VOID
from eyespot.data.masks.multilabel import check_fit, read_bits, unpack
from eyespot.data.masks.source import load_mask
from eyespot.data.preprocess.preprocessing import OWN, Preprocessing
from eyespot.data.preprocess.spectrum import BANDS
from eyespot.data.sources.samples import Sample
from eyespot.data.surveys.survey import Survey
from eyespot.errors import UserError


@dataclass(frozen=True)
class Original:
    """One sample as its files have it.

    image     (*S, C)
    mask      (*S) values, or (classes, *S) of 0 and 1 where classes may overlap; None where samples have classes
    spacing   from sample to sample along each axis; empty where it is not known
    """

    image: Array
    mask: Array | None = None
    spacing: tuple[float, ...] = ()


def own_size(preprocessing: Preprocessing) -> Preprocessing:
    """The same reading of files, without fitting them to a size or taking a spectrum."""
    channels = preprocessing.channels
    channels = channels // BANDS if preprocessing.view == "spectrum" else channels
    return replace(preprocessing, fit=OWN, view="samples", channels=channels, spacing=None)


class Originals:
    """The decoded rows of a survey, each read from its files when it is asked for. Raises UserError for what cannot be."""

    def __init__(self, survey: Survey):
        self.survey = survey
        self.preprocessing = own_size(survey.preprocessing)

    def __len__(self) -> int:
        return len(self.survey.images.rows)

    def sample(self, row: int) -> Sample:
        """The files of a row."""
        return self.survey.source.samples[int(self.survey.images.rows[row])]

    def __getitem__(self, row: int) -> Original:
        sample = self.sample(row)
        try:
            decoded = self.preprocessing.decode(load_bytes(sample.path))
            image = np.ascontiguousarray(self.preprocessing.of_decoded(decoded))
            return Original(image, self._mask(sample, image), decoded.spacing)
        except Unreadable as reason:
            raise UserError(f"{sample.path} cannot be read: {reason}") from reason

    def _mask(self, sample: Sample, image: Array) -> Array | None:
        mapping = self.survey.mapping
        read = self.preprocessing
        if mapping is None:
            return None
        size = image.shape[:-1]
        if mapping.multilabel:
            bits = read_bits(sample, mapping, size, read.align, read.axes)
            if (bits == VOID).any():
                raise Unreadable("masks of several classes with pixels that do not count are not written")
            return unpack(bits, len(mapping.classes))
        assert sample.mask is not None
        values, _ = load_mask(sample, sample.mask, read.dim, mapping, read.axes)
        values = aligned(values, sample.mask, sample.path, read.align)
        check_fit(values.shape, size, sample.mask.name)
        return values
