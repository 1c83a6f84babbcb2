"""Heads that may be expensive: long lists, many fields, odd bytes, many requests in a row."""

from collections.abc import Callable

from benchmarks.attacks.http2 import streams
from benchmarks.attacks.target import Input, request, single, sized
from benchmarks.collection import TARGET

# Below the limit of a head, and the length of a line that nginx takes.
LONG, LINE = 60_000, 7600
GET, PUT = b"GET %s" % TARGET, b"PUT %s/1" % TARGET
# An error needs a representation too.
ERROR = b"GET %s/0" % TARGET


def repeated(item: bytes, size: int) -> bytes:
    """Return an item as often as the size has room for it."""
    return item * (size // len(item))


def numbered(pattern: bytes, size: int) -> bytes:
    """Return different items, as many as the size has room for."""
    return b"".join(pattern % number for number in range(size // len(pattern % 100_000)))


def long(
    name: bytes, items: Callable[[int], bytes], line: bytes = ERROR, what: str = "a list"
) -> Input:
    """Return a header as long as the service takes it, or in three lines that nginx takes."""
    field = name + b": "
    return sized(
        f"{name.decode()}: {what}",
        request(line, field + items(LONG)),
        request(line, *[field + items(LINE)] * 3),
    )


UPGRADE = request(GET, b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__", last=False)
RANGES: dict[str, Callable[[int], bytes]] = {
    "ranges with a q": lambda size: repeated(b"a/b;q=0.1,", size),
    "single letters": lambda size: repeated(b"a,", size),
    "slashes": lambda size: repeated(b"/,", size),
    "ranges of a type": lambda size: repeated(b"a/*,", size),
    "different types": lambda size: numbered(b"a/b%d,", size),
    "parameters": lambda size: b"a/b;" + repeated(b"a=b;", size),
    "escaped quotes": lambda size: b'a/b;c="' + repeated(b'\\"', size - 10) + b'"',
    "quotes": lambda size: repeated(b'"",', size),
    "quotes without an end": lambda size: repeated(b'a/b;c="x', size),
}

# Without these names nothing parses the others.
FORMS = (
    ("an error", b"application/problem+json;q=0.1,", ERROR),
    ("a page", b"text/csv;q=0.001,", b"GET %s?limit=1" % TARGET),
)


def listed_after(first: bytes, items: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Return items behind a first one, by the length of all."""
    return lambda size: first + items(size - len(first))


HEADS = [
    single("30 000 spaces and a NUL in a field", request(GET, b"X:" + b" " * 30_000 + b"\x00")),
    single("30 000 tabs and a NUL in a field", request(GET, b"X:a" + b"\t" * 30_000 + b"\x00")),
    single("30 000 spaces in the first line", request(b"GET " + b" " * 30_000 + b"/")),
    single("15 000 fields of a letter", request(GET, *[b"a:"] * 15_000)),
    single("9 000 different fields", request(GET, *(b"%d:" % one for one in range(9000)))),
    single("99 fields of 300 B", request(GET, *(b"x%d: %b" % (n, b"y" * 300) for n in range(99)))),
    single("a folded field of 15 000 lines", request(GET, b"a: b" + b"\r\n c" * 15_000)),
    *(
        long(b"Accept", listed_after(first, items), line, f"{what}, for {form}")
        for what, items in RANGES.items()
        for form, first, line in FORMS
    ),
    single(
        "Accept: slashes, 3 x 7.6 kB",
        request(ERROR, *[b"Accept: application/problem+json," + b"/," * 3700] * 3),
    ),
    long(b"Accept-Encoding", lambda size: numbered(b"a%d;q=0.1,", size), GET),
    long(b"Accept-Language", lambda size: numbered(b"a%d;q=0.1,", size), GET),
    long(b"Prefer", lambda size: repeated(b"a=b;c,", size), GET),
    long(b"If-Match", lambda size: numbered(b'"%d",', size), PUT, "tags"),
    long(b"If-Match", lambda size: repeated(b'"', size), PUT, "quotes"),
    long(b"If-None-Match", lambda size: numbered(b'W/"%d",', size), b"GET %s/1" % TARGET),
    long(b"Cookie", lambda size: numbered(b"a%d=b; ", size), GET),
    long(b"X-Forwarded-For", lambda size: repeated(b"10.0.0.1, ", size), GET),
    long(b"Forwarded", lambda size: repeated(b"for=10.0.0.1, ", size), GET),
    long(b"Authorization", lambda size: b"Bearer " + repeated(b" ", size - 9) + b"x", GET),
    long(
        b"Access-Control-Request-Headers",
        lambda size: b"Origin: http://localhost:8080, " + numbered(b"x-%d,", size - 40),
        b"OPTIONS %s" % TARGET,
    ),
    single(
        "a preflight with 60 kB of names",
        request(
            b"OPTIONS %s" % TARGET,
            b"Origin: http://localhost:8080",
            b"Access-Control-Request-Method: PUT",
            b"Access-Control-Request-Headers: " + numbered(b"x-%d,", LONG),
        ),
    ),
    long(b"Connection", lambda size: repeated(b"a,", size), GET),
    long(b"Content-Type", lambda size: numbered(b"a/b;a%d=b", size), b"POST %s" % TARGET),
    long(b"Content-Encoding", lambda size: repeated(b"identity,", size), b"POST %s" % TARGET),
    long(b"Idempotency-Key", lambda size: b"x" * size, b"POST %s" % TARGET),
    single("a Content-Length of 60 kB", request(PUT, b"Content-Length: 0" + b", 0" * 19_000)),
    # If it is accepted, the connection is not closed.
    Input("Upgrade: h2c", lambda target: target.flood([target.signed(UPGRADE)], 0.5, reads=True)),
    single("a head in pieces of a byte", request(GET, b"X: " + b"y" * 20_000), piece=1),
    single(
        "2 000 requests in a row",
        request(b"GET /livez", last=False) * 1999 + request(b"GET /livez"),
        requests=2000,
    ),
    single(
        "900 errors in a row",
        request(ERROR, last=False) * 899 + request(ERROR),
        requests=900,
    ),
    Input(
        "HTTP/2: a path that is no ASCII",
        lambda target: target.flood([streams(target, b"/\xff", 1)], 0.1, reads=True),
    ),
    Input(
        "HTTP/2: 1 000 streams",
        lambda target: target.flood([streams(target, b"/livez", 1000)], 1, reads=True),
        requests=1000,
    ),
]
