"""The stack in containers: start, stop and status."""

import json
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

from ops import ports
from ops.console import CommandError, just
from ops.containers import compose, passwords, upstream
from ops.local import stack, welcome
from ops.local.readiness import ask
from service.name import DATABASE
from service.settings import ROOT, Settings, load_settings

READY_SECONDS = 30
REPLICAS = 2
INTERVAL = 0.2
# One-shot services.
ONE_SHOTS = {"migrate", "roles"}
# Mounted into containers, which run as other users.
MOUNTED = ("nginx", "observe", "postgres")
# Compose's profile of Prometheus and Grafana, which run only on request.
OBSERVE = {"COMPOSE_PROFILES": "observe"}
# Separate from `latest`: only `just deploy` changes what the replicas run.
TAG = "migrate"


def up(settings: Settings, *, observe: bool = False) -> int:
    """Build, start, wait until all is healthy, and print the welcome; `observe`: with Grafana."""
    profile = OBSERVE if observe else {}
    with stack.alone(stack.state_of(settings)):
        if added := compose.prepare():
            print(f"Wrote random values for {', '.join(added)} to .env, which git ignores.")
            if "POSTGRES_PASSWORD" in added and compose.has_data():
                print(f"An earlier stack called {compose.project()} left its data: they are used.")
        settings = load_settings()
        url = f"http://127.0.0.1:{settings.http_port}"
        for name in MOUNTED:
            _let_others_read(ROOT / name)
        if not compose.ask("ps", "--quiet", "nginx"):
            ports.require_free(settings.http_port, ports.everywhere())
        if observe and not compose.ask("ps", "--quiet", "grafana"):
            ports.require_free(settings.grafana_port, ["127.0.0.1"], "GRAFANA_PORT", "up observe")
        if compose.ask("ps", "--quiet", "api") and not set(added) & set(passwords.SERVICE):
            # Restarts what has ended. Only `just deploy` replaces running containers.
            count = max(REPLICAS, len(compose.ask("ps", "--all", "--quiet", "api").split()))
            kept = ("--no-recreate", "--no-build", "--scale", f"api={count}")
            compose.must("up", "--detach", "--wait", *kept, **profile)
            upstream.send_to_all()
            print(f"The stack is already running; `{just('deploy')}` deploys a new build.")
        else:
            print("Building and starting the containers.", flush=True)
            _start(profile)
        _wait_until_ready(url)
    grafana = f"http://127.0.0.1:{settings.grafana_port}"
    note = f"Grafana: {grafana}, user `admin`, password GRAFANA_PASSWORD in .env"
    welcome.show(url, settings, note if observe else "")
    return 0


def _start(profile: dict[str, str]) -> None:
    compose.build()
    try:
        failed = compose.run("up", "--detach", "--no-build", "--wait", **profile)
    except BaseException:
        # Ctrl-C: remove the incomplete stack.
        compose.run("down", **OBSERVE)
        raise
    if failed:
        compose.run("logs", "--no-color", "--tail", "15", **profile)
        compose.run("down", **OBSERVE)
        raise CommandError(
            "The containers did not become ready, for the reason above, and were stopped.\n"
            f"Fix the cause, then run `{just('up')}` again."
        )


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while (answer := ask(f"{url}/readyz")) != "200":
        if time.monotonic() > deadline:
            raise CommandError(
                f"{url}/readyz is not ready after {READY_SECONDS} s: {answer}. "
                f"Look at `{just('ps')}` and `{just('logs')}`."
            )
        time.sleep(INTERVAL)


def readable_mode(path: Path) -> int:
    """Return the mode of a file or folder with which every user may read it."""
    mode = path.stat().st_mode
    return mode | (0o555 if mode & stat.S_IXUSR else 0o444)


def _let_others_read(path: Path) -> None:
    wanted = readable_mode(path)
    if path.stat().st_mode != wanted:  # A clone under umask 077.
        try:
            path.chmod(wanted)
        except OSError as error:
            raise CommandError(
                f"{path} must be readable for the users of the containers, and its mode can't be "
                f"changed: {error.strerror}. Run `chmod -R a+rX {' '.join(MOUNTED)}` as its owner."
            ) from error
    for entry in path.iterdir() if path.is_dir() else ():
        _let_others_read(entry)


def down(settings: Settings) -> int:
    """Stop and remove the containers; the volume with the data stays."""
    with stack.alone(stack.state_of(settings)):
        compose.must("down", **OBSERVE)
    print("Stopped. The data are kept.")
    return 0


def ps() -> int:
    """Print all containers; return 0 if all are healthy or, for one-shots, have succeeded."""
    found = listed()
    width = max((len(one["Name"]) for one in found), default=0)
    for one in found:
        print(f"{one['Name']:<{width}}  {one.get('Status') or one['State']}")
    return 0 if all(map(is_well, found)) else 1


def listed() -> list[dict[str, Any]]:
    """Return the containers of the stack, as compose describes them."""
    return _parse(compose.ask("ps", "--all", "--format", "json"))


def _parse(text: str) -> list[dict[str, Any]]:
    """Return compose's list: since 2.21 an object per line, before one array."""
    values = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [one for value in values for one in (value if isinstance(value, list) else [value])]


def is_well(one: dict[str, Any]) -> bool:
    """Return whether a container is healthy or, as a one-shot, has succeeded."""
    if one["Service"] in ONE_SHOTS:
        return bool(one["State"] == "exited" and one["ExitCode"] == 0)
    # An image without a shell has no health check.
    return bool(one["State"] == "running" and one["Health"] in {"healthy", ""})


def logs() -> int:
    """Follow all logs, until Ctrl-C."""
    command = ["logs", "--follow", "--tail", "20"]
    profile = [f"{name}={value}" for name, value in OBSERVE.items()]
    os.execv(compose.COMMAND[0], [*compose.COMMAND, *profile, *command])


def psql(arguments: list[str]) -> int:
    """Open a SQL prompt in the container of PostgreSQL."""
    terminal = [] if sys.stdin.isatty() else ["--no-TTY"]
    prompt = ["psql", "--username=postgres", f"--dbname={DATABASE}", *arguments]
    return compose.run("exec", *terminal, "postgres", *prompt)


def migrator() -> list[str]:
    """Build an image of the working tree and return the command that runs Python in it."""
    compose.build(TAG)
    run = ["run", "--rm", "--no-deps", "--no-TTY", "migrate", "python"]
    return [*compose.COMMAND, f"IMAGE_TAG={TAG}", *run]
