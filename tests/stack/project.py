"""A separate stack: a copy of the project under another name, removed afterwards."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ops.containers import compose
from ops.containers.engine import EngineError
from service.settings import ROOT
from tests.ops.project import copy_project

# Variables that a shell may have set for another project.
ELSEWHERE = {
    "COMPOSE_FILE": "/elsewhere/compose.yaml",
    "COMPOSE_PROFILES": "elsewhere",
    "COMPOSE_PROJECT_NAME": "elsewhere",
    "POSTGRES_PASSWORD": "elsewhere",
    "API_PASSWORD": "elsewhere",
    "MIGRATE_PASSWORD": "elsewhere",
    "IMAGE_TAG": "elsewhere",
    "PGPASSWORD": "elsewhere",
    "PWD": "/",
}
CONTAINER_FILES = ("Dockerfile", ".dockerignore", "compose.yaml", "observe", "postgres")


@dataclass(frozen=True)
class Stack:
    """A copy of the project, its containers and the environment of its commands."""

    directory: Path
    name: str
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['HTTP_PORT']}"

    @property
    def key(self) -> str:
        lines = (self.directory / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)["SECURE_API_KEY"]

    def just(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("./just", *arguments)

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command without waiting for it."""
        command = [str(self.directory / ".venv/bin/python"), "-m", "ops", *arguments]
        with subprocess.Popen(command, cwd=self.directory, env=self.environment) as process:
            yield process

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run compose as a person would, in a shell that has nothing for other projects."""
        plain = {name: self.environment[name] for name in self.environment.keys() - ELSEWHERE}
        return replace(self, environment=plain)._run("docker", "compose", *arguments)

    def docker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("docker", *arguments)

    def ids(self, service: str) -> list[str]:
        return self.compose("ps", "--quiet", service).stdout.split()

    def containers(self) -> set[str]:
        return set(self.compose("ps", "--quiet").stdout.split())

    def inspect(self, service: str) -> Any:
        [found] = json.loads(self.docker("inspect", self.ids(service)[0]).stdout)
        return found

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )


@contextmanager
def new_stack(directory: Path, folder: str = "") -> Iterator[Stack]:
    """Return a stack that does not run yet, in a folder of this name, which names the project.

    Skips the test if no engine answers.
    """
    try:
        compose.require()
    except EngineError as error:
        pytest.skip(str(error))
    project = copy_project(directory / (folder or "flusk"))
    for name in CONTAINER_FILES:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, project.directory / name)
    # As after a clone under umask 077: the containers run as other users.
    for path in project.directory.rglob("*"):
        if not path.is_symlink() and ".venv" not in path.parts and ".tools" not in path.parts:
            path.chmod(path.stat().st_mode & 0o700)
    # The environment of the tests names no file for settings; this project has one of its own.
    environment = {n: v for n, v in project.environment.items() if n != "ENV_FILE"}
    name = compose.new_name(project.directory) if folder else f"flusk-test-{os.getpid()}"
    if not folder:
        (project.directory / ".env").write_text(f"COMPOSE_PROJECT_NAME={name}\n")
    stack = Stack(project.directory, name, environment | ELSEWHERE | {"DRAIN_SECONDS": "1"})
    try:
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "10", "--rmi", "local")
        images = [f"{name}-api:{tag}" for tag in ("latest", "previous", "migrate")]
        stack.docker("image", "rm", "--force", *images)
