"""The service that is attacked, with nginx and PostgreSQL, and what it takes meanwhile."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

import psutil

from ops.local import nginx
from service.settings import ROOT, Settings

KEY = "benchmark-key-0123456789"
START_SECONDS = 120
SAMPLE_SECONDS, OTHERS_SECONDS, LIVEZ_SECONDS = 0.02, 0.3, 0.05
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
MIB = 1 << 20
LISTEN = "0A"


class Reading(NamedTuple):
    """What the watchdog of the service's loop has found."""

    processor: float  # Seconds of the process.
    stall: float  # The longest since the last reading, in seconds.
    turns: int


class Victim:
    """A running service, on ports of its own; `close` ends it and its nginx."""

    def __init__(self, url: str, directory: Path) -> None:
        self._database = psutil.Process(
            int((directory / "postgres" / "postmaster.pid").read_text().split()[0])
        )
        self.log = directory / "service.log"
        self.port, self.front_port = _free_port(), _free_port()
        self._ended = ExitStack()
        ours, theirs = socket.socketpair()
        settings = Settings(secure_api_key=KEY)
        # A production's, on the same machine as the clients.
        environment = {
            "APP_ENV": "production",
            "BIND": f"127.0.0.1:{self.port}",
            "DATABASE_URL": url,
            "DRAIN_SECONDS": "0",
            "SECURE_API_KEY": KEY,
            **image_variables("MALLOC_MMAP_THRESHOLD_"),
        }
        with theirs, self.log.open("wb") as log:
            self._process = psutil.Popen(
                [sys.executable, "-m", "benchmarks.watched", str(theirs.fileno())],
                cwd=ROOT,
                env=os.environ | environment,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
            )
        self._ended.callback(_end, self._process)
        self._channel = self._ended.enter_context(ours.makefile("rw", encoding="ascii"))
        front = [f"127.0.0.1:{self.front_port}"]
        command = nginx.prepare(settings, directory, front, f"127.0.0.1:{self.port}")
        proxy = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._ended.callback(_end, proxy)
        deadline = time.monotonic() + START_SECONDS
        while livez(self.port) is None or livez(self.front_port) is None:
            if time.monotonic() > deadline or not self.runs():
                self.close()
                raise SystemExit(f"The service did not start:\n{self.log.read_text()}")
            time.sleep(0.1)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End it."""
        self.close()

    def close(self) -> None:
        """End the service and nginx."""
        self._ended.close()

    def runs(self) -> bool:
        """Return whether the service still runs."""
        return self._process.poll() is None

    def read(self) -> Reading:
        """Return what its watchdog has found."""
        self._channel.write("\n")
        self._channel.flush()
        return Reading(*json.loads(self._channel.readline()))

    def processor(self) -> float:
        """Return its seconds of processor time, to the next hundredth."""
        return float(sum(self._process.cpu_times()[:2]))

    def memory(self) -> float:
        """Return the service's memory in MiB."""
        return float(self._process.memory_info().rss / MIB)

    def queued(self) -> float:
        """Return what the kernel keeps for the service's connections in MiB, sent or received.

        It counts as memory of a container, but not of a process.
        """
        total = 0
        for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
            fields = line.split(maxsplit=5)
            # Without those that listen, whose numbers are of connections.
            if int(fields[1].partition(":")[2], 16) == self.port and fields[3] != LISTEN:
                total += sum(int(number, 16) for number in fields[4].split(":"))
        return total / MIB

    def database_memory(self) -> float:
        """Return the memory of all processes of PostgreSQL in MiB, without what they share."""
        total = 0
        for process in [self._database, *self._database.children()]:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().uss
        return total / MIB


def _end(process: psutil.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def livez(port: int, timeout: float = 30) -> float | None:
    """Return the seconds that a new connection waits for `/livez`, or None if there is no 200."""
    began = time.perf_counter()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.sendall(LIVEZ)
            found = connection.recv(1000)
    except OSError:
        found = b""
    taken = time.perf_counter() - began
    if found.startswith(b"HTTP/1.1 200 "):
        return taken
    return None if taken < timeout else timeout


class Peaks:
    """The greatest memory of a while, and the longest `/livez`: seconds, and the service's work."""

    def __init__(self, victim: Victim, *, asks: bool) -> None:
        self._victim, self._asks = victim, asks
        self.memory = victim.memory()
        self.database = victim.database_memory() if asks else 0.0
        self.queued = 0.0
        self.livez = self.livez_work = 0.0
        self._done = threading.Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch until the end of the block."""
        watchers = [self._watch_memory]
        if self._asks:
            watchers += [self._watch_others, self._ask]
        threads = [threading.Thread(target=watcher) for watcher in watchers]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in threads:
                thread.join()

    def _watch_memory(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            with suppress(psutil.NoSuchProcess):
                self.memory = max(self.memory, self._victim.memory())

    def _watch_others(self) -> None:
        while not self._done.wait(OTHERS_SECONDS):
            self.database = max(self.database, self._victim.database_memory())
            self.queued = max(self.queued, self._victim.queued())

    def _ask(self) -> None:
        while not self._done.wait(LIVEZ_SECONDS):
            before = self._victim.processor()
            self.livez = max(self.livez, livez(self._victim.port) or 0)
            self.livez_work = max(self.livez_work, self._victim.processor() - before)


def image_variables(*names: str) -> dict[str, str]:
    """Return variables of the environment that the Dockerfile sets."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    return {name: match[1] for name in names if (match := re.search(rf"\b{name}=(\S+)", text))}
