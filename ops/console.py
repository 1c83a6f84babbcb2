"""Console output: errors, the end of a log, the name of the command."""

import os
import shlex
from pathlib import Path

from service.failures import OperatorError

LAST_LINES = 15


class CommandError(OperatorError):
    """A command failed: the message says what is wrong and what to do."""


def file_argument(arguments: list[str], example: str) -> Path:
    """Return the file argument, relative to the folder where the command was called."""
    if len(arguments) != 1:
        raise CommandError(f"Give one file, such as {example}.")
    return Path(os.environ.get("INVOCATION_DIRECTORY", ".")) / arguments[0]


def just(command: str) -> str:
    """Return the command as the user would type it."""
    return f"{shlex.quote(os.environ.get('JUST_COMMAND', 'just'))} {command}"


def tail(log: Path) -> str:
    """Return the last lines of the log, indented."""
    if not log.exists():
        return f"    (There is no {log} yet.)"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join(f"    {line}" for line in lines or ["(The log is empty.)"])
