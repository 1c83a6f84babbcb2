"""What it costs to read what a client sends: each parser, and inputs that maximise its work."""

import asyncio
import sys
import time
import tracemalloc
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn, cast

from hypothesis import HealthCheck, Phase, given, settings, target
from hypothesis import strategies as st

from service import limits
from service.common.bulk.csv_reader import CsvReader
from service.common.bulk.lines import Lines, Reader, Rows
from service.common.bulk.ndjson import NdjsonReader
from service.common.contract.parsing import parse_json, parse_query, text_faults
from service.common.database import Database
from service.common.errors.exceptions import Fault, InvalidAPIRequest, JSONException
from service.common.resource.entity_tags import has_too_many_tags
from service.common.resource.payloads import Preconditions
from service.common.resource.preferences import wants_count
from service.common.web import App
from service.common.web.request_headers import RequestHeaders
from service.settings import Settings
from tests.app import create_app
from tests.blueprints.item.backend import ITEM
from tests.blueprints.item.payloads import CreateItem, ListItem

# Stands in a part for the number of its repetition, so that names and values may differ.
NUMBER = b"\0#"
PIECE = 1 << 14
ROUTES = (
    ("GET", "/livez", b""),
    ("GET", "/item", b""),
    ("POST", "/item", b"{}"),
    ("POST", "/nope", b""),
    ("OPTIONS", "/item", b""),
)
HEADERS = (
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Access-Control-Request-Headers",
    "Authorization",
    "Content-Type",
    "Cookie",
    "Forwarded",
    "Host",
    "Idempotency-Key",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "Origin",
    "Prefer",
    "Range",
    "X-API-Key",
    "X-Forwarded-For",
    "X-Request-ID",
)


class Cost(NamedTuple):
    """The cost of a call: lines of Python, calls of C, and its peak memory."""

    steps: float
    allocated: float


@dataclass(frozen=True, slots=True)
class Parser:
    """A parser, the parts that its inputs are made of, what is around them, and what it may cost.

    The cost is a constant plus a cost for each byte of the input.
    """

    read: Callable[[bytes], object]
    parts: tuple[bytes, ...]
    least: Cost
    each: Cost
    around: tuple[tuple[bytes, bytes], ...] = ((b"", b""),)
    largest: int = limits.HEAD_BYTES.value

    def most(self, size: int) -> Cost:
        """Return what an input of a size may cost."""
        return Cost(
            *(least + each * size for least, each in zip(self.least, self.each, strict=True))
        )


class NoDatabase:
    """Refuses every session: what comes behind the parsers is not measured."""

    def session(self) -> NoReturn:
        raise InvalidAPIRequest("There is no database.")

    bulk = transaction = single_write = reader = health = session


@contextmanager
def parsers() -> Iterator[dict[str, Parser]]:
    """Give every parser of what a client sends, by name."""
    app = create_app(Settings())
    app.database = cast("Database", NoDatabase())
    with asyncio.Runner() as runner:
        yield _parsers(app, runner.run)


def cost_of(read: Callable[[bytes], object], data: bytes) -> Cost:
    """Return what it costs to read the data; an error is an answer like any other."""
    steps = 0

    def step(*_: Any) -> Any:
        nonlocal steps
        steps += 1
        return step

    traced = sys.gettrace()
    tracemalloc.start()
    sys.setprofile(step)
    sys.settrace(step)
    try:
        with suppress(JSONException):
            read(data)
    finally:
        sys.settrace(traced)
        sys.setprofile(None)
        _, allocated = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return Cost(steps, allocated)


