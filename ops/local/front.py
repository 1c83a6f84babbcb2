"""The front of the local stack: the addresses that clients use."""

import socket
from ipaddress import ip_address

from ops import ports
from service.settings import Settings


def hosts(settings: Settings) -> list[str]:
    """Return the addresses to listen on: with 127.0.0.1 also ::1, if this machine has it."""
    host = settings.http_host
    return [host, "::1"] if host == "127.0.0.1" and ports.has_address("::1") else [host]


def binds(settings: Settings) -> list[str]:
    """Return the same with the port, as `HOST:PORT`."""
    return [f"{_bracketed(host)}:{settings.http_port}" for host in hosts(settings)]


def url(settings: Settings) -> str:
    """Return a URL of the front that works on this machine."""
    host = "localhost" if _is_everywhere(settings) else _bracketed(settings.http_host)
    return f"http://{host}:{settings.http_port}"


def elsewhere(settings: Settings) -> str | None:
    """Return a URL for other machines if the front listens on all addresses of this one."""
    return (
        f"http://{socket.gethostname()}:{settings.http_port}" if _is_everywhere(settings) else None
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_everywhere(settings: Settings) -> bool:
    return ip_address(settings.http_host).is_unspecified
