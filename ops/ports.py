"""TCP ports of this machine."""

import socket
from collections.abc import Sequence
from errno import EACCES, EADDRINUSE

from ops.console import CommandError, just


def require_free(
    port: int, hosts: Sequence[str], setting: str = "HTTP_PORT", command: str = "up"
) -> None:
    """Raise CommandError if a command can't open the port of its setting on each address."""
    for host in hosts:
        try:
            _bound(host, port).close()
        except OSError as error:
            raise CommandError(_sentence(host, port, error, setting, command)) from error


def find_free() -> int:
    """Return a free port."""
    with _bound("127.0.0.1", 0) as listener:
        return int(listener.getsockname()[1])


def has_address(host: str) -> bool:
    """Return whether this machine can listen on the address."""
    try:
        _bound(host, 0).close()
    except OSError:
        return False
    return True


def everywhere() -> list[str]:
    """Return the wildcard address of this machine."""
    return ["::" if has_address("::") else "0.0.0.0"]  # noqa: S104  # Only to check whether it is free.


def _sentence(host: str, port: int, error: OSError, setting: str, command: str) -> str:
    if error.errno == EACCES:
        return (
            f"Port {port} is reserved for root. "
            f"Choose one above 1023: {setting}=8080 {just(command)}"
        )
    if error.errno == EADDRINUSE:
        return (
            f"Port {port} is taken by another program, on {host}. "
            f"Stop that program, or choose another port: {setting}={_another(port)} {just(command)}"
        )
    return (
        f"HTTP_HOST: this machine can't listen on {host}: {error.strerror}. "
        "Choose an address of this machine, or 0.0.0.0 for all of them."
    )


def _another(port: int) -> int:
    return port + 1 if port < 65535 else 8080  # noqa: PLR2004


def _bound(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        # As the servers do: connections that have just ended don't hold the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == "::":
            # All addresses of both families.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
