"""Which replicas nginx sends requests to."""

import time

from ops.containers import compose

# Longer than nginx gives its workers to end.
TAKE_OVER_SECONDS = 90
INTERVAL = 0.2
START = ("nginx", "/flusk/start.sh")
RELOAD = (*START, "reload")


def check() -> None:
    """Raise CommandError where nginx would not take its configuration over."""
    compose.output("exec", "--no-TTY", *START, "check")


def send_to(containers: list[str]) -> None:
    """Have nginx send requests to these replicas alone, and wait until it does."""
    servers = "".join(f"server {_address(one)}:5000 max_fails=0;" for one in containers)
    upstream = f"NGINX_UPSTREAM=zone service 1m; {servers}"
    compose.output("exec", "--no-TTY", "--env", upstream, *RELOAD)
    _wait_until_taken_over()


def send_to_all() -> None:
    """Have nginx ask Docker's name server again, and so see each replica, and `--scale`."""
    compose.output("exec", "--no-TTY", *RELOAD)


def _wait_until_taken_over() -> None:
    """Wait for the workers of before, which answer their idle clients for some seconds more."""
    # The brackets keep the pattern from finding its own command line.
    leaving = "grep -qs '[s]hutting down' /proc/[0-9]*/cmdline && echo yes || echo no"
    deadline = time.monotonic() + TAKE_OVER_SECONDS
    while compose.output("exec", "--no-TTY", "nginx", "sh", "-c", leaving).strip() == "yes":
        if time.monotonic() > deadline:
            return  # nginx ends them by itself now: see worker_shutdown_timeout.
        time.sleep(INTERVAL)


def _address(container: str) -> str:
    networks = compose.inspect(container)["NetworkSettings"]["Networks"]
    [address] = [net["IPAddress"] for name, net in networks.items() if name.endswith("_backend")]
    return str(address)
