"""A new image, replica by replica, without losing a request.

nginx stops sending to a replica before the replica stops: otherwise requests would be lost when it
stops listening (docs/decisions/0009-deploy.md).
"""

import json
import time

from ops.console import CommandError, just
from ops.containers import compose, engine, upstream
from ops.local import stack
from service.settings import Settings

READY_SECONDS = 90
INTERVAL = 0.2


def run(settings: Settings, _arguments: list[str]) -> int:
    """Build, migrate and replace; roll back if a new replica does not become ready."""
    with stack.alone(stack.state_of(settings)):
        found = _all_replicas() if compose.runs() else []
        if not found:
            raise CommandError(
                f"The stack does not run in containers: start it with `{just('up')}`."
            )
        upstream.check()
        latest, previous = images()
        running = replicas()
        # The running image, which is not always the last build.
        compose.docker("tag", compose.inspect((running or found)[0])["Image"], previous)
        try:
            compose.build()
            for step in ("roles", "migrate"):
                compose.must("run", "--rm", "--no-deps", step)
            replace(running, len(found))
        except BaseException as error:
            _roll_back(latest, previous, len(found), error)
            raise
        # The images of earlier deployments, which nothing uses.
        label = f"com.docker.compose.project={latest.removesuffix('-api:latest')}"
        compose.docker("image", "prune", "--force", "--filter", f"label={label}")
    print(f"Deployed: {len(replicas())} new replicas.")
    return 0


def _roll_back(latest: str, previous: str, count: int, reason: BaseException) -> None:
    compose.docker("tag", previous, latest)
    try:
        replace(stale(), count)
    except CommandError as error:
        raise CommandError(
            f"{reason}\nThe previous replicas could not be restored either: {error}\n"
            f"Look at `{just('ps')}` and `{just('logs')}`."
        ) from reason
    if isinstance(reason, CommandError):
        raise CommandError(f"{reason}\nThe previous replicas were restored.") from reason


def images() -> tuple[str, str]:
    """Return the names of the latest and of the previous image."""
    configuration = json.loads(compose.ask("config", "--format", "json"))
    name = configuration["services"]["api"]["image"].removesuffix(":latest")
    return f"{name}:latest", f"{name}:previous"


def stale() -> list[str]:
    """Return the replicas that do not run the latest image."""
    return [one for one in replicas() if compose.inspect(one)["Image"] != _latest()]


def replicas() -> list[str]:
    """Return the running containers of the service, without those being restarted."""
    return sorted(compose.ask("ps", "--quiet", "--status", "running", "api").split())


def replace(outdated: list[str], count: int) -> None:
    """Replace these replicas, one after another, by ones of the latest image; leave `count`."""
    for ended in set(_all_replicas()) - set(replicas()):
        # `--scale` would count it, and restart it instead of a new one.
        compose.docker("rm", "--force", ended)
    try:
        for old in outdated:
            _replace(old)
        _scale(count)
        for one in replicas():
            _wait_until_healthy(one)
        # An older version names this service differently: its container is an orphan.
        compose.must("up", "--detach", "--no-deps", "--no-build", "--remove-orphans", "maintenance")
    finally:
        upstream.send_to_all()


def _replace(old: str) -> None:
    before = _all_replicas()
    try:
        _scale(len(before) + 1)
        [new] = set(_all_replicas()) - set(before)
        _wait_until_healthy(new)
    except BaseException:
        for added in set(_all_replicas()) - set(before):
            compose.docker("rm", "--force", added)
        raise
    # From here on nginx may send requests to the new one, so it stays, whatever fails.
    upstream.send_to([one for one in replicas() if one != old])
    # Docker waits for the drain and the requests in flight.
    compose.docker("stop", old)
    compose.docker("rm", old)


def _scale(count: int) -> None:
    kept = ("--no-deps", "--no-recreate", "--no-build")
    compose.must("up", "--detach", *kept, "--scale", f"api={count}", "api")


def _wait_until_healthy(container: str) -> None:
    if compose.inspect(container)["Image"] != _latest():
        raise CommandError("The new replica does not run the image that was built.")
    deadline = time.monotonic() + READY_SECONDS
    while compose.inspect(container)["State"]["Health"]["Status"] != "healthy":
        if compose.inspect(container)["RestartCount"] or time.monotonic() > deadline:
            log = compose.docker("logs", "--tail", "15", container)
            raise CommandError(f"The new replica did not become ready. The end of its log:\n{log}")
        time.sleep(INTERVAL)


def _all_replicas() -> list[str]:
    return compose.ask("ps", "--all", "--quiet", "api").split()


def _latest() -> str:
    return engine.ask("docker", "image", "inspect", "--format", "{{.Id}}", images()[0]).strip()
