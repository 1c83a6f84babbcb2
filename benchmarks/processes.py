"""The processes of a server: how soon they answer, and what they take."""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from tempfile import TemporaryFile

import psutil

from benchmarks.answers import check
from benchmarks.servers import HEADERS, Server
from service.common.embedded import program
from service.settings import ROOT

START_SECONDS = 30
POLL_SECONDS = 0.01
IMPORTS = 5
IMPORT = "import time; t = time.perf_counter(); import service; print(time.perf_counter() - t)"


def psql(url: str, command: str) -> None:
    """Run a command of psql on a database."""
    subprocess.run([program("psql"), "--quiet", url], input=command, text=True, check=True)


class Running:
    """A server that has given its first answer, and all of its processes."""

    def __init__(self, server: Server, process: psutil.Popen, start: float) -> None:
        self.port = server.port
        self._process = process
        # The seconds until its first answer, and the processor time of them.
        self.start = start
        self.start_cpu = self.cpu_seconds()
        self.idle = self.peak = self._memory()

    def processes(self) -> list[psutil.Process]:
        """Return the server's process and its children."""
        return [self._process, *self._process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Return the processor time that all of them have taken so far."""
        return sum(time.clock_gettime(_processor_clock(one.pid)) for one in self.processes())

    def note_memory(self) -> None:
        """Keep the greatest memory, in MiB, that was seen so far."""
        self.peak = max(self.peak, self._memory())

    def _memory(self) -> float:
        return float(sum(one.memory_info().rss for one in self.processes()) / (1 << 20))


@contextmanager
def running(server: Server, url: str) -> Iterator[Running]:
    """Start a server on a database, check its answers, and stop it in the end."""
    address = url.replace("postgresql", server.driver, 1)
    own = {"DATABASE_URL": address, "PYTHONPATH": str(server.folder)} | server.environment
    began = time.perf_counter()
    with TemporaryFile("w+", errors="replace") as errors:
        process = psutil.Popen(
            [str(server.programs / server.command[0]), *server.command[1:]],
            cwd=server.folder,
            env=os.environ | own,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        try:
            while not _answers(server):
                if process.poll() is not None or time.perf_counter() > began + START_SECONDS:
                    errors.seek(0)
                    raise SystemExit(f"{server.name} did not start.\n{errors.read()}")
                time.sleep(POLL_SECONDS)
            started = Running(server, process, time.perf_counter() - began)
            check(server)
            yield started
        finally:
            process.terminate()
            process.wait()


def _processor_clock(pid: int) -> int:
    # As clock_getcpuclockid(3) counts the clocks of Linux: psutil's are exact to 10 ms alone.
    return ~pid << 3 | 2


def _answers(server: Server) -> bool:
    # A client of httpx takes longer to make than some of the answers.
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=START_SECONDS)
    try:
        connection.request("GET", server.first_path, headers=HEADERS)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def import_seconds() -> float:
    """Return the median of the seconds in which a fresh process imports the service."""

    def measured() -> float:
        command = [sys.executable, "-c", IMPORT]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return float(done.stdout)

    measured()  # It writes the bytecode.
    return median(measured() for _ in range(IMPORTS))
