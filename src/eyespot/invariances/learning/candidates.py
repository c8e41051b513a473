"""The transforms that are judged: a change of known severity, and how `train --augment` writes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.errors import UserError, nearest
from eyespot.invariances.changes import Catalogue, Change

PIPELINES = {
    "hflip": "flip",
    "shift": "shift({:.3g})",
    "rotate": "rotate({:.3g})",
    "scale": "scale({low:.3g},{high:.3g})",
    "reverse": "flip",
    "vflip": "vflip",
    "gain": "gain({:.3g})",
    "brightness": "brightness({:.3g})",
    "contrast": "contrast({:.3g})",
    "noise": "noise({:.3g})",
}
"""By the name of a change, in the order in which they are judged while there is time."""
DOSES = {"rotate": (5.0, 10.0, 15.0, 30.0, 60.0, 90.0, 180.0)}
"""Of changes whose own severities do not go as far as labels may stay."""


@dataclass(frozen=True)
class Candidate:
    """change   as `eyespot invariance` makes it: at the severity itself, and not up to it
    doses    severities that are tried, from the mildest; a flip has one"""

    change: Change
    doses: tuple[float, ...]

    @property
    def name(self) -> str:
        return self.change.name

    @property
    def is_flip(self) -> bool:
        return len(self.doses) == 1

    def pipeline(self, dose: float) -> str:
        """What trains with all severities up to this one."""
        return PIPELINES[self.name].format(dose, low=1 / (1 + dose), high=1 + dose)

    def text(self, dose: float) -> str:
        """The severity for people; empty for a flip."""
        return self.change.text(dose)


def candidates(read: Preprocessing, names: Sequence[str] | None = None) -> list[Candidate]:
    """Those that these data have. Raises UserError for others that are named."""
    known = {change.name: change for change in Catalogue(read.dim, read.size, read.size).changes}
    if read.view == "spectrum":  # of decibels: a gain adds to them
        plain = {change.name: change for change in Catalogue(2, read.size, read.size).changes}
        known["brightness"] = plain["brightness"]
        del known["gain"]
    for name in names or ():
        if name not in known or name not in PIPELINES:
            usable = [name for name in PIPELINES if name in known]
            raise UserError(f"{name!r} cannot be learned here; {nearest(name, usable)}")
    return [
        Candidate(known[name], DOSES.get(name, known[name].severities))
        for name in PIPELINES
        if name in known and (not names or name in names)
    ]
