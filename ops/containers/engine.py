"""The Docker engine: its environment, and queries with a time-out.

An engine may be missing, inaccessible to this user, or hang; a command must say which.
"""

import os
import re
import shutil
import signal
import subprocess

from ops.console import CommandError, just
from ops.environment import DOCKER, kept
from service.settings import ROOT, Settings

# For a question that is answered within a second unless something is wrong.
ASK_SECONDS = 10
# `up --wait`, `--progress` and secrets of a build need it.
OLDEST_COMPOSE = (2, 20)

SETTINGS = frozenset(name.upper() for name in Settings.model_fields) - {
    "DATABASE_URL",
    "DATABASE_DIRECT_URL",
}


class EngineError(CommandError):
    """Docker can't be used, or does not answer: the message says why and what to do."""


class NoEngineError(EngineError):
    """There is no engine on this machine, so that no container runs."""


class HangingEngineError(EngineError):
    """The engine does not answer in time."""


def docker_environment() -> dict[str, str]:
    """Return the environment for docker and compose.

    The rest is for other projects: COMPOSE_FILE, POSTGRES_PASSWORD, DATABASE_URL, ...
    """
    # Settings are read without regard to case, and empty ones count as not set.
    settings = {name.upper(): value for name, value in os.environ.items() if value}
    return kept(DOCKER) | {name: settings[name] for name in settings if name in SETTINGS}


def is_installed() -> bool:
    """Return whether the program `docker` is installed."""
    return shutil.which("docker") is not None


def containers(*arguments: str) -> list[tuple[str, str]]:
    """Return project and folder of the containers of compose that run, or of `--all`.

    Raises NoEngineError or EngineError.
    """
    if not is_installed():
        raise NoEngineError("There is no Docker engine: the program `docker` is not on the PATH.")
    labels = [f'{{{{.Label "com.docker.compose.project{part}"}}}}' for part in ("", ".working_dir")]
    # This also checks whether the engine answers, in every version of docker.
    listed = ask("docker", "ps", *arguments, "--format", "\t".join(labels))
    pairs = (line.partition("\t") for line in listed.splitlines())
    # One that docker itself runs from the image of a project has the image's label, and no folder.
    return [(project, folder) for project, _, folder in pairs if folder]


def require_compose() -> str:
    """Return the version of compose. Raises EngineError if there is none that is new enough."""
    try:
        version = ask("docker", "compose", "version", "--short").strip()
    except HangingEngineError:
        raise
    except EngineError as error:
        raise EngineError(
            "Docker's plugin compose is not installed: install it (Debian, Ubuntu: "
            "docker-compose-v2 or docker-compose-plugin), or use "
            f"`{just('up local')}`. The program docker-compose 1 is too old."
        ) from error
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if not found or tuple(map(int, found.groups())) < OLDEST_COMPOSE:
        oldest = ".".join(map(str, OLDEST_COMPOSE))
        raise EngineError(
            f"`docker compose` is {version or 'of an unknown version'}: install Docker Compose "
            f"{oldest} or newer, or use `{just('up local')}`."
        )
    return version


def ask(*command: str, environment: dict[str, str] | None = None) -> str:
    """Return docker's output. Raises EngineError if it fails, or does not answer in time."""
    # A process group of its own: compose is a child of docker, and both must be ended.
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment if environment is not None else docker_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        try:
            output, reason = process.communicate(timeout=ASK_SECONDS)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            raise HangingEngineError(
                f"`{' '.join(command[:2])}` did not answer within {ASK_SECONDS} s: the Docker "
                f"engine hangs. Restart it, or use `{just('up local')}`."
            ) from error
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise _error(command, reason.strip() or output.strip())
    return output


def _error(command: tuple[str, ...], reason: str) -> EngineError:
    """Return the error for a message of docker."""
    if "permission denied" in reason and "connect" in reason:
        [where] = re.findall(r"unix://(/[^\s:]+)", reason)[:1] or ["its socket"]
        return EngineError(
            f"You may not use the Docker engine (permission denied: {where}). Run "
            "`sudo usermod -aG docker $USER` and log in again, or use "
            f"`{just('up local')}`."
        )
    # The messages of Docker 28 and before, and of 29. A remote engine may just be unreachable.
    if re.search(
        r"(Cannot connect to the Docker daemon|failed to connect to .*) at unix://", reason
    ):
        return NoEngineError(
            f"The Docker engine does not run: start it, or use `{just('up local')}`."
        )
    if "could not be found in this WSL" in reason:
        return NoEngineError(
            "Docker Desktop does not serve this WSL distribution: enable it in its settings "
            f"(Resources, WSL integration), or use `{just('up local')}`."
        )
    first = (reason.splitlines() or ["no message"])[0]
    return EngineError(f"`{' '.join(command[:3])}` failed: {first}")
