"""Origins as browsers send them (RFC 6454, section 6.2, and the URL standard)."""

import re
from ipaddress import ip_address

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_PORT = 65_535
ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)"
    r"(?::(?P<port>[0-9]*))?/?"
)
# In the URL standard, a host whose last label is a number is an IPv4 address.
ADDRESS = re.compile(r"\[.*\]|(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")


def parse_origin(text: str) -> str:
    """Return an origin as a browser sends it: in lower case, without a default port.

    Raises ValueError if no browser can send it; the message says what to write.
    """
    found = ORIGIN.fullmatch(text.lower())
    if found is None:
        raise ValueError(
            f"{text} is not an origin that a browser sends: write scheme, host and port in ASCII, "
            "such as http://localhost:8080, without a path or wildcard; * alone is every origin"
        )
    scheme, host, port = found["scheme"], found["host"], found["port"]
    if ADDRESS.fullmatch(host):
        host = _address(text, host)
    if not port or int(port) == DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    if int(port) > MAX_PORT:
        raise ValueError(f"{text}: a port is at most {MAX_PORT}")
    return f"{scheme}://{host}:{int(port)}"


def _address(text: str, host: str) -> str:
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        raise ValueError(f"{text}: {host} is not a valid IP address") from None
    return f"[{address}]" if host.startswith("[") else str(address)
