"""The servers that are measured: how each starts, what it costs, that its answers are right."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from service.settings import ROOT

KEY = "benchmark-key-0123456789"
HEADERS = {"X-API-Key": KEY}
PORT = 5098
START_SECONDS = 30
BIN = Path(sys.executable).parent
RECORD = {"id", "name", "email", "created_at", "updated_at"}


@dataclass(frozen=True)
class Server:
    """A program that listens on PORT, one worker, written as its documentation does."""

    name: str
    command: list[str]
    driver: str = "postgresql"
    works: tuple[str, ...] = ("read", "list", "create", "update")
    environment: dict[str, str] = field(default_factory=dict)


SERVERS = [
    Server(
        "Flusk",
        ["python", "-m", "service"],
        environment={
            "APP_ENV": "production",
            "BIND": f"127.0.0.1:{PORT}",
            "SECURE_API_KEY": KEY,
        },
    ),
    Server(
        "FastAPI",
        [
            *("uvicorn", "benchmarks.peers.fastapi_app:app", "--port", str(PORT)),
            *("--loop", "uvloop", "--http", "httptools"),
        ],
        driver="postgresql+asyncpg",
    ),
    Server(
        "Litestar",
        [
            *("granian", "--interface", "asgi", "--port", str(PORT), "--workers", "1"),
            *("--loop", "uvloop", "benchmarks.peers.litestar_app:app"),
        ],
        driver="postgresql+asyncpg",
    ),
    Server(
        "Flask",
        [
            *("gunicorn", "--workers", "1", "--threads", "32", "--bind", f"127.0.0.1:{PORT}"),
            *("--access-logfile", "-", "benchmarks.peers.flask_app:app"),
        ],
        driver="postgresql+psycopg",
    ),
    Server(
        "ASGI and asyncpg",
        [
            *("hypercorn", "--bind", f"127.0.0.1:{PORT}", "--worker-class", "uvloop"),
            "benchmarks.peers.floor:app",
        ],
        works=("read",),
    ),
]


class Running:
    """A server that answers, and all of its processes."""

    def __init__(self, process: psutil.Popen) -> None:
        self._process = process
        self.peak = 0.0

    def processes(self) -> list[psutil.Process]:
        """Return the server's process and its children."""
        return [self._process, *self._process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Return the processor time that all of them have taken so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self.processes())

    def note_memory(self) -> None:
        """Keep the greatest memory, in MiB, that was seen so far."""
        used = sum(one.memory_info().rss for one in self.processes()) / (1 << 20)
        self.peak = max(self.peak, used)


@contextmanager
def running(server: Server, url: str) -> Iterator[Running]:
    """Start a server on a database, check its answers, and stop it in the end."""
    address = url.replace("postgresql", server.driver, 1)
    process = psutil.Popen(
        [str(BIN / server.command[0]), *server.command[1:]],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": address, "PYTHONPATH": str(ROOT)} | server.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(server)
        check(server)
        yield Running(process)
    finally:
        process.terminate()
        process.wait()


def _wait(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{PORT}/foss/1", headers=HEADERS)
        except httpx.TransportError as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"{server.name} did not start.") from error
            time.sleep(0.1)
        else:
            return


def check(server: Server) -> None:
    """Exit where an answer is not what every server has to give."""
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", headers=HEADERS) as client:
        found = client.get("/foss/7").json()
        _require(server, found["id"] == 7 and found.keys() == RECORD, found)  # noqa: PLR2004
        if "list" not in server.works:
            return
        page = client.get("/foss?limit=50").json()
        _require(server, [one["id"] for one in page] == [*range(1, 51)], page)
        wrong = client.post("/foss", json={"name": "x"})
        _require(server, 400 <= wrong.status_code < 500, wrong.text)  # noqa: PLR2004
        email = f"{time.time_ns()}@example.org"
        created = client.post("/foss", json={"name": "Checked", "email": email})
        _require(server, created.status_code == httpx.codes.CREATED, created.text)
        url = created.headers["Location"]
        changed = client.put(url, json={"name": "Changed"}).json()
        _require(server, client.get(url).json() == changed, changed)
        _require(server, (changed["name"], changed["email"]) == ("Changed", email), changed)


def _require(server: Server, is_right: bool, found: Any) -> None:
    if not is_right:
        raise SystemExit(f"{server.name} answers wrongly: {found}")
