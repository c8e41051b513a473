"""The shape of the package: imports go one way, help is light, files stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import eyespot

ROOT = Path(eyespot.__file__).parent
ORDER = (
    "errors console files heap labels watershed convolution fused kit weights checkpoints models anatomy warp augment data pictures "
    "looking scores overlap partition training prediction inspection evaluation mask_evaluation report run_folder run "
    "cli __main__"
).split()
FILES = sorted(p for p in ROOT.rglob("*.py") if p.parent != ROOT or p.stem != "__init__")


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[int, str]]:
    """(line, room) of every import of our own, inside functions too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "eyespot":
            parts = (node.module or "").split(".")
            names = parts[1:2] or [alias.name for alias in node.names]
            found += [(node.lineno, name) for name in names if name != "__version__"]
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports relatively"
        if isinstance(node, ast.Import):
            found += [
                (node.lineno, a.name.split(".")[1]) for a in node.names if a.name.startswith("eyespot.")
            ]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    here = ORDER.index(room(path))
    for line, name in imported(path):
        assert ORDER.index(name) <= here, f"{path}:{line} imports {name}, which comes after {room(path)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_holds_one_idea(path):
    assert len(path.read_text().splitlines()) <= 400


def test_the_package_stays_small():
    """docs/decisions/0005: more lines need a reason written there, or something deleted."""
    assert sum(len(p.read_text().splitlines()) for p in FILES) <= 15_650


def test_help_and_names_import_nothing_heavy():
    code = "import sys, eyespot.cli, eyespot.models; eyespot.models.presets(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "numpy", "scipy", "matplotlib", "sklearn", "PIL"} & set(loaded)


def test_every_public_name_is_there():
    for name in eyespot.__all__:
        assert getattr(eyespot, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trane'"):
        eyespot.trane  # noqa: B018


def test_functions_are_not_hidden_by_modules():
    """`eyespot.look` stays the function after the module that holds it was imported."""
    code = "import eyespot.looking, eyespot.run, eyespot; assert callable(eyespot.look) and callable(eyespot.train)"
    subprocess.run([sys.executable, "-c", code], check=True)
