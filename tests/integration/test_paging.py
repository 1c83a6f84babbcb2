"""Pages while others write: what stays is seen once, and nothing else is lost."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.client import Client

FIELDS = ("id", "name", "email", "created_at", "updated_at")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
INSERT = text(
    "INSERT INTO item (name, email, created_at, updated_at) VALUES (:name, :email, :at, :at)"
)
# Few names and moments, so that many records tie.
RECORDS = st.lists(st.tuples(st.sampled_from(["aa", "bb", "CC"]), st.integers(0, 2)), max_size=12)
SORTS = st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3, unique=True).flatmap(
    lambda fields: st.tuples(*(st.sampled_from([field, f"-{field}"]) for field in fields))
)


def rows(records: list[tuple[str, int]], kind: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "email": f"{kind}{number}@x.org", "at": MOMENT + timedelta(seconds=moment)}
        for number, (name, moment) in enumerate(records)
    ]


def sorted_by(records: list[dict[str, Any]], sort: tuple[str, ...], order: Any) -> list[int]:
    """Return the ids in an order, which PostgreSQL's collation decides for texts."""
    keys = [*sort, f"-{'id'}" if sort[-1].startswith("-") else "id"]
    found = list(records)
    for key in reversed(keys):
        name = key.removeprefix("-")
        found.sort(key=lambda record: order(record[name]), reverse=key.startswith("-"))
    return [record["id"] for record in found]


@given(
    kept=RECORDS,
    doomed=RECORDS,
    added=RECORDS,
    sort=SORTS,
    limit=st.integers(1, 4),
    backward=st.booleans(),
)
@settings(
    max_examples=60,
    deadline=None,
    # The same every time: what decides over a change must not depend on luck.
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_a_record_that_stays_is_on_one_page_in_its_place(
    client: Client,
    engine: AsyncEngine,
    kept: list[tuple[str, int]],
    doomed: list[tuple[str, int]],
    added: list[tuple[str, int]],
    sort: tuple[str, ...],
    limit: int,
    backward: bool,
) -> None:
    waiting = rows(added, "added")
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE item RESTART IDENTITY"))
        for stored in (rows(kept, "kept"), rows(doomed, "doomed")):
            if stored:
                await connection.execute(INSERT, stored)
        texts = await connection.scalars(
            text(
                "SELECT t FROM (SELECT name FROM item UNION SELECT email FROM item) s(t) ORDER BY t"
            )
        )
        rank = {found: position for position, found in enumerate(texts)}
    query = f"/item?sort={','.join(sort)}&limit={limit}"
    seen: list[dict[str, Any]] = []
    url: str | None = query
    while url:
        response = await client.get(url)
        seen += await response.get_json()
        url = relation(response.headers.get("Link", ""), "next")
        async with engine.begin() as connection:
            # Another client inserts one and deletes one between two pages.
            if waiting:
                await connection.execute(INSERT, [waiting.pop()])
            await connection.execute(
                text("DELETE FROM item WHERE id = (SELECT min(id) FROM item WHERE email LIKE 'd%')")
            )
    stayed = [record for record in seen if record["email"].startswith("kept")]

    assert len({record["id"] for record in seen}) == len(seen)
    assert len(stayed) == len(kept)
    assert [record["id"] for record in stayed] == sorted_by(
        stayed, sort, lambda value: rank.get(value, value)
    )
    if backward:
        await check_the_way_back(client, query, kept)


async def check_the_way_back(client: Client, query: str, kept: list[tuple[str, int]]) -> None:
    """Walk to the last page and back to the first: all that stayed is there again, once."""
    found: list[dict[str, Any]] = []
    # Without concurrent writes, the last page is empty only if all are.
    last, following = query, await next_of(client, query)
    while following:
        last, following = following, await next_of(client, following)
    url: str | None = last
    while url:
        response = await client.get(url)
        found = await response.get_json() + found
        url = relation(response.headers.get("Link", ""), "prev")
    stayed = [record["id"] for record in found if record["email"].startswith("kept")]

    assert len(set(stayed)) == len(stayed) == len(kept)


async def next_of(client: Client, url: str) -> str | None:
    return relation((await client.get(url)).headers.get("Link", ""), "next")


def relation(link: str, name: str) -> str | None:
    found = re.search(rf'<([^>]+)>; rel="{name}"', link)
    return found[1] if found else None
