"""Docker compose: whether an engine answers, whether the stack runs in it, and its secrets."""

import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

from local.console import CommandError
from service.settings import ROOT

ENV_FILE = ROOT / ".env"
# Each password is for one role of the database; the key is the clients'.
SECRETS = ("POSTGRES_PASSWORD", "MIGRATE_PASSWORD", "API_PASSWORD", "SECURE_API_KEY")
SECRET_BYTES = 24


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
    """Return whether containers of this project run."""
    # Without its secrets it never ran, and compose would not even say so.
    if set(SECRETS) - _present(_lines(ENV_FILE)):
        return False
    return engine_answers() and bool(output("ps", "--quiet"))


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
    """Add a random value for each secret that `.env` lacks, and return their names."""
    lines = _lines(path)
    present = _present(lines)
    missing = [name for name in SECRETS if name not in present]
    if missing:
        path.touch(mode=0o600)
        path.chmod(0o600)
        lines += [f"{name}={secrets.token_hex(SECRET_BYTES)}" for name in missing]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return missing


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _present(lines: list[str]) -> set[str]:
    """Return the names that have a value."""
    return {line.partition("=")[0].strip() for line in lines if line.partition("=")[2].strip()}
