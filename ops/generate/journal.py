"""A journal of the files that a command writes, so that it writes all or none."""

import fcntl
import json
import os
import shutil
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from ops.console import CommandError
from service.settings import ROOT

FOLDER = ROOT / ".local" / "journal"
LIST = FOLDER / "files.json"
LOCK = ROOT / ".local" / "journal.lock"


class Journal:
    """The files that are written within it; an error restores them.

    So does the next command, if the process was killed.
    """

    def __init__(self) -> None:
        # The path of each file in the project, and the name of its copy; None if it is new.
        self._files: dict[str, str | None] = {}
        # What this command has written, as a hash; None if that is not known.
        self._written: dict[str, str | None] = {}
        # A folder in which another program writes files that contain a text, and the names in it
        # before that.
        self._folder, self._mark = "", ""
        self._known: list[str] = []
        self._stack = ExitStack()

    def keep(self, path: Path, *, is_generated: bool = False) -> None:
        """Keep a file that will be written, or note that it is new.

        One that is generated is restored whatever it has.
        """
        name = path.relative_to(ROOT).as_posix()
        if name in self._files:
            return
        FOLDER.mkdir(parents=True, exist_ok=True)
        copy = None
        if path.exists():
            copy = str(len(self._files))
            shutil.copy2(path, FOLDER / copy)
        self._files[name] = copy
        if not is_generated:
            self._written[name] = None
        self._save()

    def write(self, path: Path, text: str) -> None:
        """Write a file."""
        self.keep(path)
        self._written[path.relative_to(ROOT).as_posix()] = _hash(text.encode())
        self._save()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def watch(self, folder: Path, mark: str) -> None:
        """Count the files that appear in the folder with a text as written, from now on."""
        self._folder, self._mark = folder.relative_to(ROOT).as_posix(), mark
        self._known = [path.name for path in folder.iterdir()]
        self._save()

    def new(self) -> list[Path]:
        """Return the files that have appeared in the watched folder."""
        folder = ROOT / self._folder
        new = (path for path in folder.glob("*.py") if path.name not in self._known)
        return sorted(path for path in new if self._mark in path.read_text("utf-8"))

    def note(self) -> None:
        """Note what the files have: another program has written them."""
        self._note_new()
        for name in self._written:
            path = ROOT / name
            self._written[name] = _hash(path.read_bytes()) if path.exists() else None
        self._save()

    def paths(self) -> list[str]:
        """Return the paths of the files that have changed."""
        self._note_new()
        return sorted(name for name in self._files if not self._is_as_before(name))

    def revert(self) -> None:
        """Restore every file, and remove the folders that are empty then."""
        self._note_new()
        for name, copy in self._files.items():
            path = ROOT / name
            if copy is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(FOLDER / copy, path)
                continue
            path.unlink(missing_ok=True)
            shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
            if path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()
        self._forget()

    def _is_as_before(self, name: str) -> bool:
        path, copy = ROOT / name, self._files[name]
        if copy is None or not path.exists():
            return copy is None and not path.exists()
        return path.read_bytes() == (FOLDER / copy).read_bytes()

    def _is_changed(self, name: str) -> bool:
        """Return whether a file has neither what it had before nor what was written."""
        path = ROOT / name
        if name not in self._written or not path.exists() or self._is_as_before(name):
            return False
        return _hash(path.read_bytes()) != self._written[name]

    def _note_new(self) -> None:
        for path in self.new() if self._folder else ():
            name = f"{self._folder}/{path.name}"
            if name not in self._files:
                self._files[name] = None
                self._written[name] = _hash(path.read_bytes())

    def _save(self) -> None:
        # Complete, or not there.
        fresh = LIST.with_suffix(".new")
        fresh.write_text(
            json.dumps([self._files, self._written, self._folder, self._mark, self._known]),
            encoding="utf-8",
        )
        fresh.replace(LIST)

    def _forget(self) -> None:
        self._files, self._written, self._folder = {}, {}, ""
        # First: without it, the next command restores nothing, from a folder that is incomplete.
        LIST.unlink(missing_ok=True)
        shutil.rmtree(FOLDER, ignore_errors=True)

    def __enter__(self) -> Self:
        """Take the lock, and restore what a command that was killed has written.

        Raises CommandError if another command runs, or if a person has changed such a file since.
        """
        LOCK.parent.mkdir(exist_ok=True)
        with ExitStack() as stack:
            lock = stack.enter_context(LOCK.open("ab"))
            # What a killed command has started may still write: it holds the lock too.
            os.set_inheritable(lock.fileno(), True)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CommandError(
                    "Another command writes files of this project: run this again when it is done."
                ) from None
            self._recover()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Keep what was written, or restore it after an error."""
        with self._stack:
            if kind is None:
                self._forget()
            else:
                self.revert()

    def _recover(self) -> None:
        if not LIST.exists():
            return
        known = json.loads(LIST.read_bytes())
        self._files, self._written, self._folder, self._mark, self._known = known
        if changed := [name for name in self._files if self._is_changed(name)]:
            copy = self._files[changed[0]]
            folder = FOLDER.relative_to(ROOT)
            before = f"is {folder}/{copy}" if copy else "was not there"
            more = f" and {len(changed) - 1} more" if changed[1:] else ""
            raise CommandError(
                f"{changed[0]}{more} changed after the command that wrote it was killed; what it "
                f"was before {before}. Restore what you want to restore, delete {folder}, then run "
                "this again."
            )
        self.revert()


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()
