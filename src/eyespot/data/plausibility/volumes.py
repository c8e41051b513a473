"""Doubts that the headers of volumes raise."""

from collections.abc import Iterator

from eyespot.data.preprocess.preprocessing import unlike_voxels
from eyespot.data.surveys.survey import WARNING, PairSurvey, Problem, Survey
from eyespot.plurals import count


def voxel_sizes_apart(survey: Survey) -> Iterator[Problem]:
    """Volumes with masks keep their voxels, so that objects of some are larger for the network than of others."""
    typical = survey.preprocessing.voxel_size
    if not isinstance(survey, PairSurvey) or not typical:
        return
    files = tuple(
        survey.path(row) for row, h in enumerate(survey.headers) if unlike_voxels(h.spacing, typical)
    )
    if files:
        usual = " x ".join(f"{size:.3g}" for size in typical)
        verb = "has" if len(files) == 1 else "have"
        text = (
            f"{count(len(files), 'volume')} {verb} voxels of another size than the others' ({usual} mm): volumes with masks are "
            "used at their own voxels, so resample all to one size"
        )
        yield Problem(WARNING, text, files)


def orientation_unknown(survey: Survey) -> Iterator[Problem]:
    """NIfTI is turned to the axes of the body; volumes of other kinds beside it may point elsewhere."""
    others = tuple(survey.path(row) for row, h in enumerate(survey.headers) if h.kind != "NIfTI")
    if survey.preprocessing.dim == 3 and 0 < len(others) < len(survey.headers):
        verb = "is" if len(others) == 1 else "are"
        text = (
            f"{count(len(others), 'volume')} {verb} not NIfTI: their axes are taken as superior, anterior and right, as those of "
            "the NIfTI files are turned; save all as NIfTI if they are others"
        )
        yield Problem(WARNING, text, others)
