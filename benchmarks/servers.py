"""The servers that are measured: how each starts, and what is asked of it."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.collection import PATH
from service.name import TITLE
from service.settings import ROOT

KEY = "benchmark-key-0123456789"
HEADERS = {"X-API-Key": KEY}
PORT = 5098
# The load in which servers are compared.
CONNECTIONS = 32
OURS = TITLE
EMPTY = "Quart"
PEERS = ("FastAPI", "Litestar", "Flask")
WORKS = {
    "read": f"GET {PATH}/{{id}}",
    "list": f"GET {PATH}?limit=50",
    "create": f"POST {PATH}",
    "update": f"PUT {PATH}/{{id}}",
    "empty": "GET /livez",
}


@dataclass(frozen=True)
class Server:
    """A program that listens on a port, one worker, written as its documentation does."""

    name: str
    command: list[str]
    driver: str = "postgresql"
    works: tuple[str, ...] = ("read", "list", "create", "update")
    environment: dict[str, str] = field(default_factory=dict)
    port: int = PORT
    # Where its code is, and the programs of its environment.
    folder: Path = ROOT
    programs: Path = Path(sys.executable).parent

    @property
    def first_path(self) -> str:
        """Return what is asked until it answers."""
        return "/livez" if "empty" in self.works else f"{PATH}/1"


def ours(port: int = PORT) -> Server:
    """Return the service as production runs it."""
    return Server(
        OURS,
        ["python", "-m", "service"],
        works=tuple(WORKS),
        environment={
            "APP_ENV": "production",
            "BIND": f"127.0.0.1:{port}",
            # There is no proxy to drain.
            "DRAIN_SECONDS": "0",
            "SECURE_API_KEY": KEY,
        },
        port=port,
    )


SERVERS = [
    ours(),
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
    Server(
        EMPTY,
        [
            *("hypercorn", "--bind", f"127.0.0.1:{PORT}", "--worker-class", "uvloop"),
            "benchmarks.peers.empty_quart:app",
        ],
        works=("empty",),
    ),
]
