"""Docker compose for this project, whatever else the environment says.

`python -m ops.containers.compose [NAME=value ...] ARGUMENTS` runs it with `.env` and the
settings.
"""

import json
import os
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from ops import indexes
from ops.console import CommandError, just
from ops.containers import engine, passwords
from ops.containers.engine import NoEngineError
from ops.environment import DOCKER, PASSED
from service.failures import complain
from service.name import NAME as DEFAULT
from service.settings import ENV_FILE, ROOT, SettingsError, read_env_file

# The command line for other modules that start it as a process; it takes compose's arguments.
COMMAND = (sys.executable, "-m", "ops.containers.compose")
# We read `.env` like the settings, which differs slightly from compose.
DOCKER_COMPOSE = ("docker", "compose", "--env-file", os.devnull)
NAME = "COMPOSE_PROJECT_NAME"
BUILD_LINES = 12


def require() -> None:
    """Raise NoEngineError or EngineError if the stack can't run in containers here."""
    engine.containers()
    engine.require_compose()


def runs() -> bool:
    """Return whether containers of this project run.

    Raises EngineError if that can't be checked. Raises CommandError if they run, and `.env` lacks
    what every command needs.
    """
    try:
        here = _projects_here(engine.containers())
    except NoEngineError:
        return False
    if here and (names := [name for name in passwords.missing() if name in passwords.SERVICE]):
        raise CommandError(
            f"The stack runs in containers, but .env has no {', '.join(names)}: "
            f"bring it back, or run `{just('up')}` for new ones."
        )
    # Another project may have been started from here.
    if project() not in here:
        return False
    engine.require_compose()
    return True


def was_used() -> bool:
    """Return whether `just up` has ever prepared this folder for containers."""
    return len(passwords.missing()) < len(passwords.NAMES)


def prepare() -> list[str]:
    """Write what `.env` lacks, and return the names of the secrets among it.

    Raises CommandError if the containers of another folder have this project's name.
    """
    found = engine.containers("--all")
    names = passwords.missing()
    lines: dict[str, str] = {}
    if "POSTGRES_PASSWORD" in names and NAME not in read_env_file(ENV_FILE):
        # The name that compose derives itself need not be written.
        name = next(iter(_projects_here(found)), new_name(ROOT))
        lines = {} if name == folder_name(ROOT) else {NAME: name}
    _require_own_name(lines.get(NAME) or project(), found)
    if names or lines:
        passwords.write(names, lines)
    return names


def has_data() -> bool:
    """Return whether a stack of this name has left its data, here or in another folder."""
    volume = f"name=^{project()}_data$"
    return bool(engine.ask("docker", "volume", "ls", "--quiet", "--filter", volume))


def project() -> str:
    """Return the name of this project: of `.env`, else of the folder, as compose forms it."""
    return read_env_file(ENV_FILE).get(NAME) or folder_name(ROOT) or new_name(ROOT)


def folder_name(path: Path) -> str:
    """Return the project name that compose derives from a folder; it may be empty."""
    return re.sub(r"[^a-z0-9_-]", "", path.name.lower()).lstrip("_-")


def new_name(path: Path) -> str:
    """Return a name that is unique to this folder, unless compose uses its name unchanged."""
    name = folder_name(path)
    return name if name == path.name else f"{name or DEFAULT}-{sha256(bytes(path)).hexdigest()[:8]}"


def _projects_here(found: list[tuple[str, str]]) -> set[str]:
    return {name for name, folder in found if os.path.realpath(folder) == str(ROOT)}


def _require_own_name(name: str, found: list[tuple[str, str]]) -> None:
    folders = {folder for other, folder in found if other == name}
    if others := sorted(path for path in folders if os.path.realpath(path) != str(ROOT)):
        raise CommandError(
            f"The containers of {others[0]} have the project name {name} too: "
            f"write another name to .env, such as {NAME}={name}-2."
        )


def environment(**values: str) -> dict[str, str]:
    """Return compose's environment: `.env`, overridden by the settings, overridden by `values`."""
    file = {
        name: text for name, text in read_env_file(ENV_FILE).items() if name not in PASSED | DOCKER
    }
    outer = file | engine.docker_environment()
    return outer | indexes.for_build(os.environ) | {NAME: project()} | values


def run(*arguments: str, **values: str) -> int:
    """Run compose in the repository's root and return its exit code."""
    command = [*DOCKER_COMPOSE, "--progress", "quiet", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(**values), check=False).returncode


def must(*arguments: str, **values: str) -> None:
    """Run compose. Raises CommandError if it fails; compose itself prints the reason."""
    if run(*arguments, **values):
        raise CommandError(f"`docker compose {arguments[0]}` failed, for the reason above.")


def build(tag: str = "latest") -> None:
    """Build the image. Raises CommandError with the end of what the build printed if it fails.

    By docker itself: compose writes the folder's path unquoted into a file for `buildx bake`.
    """
    values = environment(DOCKER_BUILDKIT="1")
    command = [
        *("docker", "build", "--progress", "plain", "--tag", f"{project()}-api:{tag}"),
        *("--label", f"com.docker.compose.project={project()}"),
        *("--network", values["BUILD_NETWORK"]),
        *("--secret", "id=environment,env=BUILD_ENVIRONMENT"),
        *("--secret", f'id=certificates,"src={values["BUILD_CERTIFICATES"]}"'),
        ".",
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=values,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()][-BUILD_LINES:]
        raise CommandError("The build of the image failed. Its last lines:\n" + "\n".join(lines))


def ask(*arguments: str) -> str:
    """Return what compose knows. Raises EngineError: it fails, or there is no answer in time."""
    return engine.ask(*DOCKER_COMPOSE, *arguments, environment=environment())


def output(*arguments: str) -> str:
    """Return what compose prints. Raises CommandError with its reason if it fails."""
    return _output(*DOCKER_COMPOSE, *arguments)


def docker(*arguments: str) -> str:
    """Return what docker prints. Raises CommandError with its reason if it fails."""
    return _output("docker", *arguments)


def inspect(container: str) -> Any:
    """Return what docker knows of a container."""
    [found] = json.loads(engine.ask("docker", "inspect", container))
    return found


def _output(*command: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandError(f"`{' '.join(command[:2])}` failed: {done.stderr.strip()}")
    return done.stdout


def main(arguments: list[str]) -> int:
    """Become compose, with these arguments; the first ones may be `NAME=value`."""
    values = {}
    while arguments and re.match("[A-Z_]+=", arguments[0]):
        name, _, value = arguments.pop(0).partition("=")
        values[name] = value
    os.chdir(ROOT)
    command = [*DOCKER_COMPOSE, "--progress", "quiet", *arguments]
    try:
        os.execvpe(command[0], command, environment(**values))
    except FileNotFoundError:
        return complain(CommandError("The program `docker` is not on the PATH."))
    except (CommandError, SettingsError) as error:
        return complain(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
