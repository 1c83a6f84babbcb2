"""The address of a client, behind trusted proxies and without."""

from typing import Any

import pytest

from service.client import Addresses, network_of

NETWORKS = ("10.0.0.0/8", "2001:db8::/32")


def scope(peer: str | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"host", b"localhost"), *((b"x-forwarded-for", f.encode()) for f in forwarded)]
    return {"client": peer and (peer, 5000), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        # Of a peer that is no trusted proxy, the header is ignored.
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", ["192.0.2.1"], "192.0.2.7"),
        # What a client writes itself comes before what the proxies add.
        ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["192.0.2.9, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["192.0.2.9", "192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["192.0.2.1, 10.0.0.2,10.0.0.3"], "192.0.2.1"),
        ("2001:db8::1", ["2001:DB9:0::1"], "2001:db9::1"),
        # A client in a trusted network, and proxies that add nothing, or what is no address.
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["", ","], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["192.0.2.1:80"], "10.0.0.1"),
        # More proxies than are read.
        ("10.0.0.1", ["192.0.2.1" + ",10.0.0.2" * 49], "192.0.2.1"),
        ("10.0.0.1", ["192.0.2.1" + ",10.0.0.2" * 51], "10.0.0.2"),
        ("::ffff:10.0.0.1", ["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1"),
        ("10.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1"),
        # A Unix domain socket.
        (None, ["192.0.2.1"], "192.0.2.1"),
        (None, [], ""),
        # The test client of Quart.
        ("<local>", ["192.0.2.1"], "<local>"),
    ],
)
def test_the_address_is_the_last_one_that_is_no_trusted_proxy(
    peer: str | None, forwarded: list[str], address: str
) -> None:
    assert Addresses(NETWORKS).address_of(scope(peer, *forwarded)) == address


@pytest.mark.parametrize(("peer", "address"), [("10.0.0.1", "10.0.0.1"), (None, "")])
def test_without_trusted_proxies_the_header_is_ignored(peer: str | None, address: str) -> None:
    assert Addresses(()).address_of(scope(peer, "192.0.2.1")) == address


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "20010db800010002"),
        ("2001:db8:1:2::", "20010db800010002"),
        # Not a mapped IPv4 address.
        ("::ffff:0:102:304", "0000000000000000"),
        ("fe80::1%eth0", "fe80000000000000"),
        ("", ""),
    ],
)
def test_a_client_is_an_ipv4_address_or_64_bits_of_an_ipv6_address(host: str, network: str) -> None:
    assert network_of(host) == network
