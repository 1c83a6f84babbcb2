"""The stack in containers: start, stop and look."""

import json
import os
import sys

from local import compose, nginx, ports, welcome
from local.console import CommandError, just
from service.settings import ROOT, load_settings


def up() -> int:
    """Build, start, wait until all is healthy, and print the welcome."""
    added = compose.write_secrets()
    if added:
        print(f"Wrote random values for {', '.join(added)} to .env, which git ignores.")
    settings = load_settings()
    if compose.output("ps", "--quiet", "api"):
        # A build of now replaces what runs replica by replica, or not at all.
        compose.must("up", "--detach", "--wait", "--no-recreate", "--no-deps", "nginx")
        print(f"It runs already; `{just('deploy')}` brings a new build.")
        welcome.show(f"http://127.0.0.1:{settings.http_port}", settings)
        return 0
    if not compose.output("ps", "--quiet", "nginx"):
        ports.require_free(settings.http_port)
    print("Building and starting the containers.", flush=True)
    if compose.run("up", "--detach", "--build", "--wait", **nginx.values(settings)):
        compose.run("logs", "--no-color", "--tail", "15")
        compose.run("down")
        raise CommandError(
            "The containers did not become ready, for the reason above; all are stopped again.\n"
            f"Mend it, then run `{just('up')}` again."
        )
    welcome.show(f"http://127.0.0.1:{settings.http_port}", settings)
    return 0


def down() -> int:
    """Stop and remove the containers; the volume with the data stays."""
    compose.must("down")
    print("Stopped. The data stay.")
    return 0


def ps() -> int:
    """Print what runs; return 0 when all of it does."""
    found = [json.loads(line) for line in compose.output("ps", "--format", "json").splitlines()]
    for one in found:
        print(f"{one['Name']:<24} {one['Status']}")
    return 0 if all(one["Health"] == "healthy" for one in found) else 1


def logs() -> int:
    """Follow all logs, until Ctrl-C."""
    os.chdir(ROOT)
    os.execvp("docker", ["docker", "compose", "logs", "--follow", "--tail", "20"])


def psql(arguments: list[str]) -> int:
    """Open a SQL prompt in the container of PostgreSQL."""
    terminal = [] if sys.stdin.isatty() else ["--no-TTY"]
    prompt = ["psql", "--username=postgres", "--dbname=flusk", *arguments]
    return compose.run("exec", *terminal, "postgres", *prompt)


def migrate() -> int:
    """Apply the migrations of the working tree."""
    compose.must("build", "--quiet", "api")
    return compose.run("run", "--rm", "--no-deps", "--quiet-pull", "migrate")
