"""The shape of the package: imports go one way, functions and files are short, only `files` writes, help is light."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median, quantiles

import pytest

import eyespot

ROOT = Path(eyespot.__file__).parent
ORDER = (
    "errors missing softmax documents wrapping plurals warned notebook.line console parallel environment guard exits files renamed recipe setting config signature labels watershed convolution kit fast devices weights models notebook.html anatomy augment data "
    "pages pictures overlays short_names notebook contact_sheets looking metrics tasks certificate prediction evaluation report.charts report.matrix report.classes report.masks tasks.registry training datasets prediction.model_file prediction.engines prediction.verification prediction.bfloat16 prediction.load_exported prediction.load_torch prediction.load prediction.on_ray inspection evaluation.out_of_fold evaluation.evaluate explanation invariances onnx_file enlargement sharing report run_log run_folder run_shown run_warnings cross_validation run estimator shell augmenting predicting explaining invariance_command exporting serving sharing_commands weights.commands course cli "
    "__main__"
).split()
"""Rooms of the package, and modules that come before or after the rest of theirs: each imports only from those before it."""
FILES = sorted(p for p in ROOT.rglob("*.py") if p.parent != ROOT or p.stem != "__init__")
EACH_FILE = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
Function = ast.FunctionDef | ast.AsyncFunctionDef

DIALECT = ("found", "part", "glance", "draws", "parted", "lone", "room", "told", "quicker")
"""Words that say nothing, or that only this package used: CONTRIBUTING.md has better ones."""
LIBRARY_WRITERS = {"save", "savez", "savez_compressed", "savetxt", "savefig", "imwrite", "imsave", "dump"}
"""Functions of other libraries that write to a path or to a file that is open: only the second is used here."""
OPEN_FILES = {"file", "buffer", "content", "folder"}
"""What the open file, the buffer or the `files.NewFolder` that they write to is called."""
FILE_CHANGES = set(
    "unlink rmdir mkdir makedirs removedirs rmtree mkstemp mkdtemp NamedTemporaryFile TemporaryFile TemporaryDirectory "
    "write_text write_bytes touch symlink_to hardlink_to rename renames tofile open_memmap fdopen copyfile copytree copy2 "
    "extractall urlretrieve save_file".split()
)

# The exceptions: nothing is added here without a reason.
MANY_ARGUMENTS = set(  # convolutions as in torch, and the settings of papers
    "convolution.operation:convolve convolution.operation:correlate convolution.operation:_apply "
    "models.densenet:__init__ models.fcdensenet:__init__".split()
)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    """The name of a module inside the package: `data.store`, and `data` for its __init__."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in FILES}


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import of our own, inside functions and as "module:class" too; not those for type checkers."""
    for_types = {
        inner
        for node in ast.walk(tree(path))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree(path)):
        if node in for_types:
            continue
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports relatively"
            module = node.module or ""
            for name in (f"{module}.{alias.name}" for alias in node.names):
                if module.split(".")[0] == "eyespot":
                    inside = name.removeprefix("eyespot.")
                    yield node.lineno, inside if inside in MODULES else inside.rpartition(".")[0]
        if isinstance(node, ast.Constant) and re.fullmatch(r"eyespot(\.\w+)+:\w+", str(node.value)):
            yield node.lineno, str(node.value).removeprefix("eyespot.").partition(":")[0]
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("eyespot."):
                    yield node.lineno, alias.name.removeprefix("eyespot.")


def functions(path: Path) -> Iterator[tuple[str, Function]]:
    """(name for a message, function) of all in a file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, Function):
            yield f"{name_of(path)}:{node.name}", node


def length(function: Function) -> int:
    """Lines from the first to the last statement, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1


def place(module: str) -> int:
    """The place of a module, or else of its room, in ORDER."""
    return ORDER.index(module if module in ORDER else module.split(".")[0])


@EACH_FILE
def test_imports_go_one_way(path):
    here = name_of(path)
    back = {f"{here} -> {module}" for _, module in imported(path) if module and place(module) > place(here)}
    assert not back, "imports what comes after it in ORDER"


def test_no_imports_go_in_a_circle():
    """Between files too: a package's own __init__ is a file like any other."""
    needed = {name: {m for _, m in imported(path) if m and m != name} for name, path in MODULES.items()}
    while done := [name for name, modules in needed.items() if not modules & needed.keys()]:
        for name in done:
            del needed[name]
    assert not needed, "import each other: " + ", ".join(sorted(needed))


