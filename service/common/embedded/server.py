"""The server of a directory, shared by the processes that use it."""

import atexit
import fcntl
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from service.common.embedded.programs import (
    EmbeddedPostgresError,
    initialise,
    program,
    run,
    server_account,
)
from service.common.embedded.reasons import failure, written
from service.failures import explain
from service.settings import (
    DirectoryError,
    make_private,
    private_file,
    require_owner,
    socket_directory,
)

START_SECONDS = 60
STOP_SECONDS = 60
INTERVAL = 0.02
GONE_SECONDS = 5
# Without details, which quote the values of records, and without errors of statements, which
# clients cause: nothing rotates this log.
PRIVATE_LOG = ("-c", "log_error_verbosity=terse", "-c", "log_min_messages=log")
STILL_RUNS = (
    "a server is still running on its data, but not on its socket: it was started in another "
    "container, or its socket was removed. Stop it there, or end that process"
)


def start(directory: Path) -> str:
    """Start the server of `directory`, or share the running one, and return its URL.

    The server stops with the last process that uses it; its data are kept.

    Raises EmbeddedPostgresError if the wheel is missing, or if the server does not start.
    """
    return start_server(directory).url()


def start_server(directory: Path, **settings: str) -> "Server":
    """Return the running server of `directory`; the settings apply if it starts now."""
    directory = directory.resolve()
    if directory not in _servers:
        try:
            _servers[directory] = Server(directory, settings)
        except (EmbeddedPostgresError, DirectoryError) as error:
            raise failure(directory, str(error)) from error
        except OSError as error:
            known = explain(error)
            raise (known or failure(directory, f"{error.strerror}: {error.filename}")) from error
    return _servers[directory]


def running_url(directory: Path) -> str | None:
    """Return the URL of the server of `directory`, or None if it does not run; start nothing."""
    place = _socket_of(directory.resolve())
    if os.geteuid() and place.parent.exists():
        require_owner(place.parent)
    return _url(place, "postgres") if _answers(place) else None


class Server:
    """A use of the server of a directory, from the start to `close` or the end of the process."""

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        postgres = program("postgres")
        self.directory = directory
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._account = server_account(directory, postgres)
        self._uid = os.geteuid() if self._account is None else self._account.pw_uid
        if (directory / "PG_VERSION").exists():
            require_owner(directory, self._uid)
        # Every process that uses the server holds this lock until it ends.
        self._users = _lock_file(directory, "users")
        try:
            with self._turn():
                fcntl.flock(self._users, fcntl.LOCK_SH)
                if not self.is_running():
                    self._start(settings)
        except BaseException:
            self._users.close()
            raise
        atexit.register(self.close)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of its databases."""
        return _url(self._socket(), database)

    def is_running(self) -> bool:
        """Return whether the server accepts connections. Raises DirectoryError: wrong owner."""
        folder = self._socket().parent
        if not folder.exists():
            return False
        require_owner(folder, self._uid)
        return _answers(self._socket())

    def close(self) -> None:
        """Stop using the server, and stop it if no other process uses it."""
        if _servers.pop(self.directory, None) is None:
            return
        atexit.unregister(self.close)
        try:
            with self._turn():
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self.is_running():
                    self._stop()
        except (OSError, DirectoryError):
            pass  # Another process uses it, or the folder was removed.
        finally:
            self._users.close()

    def __enter__(self) -> Self:
        """Return the server, which `close` ends."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()

    def _socket(self) -> Path:
        return _socket_of(self.directory)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one process at a time start or stop the server."""
        with _lock_file(self.directory, "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _start(self, settings: dict[str, str]) -> None:
        if not (self.directory / "PG_VERSION").exists():
            initialise(self.directory, self._account)
        for private in {self.directory, self._socket().parent}:
            make_private(private, self._uid)
        log = self.directory / "log"
        options = [f"--{name}={value}" for name, value in settings.items()]
        begin = log.stat().st_size if log.exists() else 0
        # The shell starts it in the background, so that it is not a child of this process. Paths
        # are arguments, which the shell does not interpret.
        command = [
            *("sh", "-c", 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!', "sh", str(log)),
            *(str(program("postgres")), "-D", str(self.directory)),
            *("-k", str(self._socket().parent), "-c", "listen_addresses=", *PRIVATE_LOG, *options),
        ]
        with self._held() as held:
            # The process that wrote these has ended. If its process id is now that of another
            # program, PostgreSQL would refuse to start.
            lock = self._socket().with_suffix(".5432.lock")
            for left in (self.directory / "postmaster.pid", lock):
                left.unlink(missing_ok=True)
            process = int(run(command, self._account, [held.fileno()]))
        deadline = time.monotonic() + START_SECONDS
        while self._status() != "ready":
            if not _lives(process):
                raise EmbeddedPostgresError(written(log, begin))
            if time.monotonic() > deadline:
                os.kill(process, signal.SIGQUIT)
                raise EmbeddedPostgresError(f"it is not ready after {START_SECONDS} s")
            time.sleep(INTERVAL)

    @contextmanager
    def _held(self) -> Iterator[IO[str]]:
        """Hold the lock that the processes of a server inherit, and so hold until they end.

        It shows, also between containers, that a process still uses the data without a socket.
        """
        with _lock_file(self.directory, "server") as held:
            deadline = time.monotonic() + GONE_SECONDS
            while True:
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    # After `kill -9` of the main process the others take a moment to end.
                    if time.monotonic() > deadline:
                        raise EmbeddedPostgresError(STILL_RUNS) from None
                    time.sleep(INTERVAL)
            yield held

    def _stop(self) -> None:
        if not (lines := self._pid_file()):
            return
        process, deadline = int(lines[0]), time.monotonic() + STOP_SECONDS
        os.kill(process, signal.SIGINT)  # A fast shutdown.
        while self._pid_file():  # The server removes it last.
            if time.monotonic() > deadline:
                os.kill(process, signal.SIGQUIT)
                return
            time.sleep(INTERVAL)
        if self._socket().parent != self.directory:
            shutil.rmtree(self._socket().parent, ignore_errors=True)

    def _status(self) -> str:
        return "".join(self._pid_file()[7:]).strip()

    def _pid_file(self) -> list[str]:
        """Return the lines of `postmaster.pid`: first the process id, eighth the status."""
        try:
            text = (self.directory / "postmaster.pid").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return text.splitlines()


_servers: dict[Path, Server] = {}


def _socket_of(directory: Path) -> Path:
    return socket_directory(directory) / ".s.PGSQL.5432"


def _url(socket_path: Path, database: str) -> str:
    return f"postgresql://postgres@/{database}?host={quote(str(socket_path.parent))}"


def _answers(socket_path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(socket_path))
        except (FileNotFoundError, ConnectionError):
            return False
        return True


def _lock_file(directory: Path, kind: str) -> IO[str]:
    return private_file(directory.with_name(f"{directory.name}.{kind}"))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
