"""Targets that may be expensive: paths, query strings, cursors, lists."""

from base64 import urlsafe_b64encode
from collections.abc import Callable

from benchmarks.attacks.heads import LINE, LONG, numbered, repeated
from benchmarks.attacks.target import Input, request, single, sized
from benchmarks.collection import TARGET

# What follows the path, by the length.
QUERIES: dict[str, Callable[[int], bytes]] = {
    "ampersands": lambda size: b"&" * size,
    "a parameter over and over": lambda size: repeated(b"name=a&", size),
    "unknown parameters": lambda size: numbered(b"a%d=&", size),
    "escapes": lambda size: b"name=" + repeated(b"%41", size - 9),
    "percent signs": lambda size: b"name=" + repeated(b"%25", size - 9),
    "pluses": lambda size: b"name=" + b"+" * (size - 9),
    "escapes that are no UTF-8": lambda size: b"name=" + repeated(b"%ff", size - 9),
    "escaped names": lambda size: repeated(b"%6eame%00=1&", size),
    "a long q": lambda size: b"q=" + b"x" * (size - 9),
    "a q of many words": lambda size: b"q=" + repeated(b"abc+", size - 9),
    "a q of wildcards": lambda size: b"q=" + repeated(b"%25_", size - 9),
    "a q of other letters": lambda size: b"q=" + repeated(b"%C3%9F", size - 9),
    "sort by a field over and over": lambda size: b"sort=" + repeated(b"id,", size - 9),
    "sort by unknown fields": lambda size: b"sort=" + numbered(b"-a%d,", size - 9),
    "only a field over and over": lambda size: b"only=" + repeated(b"id,", size - 9),
    "exclude unknown fields": lambda size: b"exclude=" + numbered(b"a%d,", size - 9),
    "commas": lambda size: b"only=" + b"," * (size - 9),
    "a limit of digits": lambda size: b"limit=" + b"9" * (size - 9),
    "a long cursor": lambda size: b"after=" + b"A" * (size - 9),
    "a cursor of nested lists": lambda size: (
        b"after=" + urlsafe_b64encode(repeated(b"[", size * 3 // 4 - 12))
    ),
    "a cursor of digits": lambda size: (
        b"after=" + urlsafe_b64encode(b"[" + b"9" * (size * 3 // 4 - 15) + b"]")
    ),
}
PATHS: dict[str, Callable[[int], bytes]] = {
    "a long path": lambda size: b"/" + b"x" * size,
    "slashes": lambda size: b"/" * size,
    "dots": lambda size: b"/x" + repeated(b"/..", size),
    "escaped slashes": lambda size: TARGET + repeated(b"%2F", size),
    "an id of digits": lambda size: TARGET + b"/" + b"9" * size,
    "a path of percent signs": lambda size: b"/" + repeated(b"%25", size),
}

TARGETS: list[Input] = [
    sized(name, request(b"GET " + prefix + make(LONG)), request(b"GET " + prefix + make(LINE)))
    for table, prefix in ((QUERIES, TARGET + b"?"), (PATHS, b""))
    for name, make in table.items()
] + [
    single("the longest page", request(b"GET %s?limit=200" % TARGET)),
    single(
        "the longest page that is counted",
        request(b"GET %s?limit=200&q=project" % TARGET, b"Prefer: count=exact"),
        # The page, the statistics of the search, and the count are a statement each.
        requests=3,
    ),
]
