"""Settings as arguments: the signature and the docstring of a function that takes them as `**settings`."""

import inspect
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

from eyespot.config import DECLARED, TYPES, help_text

Function = TypeVar("Function", bound=Callable[..., Any])


def with_settings(*names: str) -> Callable[[Function], Function]:
    """A decorator that puts the named settings in place of `**settings` in a function's signature and docstring."""

    def decorate(function: Function) -> Function:
        add_parameters(function, [keyword(name, TYPES[name], DECLARED[name].default) for name in names])
        described = "\n".join(f"    {name:<12}  {_described(name)}" for name in names)
        function.__doc__ = f"{(function.__doc__ or '').rstrip()}\n\n{described}\n    "
        return function

    return decorate


def add_parameters(function: Callable, parameters: list[inspect.Parameter]) -> None:
    """Show these parameters in place of `**settings`, before the function's own keyword arguments."""
    signature = inspect.signature(function, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    first = [p for p in own if p.kind is not p.KEYWORD_ONLY]
    last = [p for p in own if p.kind is p.KEYWORD_ONLY]
    function.__signature__ = signature.replace(parameters=[*first, *parameters, *last])  # type: ignore[attr-defined]


def keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """A parameter that is given by name."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _described(name: str) -> str:
    lines = textwrap.wrap(help_text(name), 100)
    return ("\n" + " " * 18).join(lines)
