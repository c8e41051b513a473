"""The files that a CSV names: as written, with the separators of Windows, without ending, or in a folder below."""

import os
from collections import defaultdict
from functools import cached_property
from pathlib import Path, PureWindowsPath

from eyespot.data.guesses import Guess
from eyespot.data.sources.samples import KNOWN, TABLES, is_known, is_table, visible, walk
from eyespot.data.sources.stems import stem_of
from eyespot.data.sources.words import names_images, names_mask, split_of_path
from eyespot.errors import UserError


class Finder:
    """Finds the files that a CSV names, and remembers how, so that it can be said."""

    def __init__(self, folder: Path, split: str = ""):
        """split   that the name of the CSV means: of files with equal names those of this split are meant"""
        self.folder = folder
        self.split = split
        self.by_windows: list[str] = []
        self.by_search: dict[str, Path] = {}

    def has(self, name: str) -> bool:
        """Whether a name means a file, or several; it is not remembered how."""
        by_windows = self.by_windows
        by_search = self.by_search
        self.by_windows = []
        self.by_search = {}
        try:
            return self.find(name, "").is_file()
        except OSError:  # too long for a name
            return False
        except UserError:
            return True
        finally:
            self.by_windows = by_windows
            self.by_search = by_search

    def find(self, name: str, where: str, is_mask: bool = False) -> Path:
        """The file of a name, relative to the folder of the CSV; the path as written where there is none.

        where   for the message: the CSV and the line
        Raises UserError where several files below the folder have the name.
        """
        path = self.folder / name
        if path.exists():
            return path
        name = name.strip()
        path = self.folder / name
        if path.exists():
            return path
        parts = PureWindowsPath(name).parts if "\\" in name else Path(name).parts
        if "\\" in name and (windows := self.folder.joinpath(*parts)).exists():
            self.by_windows.append(name)
            return windows
        below = self._by_tail(parts) if len(parts) > 1 else self._by_name(name, where, is_mask)
        below = below or self._beside(parts, is_mask)
        if below is None:
            return path
        self.by_search[name] = below
        return below

    def _by_tail(self, parts: tuple[str, ...]) -> Path | None:
        """The file of the longest end of a path that lies below the folder: a/0.png of /old/place/a/0.png"""
        tails = (self.folder.joinpath(*parts[i:]) for i in range(1, len(parts)))
        return next((path for path in tails if path.is_file()), None)

    def _by_name(self, name: str, where: str, is_mask: bool) -> Path | None:
        """The one file below the folder with this name, or with this name and an ending."""
        unlike = names_images if is_mask else names_mask
        folders = (
            (path, path.relative_to(self.folder).parts[:-1])
            for path in self._files.get(name) or self._numbered.get(name, [])
        )
        matches = [path for path, names in folders if not any(map(unlike, names))]
        if len(matches) > 1 and self.split:
            folder_of = {path: path.relative_to(self.folder).parent for path in matches}
            matches = [path for path in matches if split_of_path(folder_of[path]) == self.split] or matches
        if len(matches) > 1:
            raise UserError(
                f"{where} names {name}, and {len(matches)} files below {self.folder} are called so ({matches[0]}, {matches[1]}): "
                "give the path of each file, relative to the CSV"
            )
        return matches[0] if matches else None

    def _beside(self, parts: tuple[str, ...], is_mask: bool) -> Path | None:
        """The one file of this name in the folders beside that of the CSV, such as audio/ beside meta/."""
        unlike = names_images if is_mask else names_mask
        top = self.folder.absolute().parent
        matches = [
            path
            for path in self._files_beside.get(parts[-1], [])
            if not any(map(unlike, path.relative_to(top).parts[:-1]))
            and path.parts[-len(parts) : -1] == parts[:-1]
        ]
        return matches[0] if len(matches) == 1 else None

    @cached_property
    def _files_beside(self) -> dict[str, list[Path]]:
        """The files in the folders beside that of the CSV and one level below, by name and by name without ending."""
        files: dict[str, list[Path]] = defaultdict(list)
        here = self.folder.absolute()
        try:
            beside = [Path(entry.path) for entry in visible(here.parent) if entry.is_dir()]
            beside = [folder for folder in beside if folder != here]
            beside += [Path(e.path) for folder in beside for e in visible(folder) if e.is_dir()]
            entries = [Path(e.path) for folder in beside for e in visible(folder) if e.is_file()]
        except (OSError, UserError):
            return {}
        for path in entries:
            if path.suffix.lower() in KNOWN and path.suffix.lower() not in TABLES:
                for name in {path.name, stem_of(path)}:
                    files[name].append(path)
        return files

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        """The files below the folder by their name, and by their name without ending."""
        files: dict[str, list[Path]] = defaultdict(list)
        for path in walk(self.folder):
            if is_known(path) and not is_table(path):
                for name in {path.name, stem_of(path)}:
                    files[name].append(path)
        return files

    @cached_property
    def _numbered(self) -> dict[str, list[Path]]:
        """The files whose names are numbers with zeros before them, which spreadsheets drop, by the number."""
        files: dict[str, list[Path]] = defaultdict(list)
        for path in {path for paths in self._files.values() for path in paths}:
            stem = stem_of(path)
            if stem.isdecimal() and stem.isascii() and stem[0] == "0" and len(stem) > 1:
                files[str(int(stem))].append(path)
        return files

    def guesses(self) -> list[Guess]:
        """How files were found that are not where the CSV says."""
        guesses = []
        option = "paths relative to the CSV"
        if self.by_windows:
            reason = f"{self.by_windows[0]} has the separators of Windows"
            guesses.append(Guess("paths", "\\ is taken as /", reason, option))
        if self.by_search:
            name, path = next(iter(self.by_search.items()))
            value = f"{name} is {os.path.relpath(path, self.folder)}"
            where = "below the CSV" if path.is_relative_to(self.folder) else "in a folder beside its own"
            reason = f"this file is {where}"
            guesses.append(Guess("paths", value, reason, option))
        return guesses
