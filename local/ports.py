"""TCP ports of this machine."""

import socket
from errno import EACCES

from local.console import CommandError, just


def require_free(port: int) -> None:
    """Raise CommandError where the port can't be opened."""
    try:
        with _bound(port):
            pass
    except OSError as error:
        if error.errno == EACCES:
            raise CommandError(
                f"Port {port} is reserved for the system's administrator. "
                f"Choose one above 1023: HTTP_PORT=8080 {just('up')}"
            ) from error
        raise CommandError(
            f"Port {port} is taken by another program. "
            f"Stop that program, or choose another port: HTTP_PORT={_another(port)} {just('up')}"
        ) from error


def find_free() -> int:
    """Return a port that nobody uses now."""
    with _bound(0) as listener:
        return int(listener.getsockname()[1])


def _another(port: int) -> int:
    return port + 1 if port < 65535 else 8080  # noqa: PLR2004


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        # As the servers do: connections that have just ended don't hold the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    return listener
