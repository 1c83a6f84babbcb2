"""Messages for failures that the operator can fix; other failures are written to a file.

This module needs no libraries, so that the first set-up can use it.
"""

import errno
import os
import pwd
import select
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import TextIO

from service.name import NAME

ROOT = Path(__file__).resolve().parent.parent
FULL = "The disk is full. Make room, then run this again."
MANY = "Too many files are open. Raise the limit (`ulimit -n`)."
NO_RESOURCES = "The machine has no memory or no process left. Stop something, then run this again."
UNUSABLE_PATH = "{path} can't be used: {reason}. Choose another path."
SENTENCES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), FULL),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), MANY),
    **dict.fromkeys((errno.EAGAIN, errno.ENOMEM), NO_RESOURCES),
    **dict.fromkeys((errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG), UNUSABLE_PATH),
    errno.EISDIR: UNUSABLE_PATH,
}


class OperatorError(Exception):
    """Something on this machine is wrong: the message says what, and what to do."""


def whose(given: Path) -> str:
    """Return the end of a sentence: who owns the path, and what this user can do."""
    path = given
    try:
        # The file itself, or the nearest folder that exists.
        while not os.path.lexists(path) and path != path.parent:
            path = path.parent
        owner, user = path.lstat().st_uid, os.geteuid()
    except OSError:
        return f"check the permissions of the folders above {path}."
    subject = "it" if path == given else str(path)
    if owner == user:
        return f"{subject} is yours: check its permissions with `ls -ld`."
    them, you = user_name(owner), user_name(user)
    # Only for files of this project, not for folders such as /usr.
    if ROOT in path.parents:
        take = f"sudo chown -R {you} {quote(str(path))}"
        remedy = f"Run this as {them}, remove {path}, or change its owner: `{take}`."
    else:
        remedy = f"Choose another path, or run this as {them}."
    return f"{subject} belongs to {them}, and you are {you}. {remedy}"


def user_name(uid: int) -> str:
    """Return the name of a user, or its number if it has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"


def guarded(main: Callable[[], int]) -> int:
    """Run a command and return its exit code; print a message instead of a traceback."""
    code = _run(main)
    try:
        sys.stdout.flush()
    except OSError:
        # It has been reported, or has no reader. Python must not write the rest when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _run(main: Callable[[], int]) -> int:
    try:
        code = main()
        sys.stdout.flush()
    except OperatorError as error:
        return complain(error)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and not _is_read(sys.stdout):
            # The reader of the output, such as `head`, has enough.
            return 1
        return complain(explain(error) or report(error))
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  # The last resort: no command shows a traceback.
        return complain(report(error))
    return code


def _is_read(output: TextIO) -> bool:
    poll = select.poll()
    poll.register(output, select.POLLOUT)
    return not any(event & select.POLLERR for _, event in poll.poll(0))


def explain(error: OSError) -> OperatorError | None:
    """Return the message for a failure of the system; None if the failure is unexpected."""
    path = error.filename if isinstance(error.filename, str | Path) else None
    sentence = SENTENCES.get(error.errno or 0)
    if sentence is not None and (path or "{path}" not in sentence):
        return OperatorError(sentence.format(path=path, reason=error.strerror))
    if error.errno in {errno.EACCES, errno.EPERM} and path:
        return OperatorError(f"{path} can't be used: {whose(Path(path))}")
    return None


def report(error: Exception) -> OperatorError:
    """Write the traceback of an unexpected error to a file, and return the message."""
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{NAME}-error-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exception(error, file=file)
    return OperatorError(
        f"Unexpected error: {type(error).__name__}: {error}\n"
        f"This is a bug in this project. Please report it with {file.name}."
    )


def complain(error: Exception) -> int:
    """Print the error and return the exit code."""
    print(f"\n{error}", file=sys.stderr)  # noqa: T201  # There may be no log yet.
    return 1
