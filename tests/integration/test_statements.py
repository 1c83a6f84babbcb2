"""The statements of the service: how many there are does not depend on what clients send."""

import gc
from collections.abc import AsyncIterator, Iterator
from functools import cache
from itertools import cycle, islice, permutations, product
from typing import Any, cast

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from service import limits
from service.common.database.work import Work
from service.common.web import App
from service.settings import Settings
from tests.app import create_app
from tests.client import Client
from tests.factories import item

# SQLAlchemy closes the statements of a connection that were used least recently: of more than 150
# all but 100.
PREPARED = 150
LONGEST = 4000
# A search is read in one of three forms, by PostgreSQL's statistics, which change at any time.
SEARCH_FORMS = 3
FIELDS = ("id", "name", "email", "created_at", "updated_at")
Cached = type(cache(len))
TAGS = limits.ENTITY_TAGS.value


@pytest.fixture
async def executed(app: App, client: Client) -> AsyncIterator[list[Any]]:
    """Return the contexts of the statements that the service has executed."""
    database, contexts = app.database, []
    engines = [
        engine.sync_engine
        for name in ("_engines", "_autocommit_engines")
        for engine in vars(database)[name].values()
    ]

    def note(*arguments: Any) -> None:
        *_, context, _ = arguments
        contexts.append(context)

    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield contexts
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


def tags(count: int) -> str:
    return ", ".join(f'"{number}"' for number in range(1, count + 1))


async def every_kind(client: Client, turn: int) -> None:
    """Send each kind of request, with other values and other numbers of them in each turn."""
    word = chr(ord("a") + turn % 26) * (1 + turn % 5)
    url = (await client.post("/item", json=item(name=f"{word} {turn}"))).headers["Location"]
    key = {"Idempotency-Key": f"key-{turn}"}
    await client.post("/item", json=item(), headers=key)
    await client.post("/item", json=item(), headers=key)
    lines = "".join(f'"{word}{line}",{turn}-{line}@example.org\n' for line in range(turn + 1))
    for media_type, begin in (("text/csv", "name,email\n"), ("text/csv", "email,name\n")):
        await client.post("/item", data=begin + lines, headers={"Content-Type": media_type})
    for name, other in permutations(("If-Match", "If-None-Match")):
        for count in (2 + turn, TAGS - turn):
            conditions = {name: tags(count)}
            for both in (conditions, conditions | {other: tags(count)}, conditions | {other: "*"}):
                await client.put(url, json={"name": f"{word} {turn}"}, headers=both)
    await client.patch(url, json={"name": f"{word} {turn}", "email": f"p{turn}@example.org"})
    for query in (
        f"limit={1 + turn}",
        f"name={word}",
        f"email={word}%40example.org",
        f"q={word}",
        f"q={'+'.join([word] * (turn + 1))}",
        f"q=%25_{word * 10}",
        f"sort=-name&limit={1 + turn}",
        f"only=id&exclude_nothing={turn}",
    ):
        page = await client.get(f"/item?{query}", headers={"Prefer": "count=exact"})
        for link in page.headers.get("Link", "").split(", ")[:1]:
            if link:
                await client.get(link[1:].partition(">")[0])
        await client.get(f"/item?{query}", headers={"Accept": "text/csv"})
    await client.get(f"/item/{turn}")
    await client.delete(url, headers={"If-Match": tags(TAGS - turn)})
    await client.delete(f"/item/{turn}")


async def test_other_values_make_no_other_statements(client: Client, executed: list[Any]) -> None:
    for turn in range(2):
        await every_kind(client, turn)
    known = {one.statement for one in executed}
    # So many that another statement in each turn would be too many.
    for turn in range(2, 2 + 2 * SEARCH_FORMS + 1):
        await every_kind(client, turn)
    seen = {one.statement for one in executed}

    assert {one for one in seen - known if "ILIKE" not in one} == set()
    assert count_searches(seen) <= SEARCH_FORMS * count_searches(known)
    assert max(map(len, seen)) < LONGEST


