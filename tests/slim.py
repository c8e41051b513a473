"""The command line as on a machine that has only the packages of requirements/predict.txt or serve.txt."""

import os
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
HOOK = """
import sys

class Only:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        first = name.partition(".")[0]
        known = first in allowed or first in sys.stdlib_module_names or first.startswith("_sysconfigdata")
        return self.finder.find_spec(name, path, target) if known else None

allowed = {"__main__", *sys.argv.pop(1).split(",")}
for name in list(sys.modules):  # what .pth files imported
    if name.partition(".")[0] not in allowed | set(sys.stdlib_module_names):
        del sys.modules[name]
sys.meta_path[:] = map(Only, sys.meta_path)
from eyespot.cli import main
sys.argv[0] = "eyespot"
main()
"""


def listed(file: str) -> set[str]:
    """The packages of a requirements file, in lower case."""
    lines = (REQUIREMENTS / file).read_text().splitlines()
    names = {line.partition(">=")[0] for line in lines if line and line[0] not in "#-"}
    return names.union(*(listed(line.removeprefix("-r ")) for line in lines if line.startswith("-r ")))


def with_dependencies(names: set[str]) -> set[str]:
    """The packages and all that they require here, by the metadata of what is installed."""
    known: set[str] = set()
    todo = set(names)
    while todo:
        name = todo.pop()
        known.add(name)
        needed = [Requirement(line) for line in requires(name) or []]
        todo |= {
            canonicalize_name(r.name) for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})
        } - known
    return known


def modules(file: str) -> set[str]:
    """What may be imported on a machine with a requirements file."""
    names = with_dependencies(listed(file))
    owners = packages_distributions().items()
    return {"eyespot"} | {
        module for module, packages in owners if set(map(canonicalize_name, packages)) & names
    }


def command(*arguments: object, requirements: str = "predict.txt") -> list[str]:
    """The command line for a subprocess in which all other packages cannot be imported."""
    allowed = ",".join(sorted(modules(requirements)))
    return [sys.executable, "-c", HOOK, allowed, *map(str, arguments)]


def run(
    *arguments: object, requirements: str = "predict.txt", cwd: object = None
) -> subprocess.CompletedProcess:
    """The finished command."""
    return subprocess.run(
        command(*arguments, requirements=requirements),
        capture_output=True,
        text=True,
        cwd=None if cwd is None else str(cwd),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=120,
    )
