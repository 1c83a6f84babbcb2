"""Exact filters: how much a page reads of a table whose matches are last in every order."""

from collections.abc import AsyncIterator
from typing import cast
from urllib.parse import urlencode

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.database.work import Work
from service.common.web import App
from tests.client import Client
from tests.integration.sent import read, statements
from tests.integration.test_collection import links

RECORDS, SAME = 10_000, 1000
FILL = f"""
INSERT INTO item (name, email, created_at, updated_at)
SELECT CASE WHEN n > {RECORDS - SAME} THEN 'Same' ELSE md5(n::text) END,
       'u' || lpad(n::text, 5, '0') || '@example.org', at, at
FROM generate_series(1, {RECORDS}) AS n,
     LATERAL (SELECT timestamptz '2026-01-01' + n * interval '1 s') AS t(at)
"""  # noqa: S608  # Of constants.


@pytest.fixture(scope="module")
async def filled(app: App, engine: AsyncEngine) -> AsyncIterator[Client]:
    """Return a client on a table that the planner knows; it is empty afterwards."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("TRUNCATE item RESTART IDENTITY"))
        await connection.execute(text(FILL))
        await connection.execute(text("VACUUM ANALYZE item"))
        yield cast("Client", app.test_client())
        await connection.execute(text("TRUNCATE item"))


@pytest.mark.parametrize("sort", ["id", "-id", "name", "-name", "-name,id"])
@pytest.mark.parametrize("q", [None, "same", "zqxjkv"])
async def test_a_filter_by_name_uses_the_index_of_names(
    app: App, engine: AsyncEngine, filled: Client, sort: str, q: str | None
) -> None:
    query = {"name": "Same", "sort": sort, "limit": "7"} | ({"q": q} if q else {})
    with statements(app) as sent:
        first = await filled.get(f"/item?{urlencode(query)}")
        answers = [first]
        for relation in ("next", "prev") if q != "zqxjkv" else ():
            answers.append(await filled.get(links(answers[-1])[relation]))
    pages = [[one["id"] for one in await answer.get_json()] for answer in answers]
    ids = list(range(RECORDS - SAME + 1, RECORDS + 1))
    if sort in ("-id", "-name"):
        ids.reverse()

    assert pages == ([[]] if q == "zqxjkv" else [ids[:7], ids[7:14], ids[:7]])
    assert {one.work for one in sent} == {Work.SEARCHES if q else Work.PAGES}
    assert await read(engine, sent) <= (2 * SAME if q else 8) * len(answers)


@pytest.mark.parametrize(
    "sort", ["email", "-email", "created_at", "-updated_at", "created_at,name"]
)
@pytest.mark.parametrize("q", [None, "same"])
async def test_a_filter_by_name_is_costly_in_another_order(
    app: App, filled: Client, sort: str, q: str | None
) -> None:
    query = {"name": "Same", "sort": sort, "limit": "7"} | ({"q": q} if q else {})
    with statements(app) as sent:
        answer = await filled.get(f"/item?{urlencode(query)}")
    ids = list(range(RECORDS - SAME + 1, RECORDS + 1))
    expected = ids[::-1][:7] if sort.startswith("-") else ids[:7]

    assert [one["id"] for one in await answer.get_json()] == expected
    assert {one.work for one in sent} == {Work.COSTLY}


@pytest.mark.parametrize("sort", ["id", "email", "-created_at", "name,-created_at"])
async def test_a_filter_by_email_finds_one_record_in_any_order(
    app: App, engine: AsyncEngine, filled: Client, sort: str
) -> None:
    for name in (None, "Same", "Other"):
        query = {"email": f"u{RECORDS}@example.org", "sort": sort} | (
            {"name": name} if name else {}
        )
        with statements(app) as sent:
            answer = await filled.get(f"/item?{urlencode(query)}")

        assert len(await answer.get_json()) == (name != "Other")
        assert {one.work for one in sent} == {Work.PAGES}
        assert await read(engine, sent) <= 1
