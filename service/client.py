"""The client of a request: its address, and the network that counts as one client."""

import socket
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from service import limits

# The network of the client of the current request.
CLIENT = ContextVar("CLIENT", default="")
# How many addresses and networks are cached.
CACHED = 1000


@lru_cache(CACHED)
def network_of(host: str) -> str:
    """Return the part of an address that identifies a client: IPv4, or 64 bits of IPv6.

    All clients of a Unix domain socket, which have no address, count as one.
    """
    mapped = host.removeprefix("::ffff:")
    if ":" not in mapped:
        return mapped
    return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:8].hex()


class Addresses:
    """Determines the addresses of clients behind trusted proxies."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        """Trust the `X-Forwarded-For` of these networks."""
        self._networks = [ip_network(network) for network in trusted_proxies]
        self._is_trusted = lru_cache(CACHED)(self._find)

    def address_of(self, scope: Mapping[str, Any]) -> str:
        """Return the address of the client of a request, "" for that of a Unix domain socket.

        It is the last one in `X-Forwarded-For` that is not itself that of a trusted proxy.
        """
        found: str = (scope.get("client") or ("",))[0]
        if not self._networks or not self._is_trusted(found):
            return found
        values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        forwarded = b",".join(values).decode("latin-1").rsplit(",", limits.HEADER_ITEMS.value)
        for item in reversed(forwarded):
            address = _parse(item.strip())
            if address is None:
                break
            found = str(address)
            if not self._is_trusted(found):
                break
        return found

    def _find(self, host: str) -> bool:
        if not host:
            # Only the proxy may use the socket.
            return True
        address = _parse(host)
        return address is not None and any(address in network for network in self._networks)


@lru_cache(CACHED)
def _parse(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    # Of an IPv4 client, if the service listens on an IPv6 address too.
    return getattr(address, "ipv4_mapped", None) or address
