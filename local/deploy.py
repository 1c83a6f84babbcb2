"""A new image, replica by replica, without losing a request.

nginx stops sending to a replica before that is told to stop: a replica that is still asked while
it closes its door loses what was on its way (docs/decisions/0009-deploy.md).
"""

import json
import time
from typing import Any

from local import compose
from local.console import CommandError, just

READY_SECONDS = 90
# Longer than nginx gives its workers to end.
TAKE_OVER_SECONDS = 90
INTERVAL = 0.2


def run() -> int:
    """Build, migrate and replace; roll back where a new replica does not become ready."""
    if not replicas():
        raise CommandError(f"The stack does not run in containers: start it with `{just('up')}`.")
    latest, previous = images()
    compose.docker("tag", latest, previous)
    compose.must("build", "--quiet", "api")
    try:
        compose.must("run", "--rm", "--no-deps", "migrate")
        replace(replicas())
    except CommandError as error:
        compose.docker("tag", previous, latest)
        replace(stale())
        raise CommandError(f"{error}\nThe replicas are those of before again.") from error
    print(f"Deployed: {len(replicas())} new replicas.")
    return 0


def images() -> tuple[str, str]:
    """Return the names of the image that runs and of the one before it."""
    configuration = json.loads(compose.output("config", "--format", "json"))
    name = configuration["services"]["api"]["image"].removesuffix(":latest")
    return f"{name}:latest", f"{name}:previous"


def stale() -> list[str]:
    """Return the replicas that do not run the latest image."""
    latest = compose.docker("image", "inspect", "--format", "{{.Id}}", images()[0]).strip()
    return [one for one in replicas() if _inspect(one)["Image"] != latest]


def replace(outdated: list[str]) -> None:
    """Replace these replicas, one after another, by ones of the latest image."""
    try:
        for old in outdated:
            _replace(old)
    finally:
        # From here on nginx asks Docker's name server again, and so sees `--scale`.
        compose.output("exec", "--no-TTY", "nginx", "/start.sh", "reload")


def replicas() -> list[str]:
    """Return the containers of the service."""
    return sorted(compose.output("ps", "--quiet", "api").split())


def _replace(old: str) -> None:
    before = replicas()
    scale = f"api={len(before) + 1}"
    compose.must(
        "up", "--detach", "--no-deps", "--no-recreate", "--no-build", "--scale", scale, "api"
    )
    [new] = set(replicas()) - set(before)
    try:
        _wait_until_healthy(new)
    except CommandError:
        compose.docker("rm", "--force", new)
        raise
    _send_to([one for one in replicas() if one != old])
    # Docker waits for the drain and the requests in flight: `stop_grace_period`.
    compose.docker("stop", "--time", "60", old)
    compose.docker("rm", old)


def _wait_until_healthy(container: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while _inspect(container)["State"]["Health"]["Status"] != "healthy":
        if _inspect(container)["RestartCount"] or time.monotonic() > deadline:
            log = compose.docker("logs", "--tail", "15", container)
            raise CommandError(f"The new replica did not become ready. The end of its log:\n{log}")
        time.sleep(INTERVAL)


def _send_to(containers: list[str]) -> None:
    """Have nginx send requests to these replicas alone."""
    servers = "".join(f"server {_address(one)}:5000 max_fails=0;" for one in containers)
    upstream = f"NGINX_UPSTREAM=zone service 64k; {servers}"
    compose.output("exec", "--no-TTY", "--env", upstream, "nginx", "/start.sh", "reload")
    _wait_until_taken_over()


def _wait_until_taken_over() -> None:
    """Wait for the workers of before, which answer their idle clients for some seconds more."""
    leaving = "grep -qs 'shutting down' /proc/[0-9]*/cmdline && echo yes || echo no"
    deadline = time.monotonic() + TAKE_OVER_SECONDS
    while compose.output("exec", "--no-TTY", "nginx", "sh", "-c", leaving).strip() == "yes":
        if time.monotonic() > deadline:
            return  # nginx ends them by itself now: see worker_shutdown_timeout.
        time.sleep(INTERVAL)


def _address(container: str) -> str:
    networks = _inspect(container)["NetworkSettings"]["Networks"]
    [address] = [net["IPAddress"] for name, net in networks.items() if name.endswith("_backend")]
    return str(address)


def _inspect(container: str) -> Any:
    [found] = json.loads(compose.docker("inspect", container))
    return found
