"""Many concurrent clients that do not read, do not finish, give up, or only hold a connection."""

from collections.abc import Callable, Sequence

from benchmarks.attacks.bodies import CSV, NDJSON, POST
from benchmarks.attacks.heads import numbered
from benchmarks.attacks.http2 import resets, streams
from benchmarks.attacks.target import JSON, Input, Target, request
from benchmarks.collection import TARGET

BUNDLE = b"/docs/swagger-ui/swagger-ui-bundle.js"
HALF = b"\r\nX: y"
MIB = 1 << 20


def crowd(
    name: str,
    packets: Callable[[Target], Sequence[bytes]],
    seconds: float,
    *,
    reads: bool = False,
    requests: int = 1,
) -> Input:
    """Return an input of clients who do what they do for some seconds, and then leave."""

    def attack(target: Target) -> int:
        return target.flood(packets(target), seconds, reads=reads)

    return Input(name, attack, requests, is_crowd=True)


def same(count: int, data: bytes) -> Callable[[Target], Sequence[bytes]]:
    """Return the same bytes for each client."""
    return lambda target: [target.signed(data)] * count


def unfinished(type_: bytes, size: int, byte: bytes) -> bytes:
    """Return a request whose body lacks its end."""
    return request(POST, type_, b"Content-Length: %d" % size) + byte * (size - 1)


EXPORTS = same(30, request(b"GET %s" % TARGET, b"Accept: text/csv"))


def preconditions(target: Target) -> list[bytes]:
    """Return writes, each under a precondition of another number of tags, in a row."""
    rows = []
    for first in range(8):
        numbers = range(first, 160, 8)
        head = [
            request(
                b"PATCH %s/%d" % (TARGET, number + 1),
                JSON,
                b"If-Match: " + numbered(b'"%d",', 20_000 + 200 * number),
                body=b'{"name": "Ada"}',
                last=False,
            )
            for number in numbers
        ]
        rows.append(target.signed(b"".join(head)))
    return rows


CROWDS: list[Input] = [
    crowd(
        "1 000 clients who do not read the bundle",
        same(1000, request(b"GET " + BUNDLE)),
        20,
        requests=1000,
    ),
    crowd(
        "100 clients who ask for 20 bundles each and do not read",
        same(100, request(b"GET " + BUNDLE, last=False) * 20),
        5,
        requests=2000,
    ),
    crowd(
        "HTTP/2: 10 x 100 bundles, and a window of 0",
        lambda target: [streams(target, BUNDLE, 100, window=0)] * 10,
        15,
        reads=True,
        requests=1000,
    ),
    crowd(
        "HTTP/2: 5 000 requests, each cancelled",
        lambda target: [resets(target, b"/livez", 5000)],
        4,
        reads=True,
        requests=5000,
    ),
    crowd("600 unfinished bodies of 1 MiB", same(600, unfinished(JSON, MIB, b" ")), 12),
    crowd("200 unfinished imports of 4 MiB", same(200, unfinished(NDJSON, 4 * MIB, b"x")), 8),
    crowd("50 imports of blank lines, given up", same(50, unfinished(NDJSON, MIB, b"\n")), 0.1),
    crowd("50 imports of blank lines", same(50, unfinished(NDJSON, 4 * MIB, b"\n")), 5),
    crowd("50 imports of quotes, given up", same(50, unfinished(CSV, MIB, b'"')), 0.1),
    crowd(
        "30 exports that are not read",
        EXPORTS,
        5,
    ),
    crowd(
        "30 exports that are given up",
        EXPORTS,
        0.2,
    ),
    crowd("2 000 idle connections", same(2000, b""), 5, requests=2000),
    crowd("1 000 heads without an end", same(1000, b"GET / HTTP/1.1" + HALF), 5, requests=1000),
    crowd("200 heads of 60 kB without an end", same(200, b"GET /" + b"x" * 60_000), 5),
    crowd(
        "2 000 connections that ask and read",
        same(2000, request(b"GET %s?limit=1" % TARGET)),
        8,
        reads=True,
        requests=2000,
    ),
    crowd(
        "300 pages of 200 at once",
        same(300, request(b"GET %s?limit=200" % TARGET)),
        6,
        reads=True,
        requests=300,
    ),
    crowd("160 preconditions of thousands of tags", preconditions, 15, reads=True, requests=160),
]
