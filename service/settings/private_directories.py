"""Directories that only their owner may change, and short paths for the sockets in them."""

import os
import re
import stat
from hashlib import sha256
from pathlib import Path
from typing import IO

from service.failures import OperatorError, user_name, whose
from service.name import NAME

# A Unix socket's path holds 104 bytes on macOS and 108 on Linux; the longest name put into a
# directory is supervisor's, which adds its process id for a moment.
LONGEST_DIRECTORY = 80
# In `host`, libpq and asyncpg read a comma as a separator of hosts.
PLAIN = re.compile(r"/[^,]*")


class DirectoryError(OperatorError):
    """A directory can't be used: the message says why, and what to do."""


def make_private(directory: Path, owner: int | None = None, mode: int = 0o700) -> None:
    """Create a directory that only its owner may change, or restrict an existing one.

    Raises DirectoryError if it belongs to another user, or is not a directory.
    """
    owner = os.geteuid() if owner is None else owner
    try:
        directory.mkdir(mode=mode, parents=True)
        os.chown(directory, owner, -1)
    except FileExistsError:
        require_owner(directory, owner)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise DirectoryError(f"{directory} is not a directory: move it away.")
    if stat.S_IMODE(found.st_mode) != mode:  # Changed by umask, or by hand.
        directory.chmod(mode)


def private_file(path: Path) -> IO[str]:
    """Open a file for writing; if it is missing, create it with access for its owner only."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "w")


def require_owner(path: Path, owner: int | None = None) -> None:
    """Raise DirectoryError if the path belongs to another user than the one given, or this one."""
    owner = os.geteuid() if owner is None else owner
    found = path.lstat().st_uid
    if found != owner == os.geteuid():
        raise DirectoryError(f"{path} can't be used: {whose(path)}")
    if found != owner:
        raise DirectoryError(
            f"{path} belongs to {user_name(found)}, not to {user_name(owner)}, the user that "
            f"PostgreSQL runs as. Run this as {user_name(found)}, or move {path} away."
        )


def socket_directory(directory: Path) -> Path:
    """Return the directory for sockets: the given one, or one below /tmp if its path is too long.

    Make it private before you create a socket in it.
    """
    if len(os.fsencode(directory)) <= LONGEST_DIRECTORY and PLAIN.fullmatch(str(directory)):
        return directory
    digest = sha256(os.fsencode(directory)).hexdigest()[:16]
    # Not $TMPDIR, which may differ between the shells of a user.
    return Path("/tmp") / f"{NAME}-{os.getuid()}-{digest}"  # noqa: S108
