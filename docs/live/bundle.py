"""JavaScript modules as one classic script, since browsers load no modules from disk.

Each module becomes a function that returns what it exports. It knows the forms that our modules are written in:
`import { a, b } from "./file.js";` on one line, and `export function`, `export async function` and `export const`.
"""

import re
from collections.abc import Callable
from pathlib import Path

IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "\./([\w-]+)\.js";$', re.MULTILINE)
EXPORT = re.compile(r"^export ((?:async )?function|const) (\w+)", re.MULTILINE)


def bundle(page: str, folders: list[Path], made: dict[str, str]) -> str:
    """The script of a page, with all modules that it imports. Raises ValueError for a form that is not known.

    folders  where modules lie, NAME.js
    made     modules that lie nowhere: their text by name
    """
    modules: dict[str, str] = {}
    add_module(page, lambda name: made.get(name) or read_module(name, folders), modules)
    return "(() => {\n" + "\n".join(modules.values()) + "\n})();\n"


def read_module(name: str, folders: list[Path]) -> str:
    """The text of a module."""
    return next(path for folder in folders if (path := folder / f"{name}.js").is_file()).read_text()


def add_module(name: str, read: Callable[[str], str], modules: dict[str, str]) -> None:
    """Add a module after those that it imports."""
    if name in modules:
        return
    text = read(name)
    for match in IMPORT.finditer(text):
        add_module(match[2], read, modules)
    exported = ", ".join(match[2] for match in EXPORT.finditer(text))
    text = IMPORT.sub(lambda match: f"const {{ {match[1]} }} = {variable(match[2])};", text)
    text = EXPORT.sub(r"\1 \2", text)
    if unknown := re.search(r"^(import|export)\b.*", text, re.MULTILINE):
        raise ValueError(f"{name}.js: {unknown[0]!r} is not a form that bundle.py knows")
    modules[name] = f"const {variable(name)} = (() => {{\n{text}return {{ {exported} }};\n}})();"


def variable(name: str) -> str:
    """What a module is called inside the script."""
    return "module_" + name.replace("-", "_")