def seconds_of(read: Callable[[bytes], object], data: bytes) -> float:
    """Return the least processor time that it takes to read the data, of three times."""
    least = float("inf")
    for _ in range(3):
        start = time.process_time()
        with suppress(JSONException):
            read(data)
        least = min(least, time.process_time() - start)
    return least


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an input is made of: what it begins with, what is repeated, and what it ends with."""

    begin: bytes
    unit: bytes
    end: bytes

    def of(self, size: int) -> bytes:
        """Return the input of about that size."""
        length = len(self.unit) + 2 * self.unit.count(NUMBER)
        repeated = self.unit * (size // length)
        if NUMBER in self.unit:
            numbers = range(size // length)
            repeated = b"".join(self.unit.replace(NUMBER, b"%x" % number) for number in numbers)
        return (self.begin + repeated + self.end).replace(NUMBER, b"0")


class Dearest(NamedTuple):
    """The dearest inputs: which part of what it may cost each did cost, and how it is made."""

    steps: tuple[float, Recipe]
    allocated: tuple[float, Recipe]


def search(parser: Parser, size: int, examples: int, *, random: bool = False) -> Dearest:
    """Return the dearest inputs of a size that a search finds; the same each time, or `random`."""
    size = min(size, parser.largest)
    found: list[tuple[tuple[float, float], Recipe]] = []
    # What is made at the first call stays.
    cost_of(parser.read, b"")

    @settings(
        max_examples=examples,
        phases=(Phase.generate, Phase.target),
        suppress_health_check=[*HealthCheck],
        derandomize=not random,
        database=None,
        deadline=None,
    )
    @given(recipes(parser))
    def spend(recipe: Recipe) -> None:
        data = recipe.of(size)
        cost, most = cost_of(parser.read, data), parser.most(len(data))
        shares = cost.steps / most.steps, cost.allocated / most.allocated
        target(shares[0], label="steps")
        target(shares[1], label="allocated")
        found.append((shares, recipe))

    spend()
    return Dearest(
        *(max(((shares[i], recipe) for shares, recipe in found), key=itemgetter(0)) for i in (0, 1))
    )


def recipes(parser: Parser) -> st.SearchStrategy[Recipe]:
    """Return what inputs of the parser are made of."""
    parts = st.sampled_from(parser.parts)
    few = st.lists(parts, max_size=2).map(b"".join)
    unit = st.lists(parts, min_size=1, max_size=4).map(b"".join)
    return st.builds(
        lambda around, begin, unit, end: Recipe(around[0] + begin, unit, end + around[1]),
        st.sampled_from(parser.around),
        few,
        unit,
        few,
    )


def _parsers(app: App, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> dict[str, Parser]:
    body = limits.BODY_BYTES.value
    plain = (NUMBER, b"a", b" ", b",", b"=", b'"', b"\\", b";", b"1", b".", b"%", b"\xc3")
    header = (
        *plain,
        b"*",
        b"/",
        b"q",
        b"W/",
        b"text/csv",
        b"application/problem+json",
        b"\t",
        b"-",
    )
    query = (b"&", b"=", b"%", b"%41", b"%ff", b"+", b",", b"a", b"1", b"-", b"id", b"name", NUMBER)
    names = (b"sort=", b"only=", b"exclude=", b"after=", b"q=", b"limit=")
    tokens = (
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b'"',
        b'"":',
        b"0",
        b"-1e",
        b"\\",
        b"\n",
        b" ",
        NUMBER,
    )
    values = (
        b"0,",
        b"[],",
        b"{},",
        b'"",',
        b'{"":0},',
        b'"\\u0000",',
        b'"\\ud800",',
        b"1.5e9,",
        b'"\0#",',
    )
    pairs = (b'"\0#":0,', b'"\0#":[],', b'"\0#\\u0000":"",', b'"name":', b'"email":', b'"a@b.co"')
    around = (
        (b"", b""),
        (b"[", b"0]"),
        (b'"', b'"'),
        (b"{", b'"":0}'),
        (b'{"name":[', b"0]}"),
        (b'{"name":{', b'"":0}}'),
        (b'{"name":"', b'"}'),
        (b'{"name":"aa","email":"', b'"}'),
    )
    lines = (
        b"\n",
        b"\r\n",
        b"\r",
        b'"',
        b'""',
        b",",
        b";",
        b"a",
        b"a@b.co",
        b"\0",
        b"\xff",
        NUMBER,
    )

    def csv(data: bytes) -> object:
        return run(_read_lines(CsvReader(body, CreateItem), data))

    def ndjson(data: bytes) -> object:
        return run(_read_lines(NdjsonReader(body), data))

    return {
        "headers": Parser(
            lambda data: run(_ask(app, data)),
            header,
            Cost(100_000, 300_000),
            Cost(1, 70),
            largest=1 << 14,
        ),
        "Preconditions": Parser(
            _read_preconditions, (*header, b'"1",', b'"\0#",'), Cost(4000, 100_000), Cost(0.1, 4)
        ),
        "Preferences": Parser(_read_preferences, header, Cost(2000, 20_000), Cost(0.1, 8)),
        "cursor": Parser(
            lambda data: _read_query(b"after=" + urlsafe_b64encode(data).rstrip(b"=")),
            (*tokens, *values),
            Cost(20_000, 100_000),
            Cost(10, 100),
            around,
            largest=2000,
        ),
        "query": Parser(_read_query, (*query, *names), Cost(40_000, 300_000), Cost(15, 250)),
        "JSON": Parser(
            _read_json,
            (*tokens, *values, *pairs),
            Cost(150_000, 4_000_000),
            Cost(1, 30),
            around,
            body,
        ),
        "NDJSON": Parser(
            ndjson,
            (*tokens, *values, *pairs, b'{"name":"aa","email":"a@b.co"}\n'),
            Cost(200_000, 4_000_000),
            Cost(40, 40),
            around,
            body,
        ),
        "CSV": Parser(
            csv, lines, Cost(100_000, 300_000), Cost(60, 60), ((b"name,email\n", b""),), body
        ),
        "names of CSV": Parser(csv, lines, Cost(20_000, 300_000), Cost(40, 100), largest=body),
    }  # fmt: skip


async def _ask(app: App, value: bytes) -> None:
    """Send the value in all headers, in each kind of request."""
    for method, path, body in ROUTES:
        own = {"host": b"x", "content-length": b"%d" % len(body)}
        if method == "OPTIONS":
            own["access-control-request-method"] = b"GET"
        names = {name.lower(): value for name in HEADERS} | own
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), sent) for name, sent in names.items()],
            "state": {},
        }
        messages = asyncio.Queue[dict[str, Any]]()
        messages.put_nowait({"type": "http.request", "body": body, "more_body": False})
        await app(scope, messages.get, _drop)  # type: ignore[arg-type]  # A scope of fewer keys.


async def _drop(_message: Any) -> None:
    pass


def _read_preconditions(data: bytes) -> object:
    text = data.decode("latin-1")
    if has_too_many_tags(text):
        return None
    return Preconditions.check({"If-Match": text, "If-None-Match": text}).versions


def _read_preferences(data: bytes) -> object:
    return wants_count(RequestHeaders([(b"prefer", data)]).get("Prefer"))


def _read_query(data: bytes) -> object:
    document = ListItem.contract().document
    types = {name: one["type"] for name, one in document["properties"].items()}
    values, faults = parse_query(data, types)
    return ITEM.selection(ListItem.check(values, faults or text_faults(values)), 50)


def _read_json(data: bytes) -> object:
    value = parse_json(data)
    return CreateItem.check(value, text_faults(value))


class NotStored:
    """Discards all records."""

    async def stage(self, rows: Rows) -> None:
        """Keep none of them."""

    async def check(self, _first: int, _last: int) -> list[Fault]:
        """Find nothing wrong."""
        return []

    insert = check


async def _read_lines(reader: Reader, data: bytes) -> int:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), PIECE):
            yield data[start : start + PIECE]

    return await Lines(pieces(), reader, CreateItem).store(NotStored())
