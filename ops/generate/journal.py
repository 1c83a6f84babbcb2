"""A journal of the files that a command writes, so that it writes all or none."""

import json
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from service.settings import ROOT

FOLDER = ROOT / ".local" / "journal"
LIST = FOLDER / "files.json"


class Journal:
    """The files that are written within it; an error restores them.

    So does the next command, by `recover`, if the process was killed.
    """

    def __init__(self) -> None:
        # The path of each file in the project, and the name of its copy; None if it is new.
        self._files: dict[str, str | None] = {}
        # A folder in which other programs write, and the names in it before that.
        self._folder = ""
        self._known: list[str] = []

    def recover(self) -> None:
        """Restore what a command that was killed has written."""
        if LIST.exists():
            self._files, self._folder, self._known = json.loads(LIST.read_bytes())
            self.revert()

    def keep(self, path: Path) -> None:
        """Keep a file that will be written, or note that it is new."""
        name = path.relative_to(ROOT).as_posix()
        if name in self._files:
            return
        FOLDER.mkdir(parents=True, exist_ok=True)
        copy = None
        if path.exists():
            copy = str(len(self._files))
            shutil.copy2(path, FOLDER / copy)
        self._files[name] = copy
        self._save()

    def write(self, path: Path, text: str) -> None:
        """Write a file."""
        self.keep(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def watch(self, folder: Path) -> None:
        """Count the files that appear in the folder as written, from now on."""
        self._folder = folder.relative_to(ROOT).as_posix()
        self._known = [path.name for path in folder.iterdir()]
        self._save()

    def new(self) -> list[Path]:
        """Return the files that have appeared in the watched folder."""
        folder = ROOT / self._folder
        return sorted(path for path in folder.glob("*.py") if path.name not in self._known)

    def paths(self) -> list[str]:
        """Return the paths of the files that were written."""
        self._note_new()
        return sorted(self._files)

    def revert(self) -> None:
        """Restore every file, and remove the folders that are empty then."""
        self._note_new()
        for name, copy in self._files.items():
            path = ROOT / name
            if copy is not None:
                shutil.copy2(FOLDER / copy, path)
                continue
            path.unlink(missing_ok=True)
            shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
            if path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()
        self._forget()

    def _note_new(self) -> None:
        for path in self.new() if self._folder else ():
            self._files.setdefault(f"{self._folder}/{path.name}", None)

    def _save(self) -> None:
        # Complete, or not there.
        fresh = LIST.with_suffix(".new")
        fresh.write_text(json.dumps([self._files, self._folder, self._known]), encoding="utf-8")
        fresh.replace(LIST)

    def _forget(self) -> None:
        self._files, self._folder = {}, ""
        shutil.rmtree(FOLDER, ignore_errors=True)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Keep what was written, or restore it after an error."""
        if kind is None:
            self._forget()
        else:
            self.revert()
