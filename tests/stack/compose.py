"""A stack of containers: its commands, its replicas, what its database holds."""

import asyncio
import csv
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from service.name import DATABASE
from tests.stack.journal import Row

ROOT = Path(__file__).resolve().parent.parent.parent
SELECT = "SELECT id, email, name FROM foss"


@dataclass(frozen=True)
class Stack:
    """One project of compose, of the repository in a directory; no name: that of the directory."""

    project: str
    port: int
    directory: Path = ROOT

    @property
    def url(self) -> str:
        """The URL of nginx."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        """Return the guard's key, which the first `just up` has written."""
        lines = (self.directory / ".env").read_text().splitlines()
        pairs = (line.partition("=") for line in lines)
        return next(value for name, _, value in pairs if name == "SECURE_API_KEY")

    async def run(self, *command: str, check: bool = True) -> str:
        """Run a command and return what it printed; raise a RuntimeError if it fails."""
        names = {"COMPOSE_PROJECT_NAME": self.project} if self.project else {}
        # The environment of the tests names no file for settings; this project has one of its own.
        others = {name: value for name, value in os.environ.items() if name != "ENV_FILE"}
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.directory,
            env={**others, **names, "HTTP_PORT": str(self.port)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if check and process.returncode:
            text = f"{out.decode()}\n{err.decode()}".strip()
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{text}")
        return out.decode() if not process.returncode else ""

    async def compose(self, *arguments: str, check: bool = True) -> str:
        """Run `docker compose`."""
        return await self.run("docker", "compose", *arguments, check=check)

    async def container(self, service: str) -> str:
        """Return the id of a service's container, whether it runs or not."""
        return (await self.compose("ps", "--all", "--quiet", service)).split()[0]

    async def starts(self, service: str) -> dict[str, str]:
        """Return when each healthy container of a service was started, by its id."""
        ids = (await self.compose("ps", "--quiet", service)).split()
        # One that is removed meanwhile makes `inspect` fail: then it is asked again.
        states = json.loads(await self.run("docker", "inspect", *ids, check=False) or "[]")
        return {
            state["Id"]: state["State"]["StartedAt"]
            for state in states
            if state["State"].get("Health", {}).get("Status") == "healthy"
        }

    async def is_whole(self) -> bool:
        """Whether every container of the service is healthy."""
        ids = (await self.compose("ps", "--all", "--quiet", "api")).split()
        return bool(ids) and set(ids) == set(await self.starts("api"))

    async def kill(self, container: str) -> None:
        """Kill a container's first process, as a crash would.

        For the engine, `docker kill` is a manual stop, to which no restart policy applies.
        """
        pid = (await self.run("docker", "inspect", "--format={{.State.Pid}}", container)).strip()
        options = ["--rm", "--network=none", "--pid=host", "--user=0", "--cap-drop=ALL"]
        shell = ["--cap-add=KILL", "--entrypoint=sh", "postgres:18", "-c", f"kill -KILL {pid}"]
        await self.run("docker", "run", *options, *shell)

    async def accepts_connections(self) -> bool:
        """Whether the database does."""
        probe = ["pg_isready", "--host=127.0.0.1"]
        return bool(await self.compose("exec", "-T", "postgres", *probe, check=False))

    async def rows(self) -> list[Row]:
        """Return every record, as the database itself has it."""
        psql = ["psql", "--username=postgres", f"--dbname={DATABASE}", "--csv", "--tuples-only"]
        out = await self.compose("exec", "-T", "postgres", *psql, "--command", SELECT)
        return [Row(int(row[0]), row[1], row[2]) for row in csv.reader(out.splitlines())]


async def eventually(
    condition: Callable[[], Awaitable[Any]], what: str, seconds: float = 60
) -> None:
    """Wait until a condition holds; raise a TimeoutError if it does not in time."""
    deadline = monotonic() + seconds
    while not await condition():
        if monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        # Commands of Docker take processor time from what is waited for.
        await asyncio.sleep(0.2)