def count_searches(texts: set[str]) -> int:
    return sum("ILIKE" in one for one in texts)


def shapes() -> Iterator[str]:
    """Yield query strings that name other fields each time."""
    for count in range(1, 4):
        for names, signs in product(permutations(FIELDS, count), product(("", "-"), repeat=count)):
            keys = ",".join(sign + name for sign, name in zip(signs, names, strict=True))
            yield f"sort={keys}&only={','.join(names)}"


async def test_other_fields_leave_no_more_statements_than_a_connection_keeps(
    app: App, client: Client, pytestconfig: pytest.Config
) -> None:
    """Prepared statements are what PostgreSQL keeps in memory for a connection."""
    if pytestconfig.getoption("--pgbouncer"):
        pytest.skip("a pooler decides itself how many it keeps")
    for _ in range(3):
        await client.post("/item", json=item())
    asked = [*shapes()][::3]
    for query in asked:
        assert (await client.get(f"/item?limit=1&{query}")).status_code == 200
    # Most of these orders have no index.
    engine: AsyncEngine = vars(app.database)["_engines"][Work.COSTLY]
    async with engine.connect() as connection:
        # The pool gives the connection that was used last.
        count = await connection.scalar(text("SELECT count(*) FROM pg_prepared_statements"))

    assert len(asked) > PREPARED + 10
    # In addition to the pool's own.
    assert PREPARED / 2 < count <= PREPARED + 10


def large_shapes() -> Iterator[str]:
    """Yield query strings with all fields in another order each time."""
    others = product(permutations(FIELDS[1:]), product(("", "-"), repeat=len(FIELDS) - 1))
    for (names, signs), only in zip(others, cycle(permutations(FIELDS)), strict=False):
        keys = ",".join(sign + name for sign, name in zip(signs, names, strict=True))
        yield f"limit=1&name=Ada&sort={keys}&only={','.join(only)}"


async def ask(client: Client, query: str) -> None:
    """Ask for a page, a search and an export."""
    for url in (f"/item?{query}", f"/item?{query}&q=spread"):
        assert (await client.get(url)).status_code == 200
    assert (await client.get(url, headers={"Accept": "text/csv"})).status_code == 200


def cached_functions() -> list[Any]:
    """Return the service's functions with a cache of limited size: clients choose the keys."""
    cached = [one for one in gc.get_objects() if isinstance(one, Cached)]
    return [
        one
        for one in cached
        if one.__module__.startswith("service.") and one.cache_parameters()["maxsize"] is not None
    ]


async def test_other_shapes_leave_few_objects(settings: Settings) -> None:
    """The garbage collector traverses what stays in memory, while all requests wait."""
    for one in cached_functions():
        one.cache_clear()
    first, *others = islice(large_shapes(), 120)
    async with create_app(settings).test_app() as running:
        client = cast("Client", running.test_client())
        await ask(client, first)
        gc.collect()
        before = len(gc.get_objects())
        for query in others:
            await ask(client, query)
        gc.collect()

        # 15,000. With the trees of all statements, 160 shapes left 63,000.
        assert len(gc.get_objects()) - before < 25_000


async def test_repeated_shapes_are_neither_built_nor_compiled_again(
    client: Client, executed: list[Any]
) -> None:
    usual = [*islice(large_shapes(), 10)]
    for query in usual:
        await ask(client, query)
    for only in islice(permutations(FIELDS), 40):
        await client.get(f"/item/1?only={','.join(only)}")
    built = sum(one.cache_info().misses for one in cached_functions())
    executed.clear()
    for query in usual:
        await ask(client, query)
    for only in islice(permutations(FIELDS), 40):
        await client.get(f"/item/1?only={','.join(only)}")

    assert sum(one.cache_info().misses for one in cached_functions()) == built
    assert len(executed) >= 3 * len(usual) + 40
    assert {one.cache_hit.name for one in executed} == {"CACHE_HIT"}
