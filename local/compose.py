"""Docker compose: whether an engine answers, whether the stack runs in it, and its secrets."""

import json
import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

from local.console import CommandError, just
from service.settings import ROOT

ENV_FILE = ROOT / ".env"
# Each password is for one role of the database; the key is the clients'.
SECRETS = ("POSTGRES_PASSWORD", "MIGRATE_PASSWORD", "API_PASSWORD", "SECURE_API_KEY")
SECRET_BYTES = 24
PLAIN = re.compile("[A-Za-z0-9._~-]+")


def engine_answers() -> bool:
    """Return whether a Docker engine with compose is there."""
    if shutil.which("docker") is None:
        return False
    asked = (["docker", "compose", "version"], ["docker", "info"])
    return all(
        subprocess.run(command, capture_output=True, check=False).returncode == 0
        for command in asked
    )


def runs() -> bool:
    """Return whether containers of this project run.

    Raises CommandError: they do, and `.env` does not have what every command needs.
    """
    # Asked without compose, which needs `.env` even for this.
    label = f"label=com.docker.compose.project.working_dir={ROOT}"
    if not engine_answers() or not docker("ps", "--quiet", "--filter", label).strip():
        return False
    if missing := [name for name in SECRETS if name not in _values(_lines(ENV_FILE))]:
        raise CommandError(
            f"The stack runs in containers, but .env has no {', '.join(missing)}: "
            f"bring it back, or run `{just('up')}` for new ones."
        )
    # Another project may have been started from here.
    return bool(output("ps", "--quiet"))


def require_own_project() -> None:
    """Raise CommandError where containers of another folder have the name of this project."""
    name = json.loads(output("config", "--format", "json"))["name"]
    folder = "com.docker.compose.project.working_dir"
    label = f"label=com.docker.compose.project={name}"
    form = f'{{{{.Label "{folder}"}}}}'
    found = docker("ps", "--all", "--filter", label, "--format", form).splitlines()
    if others := sorted({path for path in found if path != str(ROOT)}):
        raise CommandError(
            f"The containers of {others[0]} are called {name} too, and would be taken for these: "
            "give this folder another name, or set COMPOSE_PROJECT_NAME in .env."
        )


def run(*arguments: str, **environment: str) -> int:
    """Run compose in the repository's root and return its exit code."""
    return subprocess.run(
        ["docker", "compose", "--progress", "quiet", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        check=False,
    ).returncode


def must(*arguments: str, **environment: str) -> None:
    """Run compose. Raises CommandError where it fails; it has said why."""
    if run(*arguments, **environment):
        raise CommandError(f"`docker compose {arguments[0]}` failed, for the reason above.")


def output(*arguments: str) -> str:
    """Return what compose prints. Raises CommandError with its reason where it fails."""
    return _output("docker", "compose", *arguments)


def docker(*arguments: str) -> str:
    """Return what docker prints. Raises CommandError with its reason where it fails."""
    return _output("docker", *arguments)


def inspect(container: str) -> Any:
    """Return what docker knows of a container."""
    [found] = json.loads(docker("inspect", container))
    return found


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(f"`{' '.join(command[:3])}` failed: {done.stderr.strip()}")
    return done.stdout


def write_secrets(path: Path = ENV_FILE) -> list[str]:
    """Add a random value for each secret that `.env` lacks, and return their names.

    Raises CommandError: one that is there has other characters than letters, digits and `._~-`.
    """
    lines = _lines(path)
    values = _values(lines)
    for name in SECRETS:
        # They become part of addresses and of compose's own language.
        if name in values and not PLAIN.fullmatch(values[name]):
            raise CommandError(f"{name} in .env: only letters, digits and `._~-` will do.")
    missing = [name for name in SECRETS if name not in values]
    if missing:
        path.touch(mode=0o600)
        path.chmod(0o600)
        lines += [f"{name}={secrets.token_hex(SECRET_BYTES)}" for name in missing]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return missing


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _values(lines: list[str]) -> dict[str, str]:
    """Return what has a value."""
    pairs = (line.partition("=") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs if value.strip()}
