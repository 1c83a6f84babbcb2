"""Failures of the system, as sentences for a person; what nobody foresaw goes to a file.

It needs nothing but Python, so that it also serves the first set-up.
"""

import errno
import os
import pwd
import shlex
import tempfile
import traceback
from pathlib import Path

from local.console import CommandError


def explain(error: OSError) -> CommandError | None:
    """Return what a person is told of a failure of the system; None if nobody could foresee it."""
    path = error.filename if isinstance(error.filename, str | Path) else None
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return CommandError(f"The disk is full{_at(path)}. Make room, then run this again.")
        case errno.EROFS:
            return CommandError(f"The file system is read-only{_at(path)}. Use a copy elsewhere.")
        case errno.EACCES | errno.EPERM if path is not None:
            return CommandError(_not_permitted(Path(path)))
        case errno.EMFILE | errno.ENFILE:
            return CommandError("Too many files are open. Raise the limit (`ulimit -n`).")
        case errno.EAGAIN | errno.ENOMEM:
            return CommandError("The machine has no memory or processes left. Stop something.")
    return None


def _at(path: str | Path | None) -> str:
    return f": can't write {path}" if path else ""


def _not_permitted(path: Path) -> str:
    # The file itself, or the folder that would not let it be made or found.
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    try:
        owner = _user(path.lstat().st_uid)
    except OSError:
        return f"You may not use {path}. Check the permissions of the folders above it."
    me = _user(os.geteuid())
    if owner == me:
        return f"You may not use {path}, which is yours. Check its permissions: `ls -ld`."
    return (
        f"You are {me}, and may not use {path}, which belongs to {owner}. "
        f"Remove it, or give it to {me}: `sudo chown -R {me} {shlex.quote(str(path))}`."
    )


def report(error: Exception) -> CommandError:
    """Write what nobody foresaw to a file, and return what a person is told."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="flusk-error-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exception(error, file=file)
    return CommandError(
        f"Unexpected error: {type(error).__name__}: {error}\n"
        f"This is a fault of this project. Please report it with {file.name}."
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"
