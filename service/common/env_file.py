"""The file `.env`: what it says, or one sentence about why it can't be read."""

import os
import pwd
from io import StringIO
from pathlib import Path
from shlex import quote

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from service.common.secret_files import SettingsError

# Editors of Windows begin a file with a byte order mark.
ENCODING = "utf-8-sig"


def read_env_file(path: Path) -> dict[str, str]:
    """Return the values of the file by their names in capitals; no file has none.

    Raises SettingsError: it can't be read, or one of its lines is no `NAME=value`.
    """
    text = read_text(path)
    for statement in parse_stream(StringIO(text)):
        if statement.error:
            raise SettingsError(f"{path}, line {statement.original.line}: write NAME=value.")
    values = dotenv_values(stream=StringIO(text))
    return {name.upper(): value for name, value in values.items() if value}


def read_text(path: Path) -> str:
    """Return the text of the file; no file has none. Raises SettingsError: it can't be read."""
    try:
        return path.read_text(encoding=ENCODING)
    except FileNotFoundError:
        return ""
    except IsADirectoryError as error:
        raise SettingsError(f"{path} is a folder. Remove it: a file belongs there.") from error
    except PermissionError as error:
        raise SettingsError(f"{path} can't be read: {whose(path)}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}, line {line}: not UTF-8. Save the file as UTF-8.") from error
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}.") from error


def whose(path: Path) -> str:
    """Return whose file it is, and what to do so that this user may use it."""
    try:
        owner, user = path.stat().st_uid, os.geteuid()
    except PermissionError:
        return whose(path.parent)
    if owner == user:
        return f"its mode forbids it. Run `chmod u+rw {quote(str(path))}`."
    return (
        f"it belongs to {_name(owner)}, and you are {_name(user)}. "
        f"Run this as {_name(owner)}, or `sudo chown {_name(user)} {quote(str(path))}`."
    )


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
