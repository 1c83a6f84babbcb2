"""The replicas that nginx sends requests to."""

import time

from ops.containers import compose

# Longer than nginx waits for its workers to exit.
TAKE_OVER_SECONDS = 90
INTERVAL = 0.2
START = ("nginx", "/flusk/start.sh")
RELOAD = (*START, "reload")


def check() -> None:
    """Raise CommandError if nginx would reject its configuration."""
    compose.output("exec", "--no-TTY", *START, "check")


def send_to(containers: list[str]) -> None:
    """Make nginx send requests only to these replicas, and wait until it does."""
    servers = "".join(f"server {_address(one)}:5000 max_fails=0;" for one in containers)
    upstream = f"NGINX_UPSTREAM=zone service 1m; {servers}"
    compose.output("exec", "--no-TTY", "--env", upstream, *RELOAD)
    _wait_until_taken_over()


def send_to_all() -> None:
    """Make nginx resolve the name again, to use every replica, also after `--scale`."""
    compose.output("exec", "--no-TTY", *RELOAD)


def _wait_until_taken_over() -> None:
    """Wait for the old workers, which answer idle clients for some seconds more."""
    # The brackets keep the pattern from matching its own command line.
    leaving = "grep -qs '[s]hutting down' /proc/[0-9]*/cmdline && echo yes || echo no"
    deadline = time.monotonic() + TAKE_OVER_SECONDS
    while compose.output("exec", "--no-TTY", "nginx", "sh", "-c", leaving).strip() == "yes":
        if time.monotonic() > deadline:
            return  # nginx now ends them itself: see worker_shutdown_timeout.
        time.sleep(INTERVAL)


def _address(container: str) -> str:
    networks = compose.inspect(container)["NetworkSettings"]["Networks"]
    [address] = [net["IPAddress"] for name, net in networks.items() if name.endswith("_backend")]
    return str(address)