@EACH_FILE
def test_a_file_holds_one_idea(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert "# fmt: skip" not in text
    assert "sklearn" not in text.replace(
        "__sklearn_tags__", ""
    )  # the name of a method that scikit-learn calls


def test_functions_are_short():
    lengths = {name: length(function) for path in FILES for name, function in functions(path)}
    assert not {name for name, lines in lengths.items() if lines > 50}
    assert median(lengths.values()) <= 10
    assert quantiles(lengths.values(), n=10)[-1] <= 30


def test_functions_take_few_arguments():
    """Those with a decorator that derives them from the Config are not counted."""
    many = set()
    for path in FILES:
        for name, function in functions(path):
            arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            own = [a for a in arguments if a.arg not in ("self", "cls")]
            if len(own) > 8 and not function.decorator_list:
                many.add(name)
    assert many <= MANY_ARGUMENTS


def test_classes_are_at_most_two_deep():
    """No class has more than two classes of ours above it."""
    bases = {
        node.name: [ast.unparse(base).split("[")[0] for base in node.bases]
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    }

    def depth(name: str) -> int:
        return max((1 + depth(base) for base in bases[name] if base in bases), default=0)

    assert [name for name in bases if depth(name) > 2] == []


def test_words_are_the_fields():
    text = "\n".join(path.read_text() for path in FILES)
    counts = {word: len(re.findall(rf"\b{word}\b", text)) for word in DIALECT}
    assert sum(counts.values()) <= 60, counts


def writes(call: ast.Call) -> bool:
    """Whether a call creates, replaces or deletes a file; so that a new one is found, some harmless names are not used."""
    target = call.func
    name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
    base = ast.unparse(target.value) if isinstance(target, ast.Attribute) else ""
    if name in FILE_CHANGES or (base, name) in {("os", "remove"), ("os", "replace"), ("shutil", "move")}:
        return bool(base)
    if name == "replace":  # Path.replace has one argument, str.replace two
        return bool(base) and len(call.args) == 1 and not call.keywords
    if name in LIBRARY_WRITERS and base not in ("", "state"):  # a TrainState becomes bytes
        return not (call.args and {ast.unparse(a) for a in call.args[:2]} & OPEN_FILES)
    if name == "open":
        modes = [*call.args[0 if base else 1 :], *(k.value for k in call.keywords if k.arg == "mode")]
        texts = [mode.value for mode in modes if isinstance(mode, ast.Constant)]
        return any(re.fullmatch(r"[rwaxbt+]+", str(t)) and set(str(t)) & set("wax+") for t in texts)
    if name == "memmap":
        return any(isinstance(a, ast.Constant) and str(a.value) in ("r+", "w+") for a in call.args)
    return False


@EACH_FILE
def test_only_one_module_writes(path):
    """What is written goes through eyespot.files; tests/test_files.py also watches a run while it writes."""
    lines = {node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and writes(node)}
    if name_of(path) == "files":
        assert len(lines) > 10
    else:
        assert not lines, f"lines {sorted(lines)}"


@pytest.mark.parametrize(
    "code,expected",
    [
        ("open(path)", False),
        ("open(path, 'rb')", False),
        ("open(path, 'w')", True),
        ("path.open('r+b')", True),
        ("path.open(mode='ab')", True),
        ("path.open('rb')", False),
        ("Image.open(path)", False),
        ("folder.open('pixels')", False),
        ("path.replace(target)", True),
        ("text.replace('a', 'b')", False),
        ("replace(config, epochs=1)", False),
        ("os.replace(a, b)", True),
        ("path.unlink()", True),
        ("np.save(path, values)", True),
        ("np.save(buffer, values)", False),
        ("Image.fromarray(x).save(file, 'PNG')", False),
        ("values.tofile(path)", True),
        ("np.memmap(path, dtype, 'r')", False),
        ("np.memmap(path, dtype, 'w+')", True),
    ],
)
def test_calls_that_write_are_recognised(code, expected):
    call = ast.parse(code).body[0].value  # type: ignore[attr-defined]
    assert writes(call) == expected


def test_help_and_names_import_nothing_heavy():
    code = "import sys, eyespot.cli, eyespot.models; eyespot.models.presets(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "numpy", "scipy", "matplotlib", "sklearn", "PIL"} & set(loaded)


def test_types_are_published():
    assert (ROOT / "py.typed").exists()


def test_every_public_name_is_there():
    for name in eyespot.__all__:
        assert getattr(eyespot, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trane'"):
        eyespot.trane  # noqa: B018


def test_functions_are_not_hidden_by_modules():
    """`eyespot.look` stays the function after the module that holds it was imported."""
    code = "import eyespot.looking, eyespot.run, eyespot.onnx_file.export, eyespot; assert callable(eyespot.look) and callable(eyespot.train) and callable(eyespot.export)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_each_package_that_a_developer_installs_has_a_version():
    """The README's commands install with constraints.txt: without them torch comes as a build of several GB."""
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"]]
    wanted += [line for extra in re.findall(r"[\w-]+", extras["dev"][0])[1:] for line in extras[extra]]
    names = {re.match(r"[\w-]+", line)[0] for line in wanted} - {"eyespot"}
    pinned = re.findall(r"^([\w-]+)==", (root / "constraints.txt").read_text(), re.MULTILINE)
    assert sorted(names - set(pinned)) == []
