"""What was guessed about a data set: the reading, the reason, and the option that overrules it."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Guess:
    """One reading of the data that the files do not state.

    name     what was guessed, such as "task"
    value    the reading, as text
    reason   why, in a few words
    option   what overrules it on the command line, such as "--task classification"
    """

    name: str
    value: str
    reason: str
    option: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.name}: {self.value}, because {self.reason} (otherwise: {self.option})"
