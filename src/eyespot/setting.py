"""How a setting is declared: default, help, unit and check, all in one dataclass field."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, get_args

from eyespot.errors import nearest


@dataclass(frozen=True)
class Check:
    """A condition on a value. `remedy(value)` completes the sentence "NAME is VALUE; ..."."""

    passes: Callable[[Any], bool]
    remedy: Callable[[Any], str]


@dataclass(frozen=True)
class Setting:
    """What is known of a setting beside its name, type and default.

    help        one sentence without a full stop
    unit        of numbers, such as "min"
    check       what a value must satisfy; None is always allowed
    shell       whether it is an option of the command line
    metavar     placeholder of its value in `--help`
    old_names   names that it had in earlier versions
    reads       whether it says how the data are read, so that `look` has it too
    layout      whether it says which files are samples and of which class, or how those of another data set than the
                one trained on are read, so that `evaluate` has it too
    opposite    the option that means false, for those that are true, false or open
    """

    help: str
    unit: str = ""
    check: Check | None = None
    shell: bool = True
    metavar: str | None = None
    old_names: tuple[str, ...] = ()
    reads: bool = False
    layout: bool = False
    opposite: str = ""


def setting(default: Any, help: str, **facts: Any) -> Any:
    """A dataclass field that carries a `Setting`, made of these facts."""
    return field(default=default, metadata={"setting": Setting(help, **facts)})


def value_type(annotation: Any) -> type:
    """The type of a setting's values: `float` for `float | None`."""
    return next(kind for kind in get_args(annotation) or (annotation,) if kind is not NoneType)


TYPE_NAMES = {bool: "true or false", str: "a text", float: "a number", int: "a whole number"}


def type_problem(value: Any, annotation: Any) -> str | None:
    """What to give instead of a value of the wrong type; None if the type is right."""
    kind = value_type(annotation)
    allowed = (int, float) if kind is float else kind
    is_right = isinstance(value, allowed) and isinstance(value, bool) == (kind is bool)
    return None if value is None or is_right else f"give {TYPE_NAMES[kind]}"


ABOVE_0 = Check(lambda value: 0 < value < float("inf"), lambda _: "give a number above 0")
FROM_0 = Check(lambda value: 0 <= value < float("inf"), lambda _: "give 0 or a number above 0")
AT_LEAST_2 = Check(lambda value: value >= 2, lambda _: "give a whole number from 2 on")
FINITE = Check(lambda value: abs(value) < float("inf"), lambda _: "give a finite number, such as 0")
SEED = Check(lambda value: 0 <= value < 2**63, lambda _: "give a whole number from 0 on")
FRACTION = Check(lambda value: 0 < value < 1, lambda _: "give a share between 0 and 1, such as 0.2")


def matching(pattern: str, remedy: str) -> Check:
    """A text that a regular expression matches."""
    return Check(lambda value: re.fullmatch(pattern, value) is not None, lambda value: remedy)


def one_of(*choices: Any, also: tuple[Any, ...] = ()) -> Check:
    """One of these; `also` has values that a plan may hold and that are not offered."""
    words = [str(choice) for choice in choices]
    return Check(lambda value: value in (*choices, *also), lambda value: nearest(str(value), words))


AXES = matching(
    r"(?!.*(.).*\1)[TZCS]*Y[TZC]*X[SC]?",
    "give T (time), Z (depth), C (channels), Y (rows) and X (columns) in the order of the file, such as TZCYX",
)
