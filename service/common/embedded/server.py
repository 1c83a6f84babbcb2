"""The server of a directory, shared by the processes that use it."""

import atexit
import fcntl
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

from service.common.embedded.programs import (
    EmbeddedPostgresError,
    initialise,
    program,
    run,
    server_account,
)
from service.common.private_directories import DirectoryError, make_private, socket_directory

START_SECONDS = 60
STOP_SECONDS = 60
INTERVAL = 0.02


def start(directory: Path) -> str:
    """Start the server of `directory`, or share the running one, and return its URL.

    The server stops with the last process that uses it; its data stay.

    Raises EmbeddedPostgresError: the wheel is missing, or the server does not start.
    """
    return start_server(directory).url()


def start_server(directory: Path, **settings: str) -> "Server":
    """Return the running server of `directory`; the settings apply if it starts now."""
    directory = directory.resolve()
    if directory not in _servers:
        try:
            _servers[directory] = Server(directory, settings)
        except (EmbeddedPostgresError, DirectoryError) as error:
            raise _failure(directory, str(error)) from error
        except OSError as error:
            raise _failure(directory, f"{error.strerror}: {error.filename}") from error
    return _servers[directory]


class Server:
    """A use of the server of a directory, from the start to `close` or the end of the process."""

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        postgres = program("postgres")
        self.directory = directory
        directory.parent.mkdir(parents=True, exist_ok=True)
        self._account = server_account(directory, postgres)
        # Every process that uses the server holds this lock, as long as it lives.
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
        return f"postgresql://postgres@/{database}?host={quote(str(self._socket().parent))}"

    def is_running(self) -> bool:
        """Return whether the server accepts connections."""
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self._socket()))
            except (FileNotFoundError, ConnectionError):
                return False
            return True

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
        except BlockingIOError:
            pass  # Another process uses it.
        except FileNotFoundError:
            pass  # Somebody removed the folder.
        finally:
            self._users.close()

    def __enter__(self) -> Self:
        """Return the server, which `close` ends."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _socket(self) -> Path:
        return socket_directory(self.directory) / ".s.PGSQL.5432"

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one process at a time start or stop the server."""
        with _lock_file(self.directory, "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _start(self, settings: dict[str, str]) -> None:
        if not (self.directory / "PG_VERSION").exists():
            initialise(self.directory, self._account)
        uid = None if self._account is None else self._account.pw_uid
        for private in {self.directory, self._socket().parent}:
            make_private(private, uid)
        log = self.directory / "log"
        # Whoever held this file is gone, for its socket is not answered. Its process id may belong
        # to another process by now, for which PostgreSQL would refuse to start. (Processes that
        # still have the data in memory are found by PostgreSQL itself, in the shared memory.)
        for left in (self.directory / "postmaster.pid", self._socket().with_suffix(".5432.lock")):
            left.unlink(missing_ok=True)
        options = [f"--{name}={value}" for name, value in settings.items()]
        begin = log.stat().st_size if log.exists() else 0
        # The shell starts it in the background, so that it is nobody's child; it gets the paths as
        # arguments, which it does not read.
        command = [
            *("sh", "-c", 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!', "sh", str(log)),
            *(str(program("postgres")), "-D", str(self.directory)),
            *("-k", str(self._socket().parent), "-c", "listen_addresses=", *options),
        ]
        started = run(command, self._account)
        process, deadline = int(started), time.monotonic() + START_SECONDS
        while self._status() != "ready":
            if not _lives(process):
                raise EmbeddedPostgresError(_written(log, begin))
            if time.monotonic() > deadline:
                os.kill(process, signal.SIGQUIT)
                raise EmbeddedPostgresError(f"it is not ready after {START_SECONDS} s")
            time.sleep(INTERVAL)

    def _stop(self) -> None:
        process, deadline = int(self._pid_file()[0]), time.monotonic() + STOP_SECONDS
        os.kill(process, signal.SIGINT)  # A fast shutdown.
        while self._pid_file():  # The server removes it last.
            if time.monotonic() > deadline:
                os.kill(process, signal.SIGQUIT)
                return
            time.sleep(INTERVAL)

    def _status(self) -> str:
        return "".join(self._pid_file()[7:]).strip()

    def _pid_file(self) -> list[str]:
        """Return the lines of `postmaster.pid`: the process, and in the eighth its status."""
        try:
            text = (self.directory / "postmaster.pid").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return text.splitlines()


_servers: dict[Path, Server] = {}


def _lock_file(directory: Path, kind: str) -> IO[str]:
    return directory.with_name(f"{directory.name}.{kind}").open("a", encoding="utf-8")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _written(log: Path, begin: int) -> str:
    """Return what the log has behind `begin`."""
    return log.read_bytes()[begin:].decode(errors="replace") if log.exists() else ""


def _cause(text: str) -> str:
    """Return the line of PostgreSQL's output that says why it ended."""
    lines = text.strip().splitlines() or ["its log is empty"]
    return next((line for line in lines if re.search("FATAL|PANIC|error:", line)), lines[-1])


def _failure(directory: Path, reason: str) -> EmbeddedPostgresError:
    if "No space left on device" in reason:
        return EmbeddedPostgresError(
            f"The disk is full: PostgreSQL has no room in {directory}. "
            "Make room, then run this again."
        )
    log = directory / "log"
    where = f"Its log is {log}; without the folder it starts empty. " if log.exists() else ""
    return EmbeddedPostgresError(
        f"The embedded PostgreSQL in {directory} did not start: {_cause(reason).rstrip('.')}. "
        f"{where}Or set DATABASE_URL to a PostgreSQL of your own."
    )
