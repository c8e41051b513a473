"""The command line as on a machine that has only the packages of requirements/predict.txt or serve.txt."""

import os
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
HOOK = """
import sys
from importlib.abc import MetaPathFinder

class Only(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        first = name.partition(".")[0]
        if first not in allowed | set(sys.stdlib_module_names) and not first.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"No module named {first!r}", name=first)

allowed = {"__main__", *sys.argv.pop(1).split(",")}
for name in list(sys.modules):  # what .pth files imported
    if name.partition(".")[0] not in allowed | set(sys.stdlib_module_names):
        del sys.modules[name]
sys.meta_path.insert(0, Only())
from eyespot.cli import main
sys.argv[0] = "eyespot"
main()
"""
MODULES = {
    "pillow": {"PIL"},
    "protobuf": {"google"},
    "markdown-it-py": {"markdown_it"},
    "prometheus-client": {"prometheus_client"},
    "python-multipart": {"python_multipart", "multipart"},
    "h11": {"h11"},
}
"""What is imported of a package, where it is not called like the package."""


def listed(file: str) -> set[str]:
    """The packages of a requirements file, in lower case."""
    lines = (REQUIREMENTS / file).read_text().splitlines()
    names = {line.partition(">=")[0] for line in lines if line and line[0] not in "#-"}
    return names.union(*(listed(line.removeprefix("-r ")) for line in lines if line.startswith("-r ")))


def with_dependencies(names: set[str]) -> set[str]:
    """The packages and all that they require here, by the metadata of what is installed."""
    from packaging.requirements import Requirement

    known: set[str] = set()
    todo = set(names)
    while todo:
        name = todo.pop()
        known.add(name)
        needed = [Requirement(line) for line in requires(name) or []]
        todo |= {
            r.name.lower() for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})
        } - known
    return known


def modules(file: str) -> set[str]:
    """What may be imported on a machine with a requirements file."""
    names = with_dependencies(listed(file))
    return {"eyespot"}.union(*(MODULES.get(name, {name.replace("-", "_")}) for name in names))


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
