"""Searches: the right pages, and never much more work than the cheaper way to them."""

import json
from collections.abc import AsyncIterator, Mapping
from itertools import product
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service import limits
from service.common.database.work import Work
from service.common.resource.ordering import order_of
from service.common.resource.resource import Resource
from service.common.search import TextSearch, pages
from service.common.search.pages import FAR, NEAR, STEP, affordable, step_of
from service.common.search.statistics import weigh
from service.common.search.trigrams import LENGTH, MAX_TRIGRAMS, has_trigrams
from service.common.search.weights import Reading, Search
from service.common.web import App
from tests.blueprints.account.models import Account
from tests.blueprints.item.backend import ITEM
from tests.blueprints.item.models import Item
from tests.blueprints.note.models import Note
from tests.blueprints.note.payloads import ListNote
from tests.integration.sent import explain, read, statements
from tests.integration.test_collection import links

RECORDS = 20_000
# By id, name and time the order is the same, so that each has matches first and last.
FILL = f"""
INSERT INTO item (name, email, created_at)
SELECT lpad(to_hex(n), 5, '0') || ' Project ' || md5(n::text)
       || CASE WHEN n % 5000 = 7 THEN ' rarely Größe 日本語' ELSE '' END
       || CASE WHEN n % 10 = 5 THEN ' spread' ELSE '' END
       || CASE WHEN n <= {RECORDS} / 10 THEN ' atfirst' ELSE '' END
       || CASE WHEN n > {RECORDS} - {RECORDS} / 10 THEN ' toolate' ELSE '' END,
       'u' || n || '@host.example.org', timestamptz '2026-01-01' + n * interval '1 s'
FROM generate_series(1, {RECORDS}) AS n
"""  # noqa: S608  # Of constants.
# How many records the index names.
NAMED = {
    "zqxjkv": 0,
    "rarely": RECORDS // 5000,
    "größe": RECORDS // 5000,
    "日本語": RECORDS,
    "spread": RECORDS // 10,
    "project spread": RECORDS // 10,
    "atfirst": RECORDS // 10,
    "toolate": RECORDS // 10,
    "host.example": RECORDS,
    "xample host": RECORDS,
    "zq": RECORDS,
}
# All have one time of the last change.
SORTS = ("id", "-id", "-name", "created_at", "name,-email", "updated_at,name")


@pytest.fixture(scope="module")
async def filled(app: App, engine: AsyncEngine) -> AsyncIterator[list[dict[str, Any]]]:
    """Return the records of a table that the planner knows; it is empty afterwards."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        # VACUUM does not mark rows as all-visible before they are durable.
        await connection.execute(text("SET synchronous_commit = on"))
        await connection.execute(text("TRUNCATE item RESTART IDENTITY"))
        await connection.execute(text(FILL))
        await connection.execute(text("VACUUM ANALYZE item"))
        found = await connection.execute(text("SELECT * FROM item"))
        yield [dict(row) for row in found.mappings()]
        await connection.execute(text("TRUNCATE item"))


def in_order(records: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    found = list(records)
    for key in reversed([*sort.split(","), "id"]):
        name = key.removeprefix("-")
        found.sort(key=lambda record: record[name], reverse=key.startswith("-"))
    return found


def has(record: Mapping[str, Any], q: str) -> bool:
    return q in record["name"].lower() or q in record["email"].lower()


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [1, 200])
async def test_a_search_reads_little_more_than_the_cheaper_way(
    app: App, engine: AsyncEngine, filled: list[dict[str, Any]], sort: str, limit: int
) -> None:
    client = app.test_client()
    ordered = in_order(filled, sort)
    # No index has the end of a step in an order of several columns: it is read twice.
    again = 1 if "," in sort else 0
    for q, named in NAMED.items():
        with statements(app) as sent:
            query = urlencode({"q": q, "sort": sort, "limit": limit})
            page = await (await client.get(f"/item?{query}")).get_json()
        places = [place for place, record in enumerate(ordered, 1) if has(record, q)]
        walked = places[limit] if len(places) > limit and "updated_at" not in sort else RECORDS
        most = (2 + again) * min(walked, named) + (1 + again) * (NEAR + STEP)

        assert [one["id"] for one in page] == [ordered[place - 1]["id"] for place in places[:limit]]
        assert await read(engine, sent) <= most, q


async def test_an_order_that_an_index_begins_is_read_until_the_page_is_full(
    app: App, filled: list[dict[str, Any]]
) -> None:
    with statements(app) as sent:
        await app.test_client().get("/item?q=spread&sort=name,-email&limit=200")

    assert not any("hits" in one.sql for one in sent)


async def test_a_step_in_order_stores_its_matches_alone(
    app: App, engine: AsyncEngine, filled: list[dict[str, Any]]
) -> None:
    client = app.test_client()
    for q, stored in {"zqxjkv": 0, "rarely": 1}.items():
        with statements(app) as sent:
            await client.get(f"/item?{urlencode({'q': q})}")

        assert _stored(await explain(engine, sent[0])) == stored


def _stored(node: dict[str, Any]) -> int:
    """Return how many rows the first part of a plan has in common table expressions."""
    own = node["Actual Rows"] if node.get("Subplan Name", "").startswith("CTE") else 0
    return round(own) + sum(map(_stored, node.get("Plans", ())))


async def test_the_statistics_give_the_cost_of_reading_in_an_order(
    app: App, filled: list[dict[str, Any]]
) -> None:
    expected = {
        "id": Reading(),
        "-name": Reading(),
        "email": Reading(is_scattered=True),
        "name,-email": Reading(),
        "updated_at,name": Reading(sorted_at_once=RECORDS),
    }
    session = app.database.reader()
    for sort, reading in expected.items():
        order = order_of(sort.split(","), ITEM.keys)
        search = await weigh(session, Item, ("name", "email"), "spread", order)

        assert search.reading == reading, sort


def test_fewer_records_are_read_in_a_scattered_order() -> None:
    near, apart = (
        affordable(Search(("name",), "zq", {}, 1000, Reading(is_scattered=scattered)))
        for scattered in (False, True)
    )

    assert apart < near


def test_a_page_that_is_full_soon_is_read_to_its_end() -> None:
    search = Search(("name",), "spread", {"name": [("spread", 0.01)]}, 1_000_000, Reading())

    # Of 6,667 records a hundredth match.
    assert affordable(search, walked=5000, found=50, missing=51) == pytest.approx(6667, abs=1)
    assert affordable(search, walked=5000, found=50, missing=50) == pytest.approx(10_000, abs=1)
    assert affordable(search, walked=9000, found=89, missing=1) == pytest.approx(10_000, abs=1)
    assert affordable(search, walked=9000, found=50, missing=10) == pytest.approx(6667, abs=1)


def test_a_long_search_takes_few_steps_and_reads_no_more_than_a_short_one_too_many() -> None:
    for most in (0, 1, STEP, FAR - 1, FAR, 66_667, limits.WALKED_RECORDS.value):
        walked, steps = 0, 0
        while step := step_of(most - walked):
            walked, steps = walked + step, steps + 1

        assert most <= walked < most + STEP
        assert steps <= most / FAR + FAR / STEP


@pytest.mark.parametrize("q", ["spread", "toolate", "rarely", "zqxjkv", "zq", "20"])
async def test_the_pages_of_a_search_lead_to_each_match_and_back(
    app: App, filled: list[dict[str, Any]], q: str
) -> None:
    client = app.test_client()
    for sort in ("-id", "name,-email"):
        expected = [record["id"] for record in in_order(filled, sort) if has(record, q)]
        pages = []
        url: str | None = f"/item?{urlencode({'q': q, 'sort': sort, 'limit': 199})}"
        while url:
            response = await client.get(url)
            pages.append([record["id"] for record in await response.get_json()])
            last, url = response, links(response).get("next")

        assert [number for page in pages for number in page] == expected

        for page in reversed(pages[:-1]):
            last = await client.get(links(last)["prev"])

            assert [record["id"] for record in await last.get_json()] == page


async def test_exact_filters_narrow_a_search(app: App, filled: list[dict[str, Any]]) -> None:
    client = app.test_client()
    record = next(one for one in filled if has(one, "rarely"))
    for name, q in product(("name", "email"), ("rarely", "zqxjkv", "ra")):
        query = urlencode({name: record[name], "q": q})
        found = await (await client.get(f"/item?{query}")).get_json()

        assert [one["id"] for one in found] == ([] if q == "zqxjkv" else [record["id"]])


async def test_different_searches_share_their_statements(
    app: App, filled: list[dict[str, Any]]
) -> None:
    client = app.test_client()
    texts = set()
    for q in ("spread", "toolate", "zqxjkv", "Project a1", "%_/", "x" * 200, "zq", "u17@host.e"):
        for limit in (1, 7, 200):
            with statements(app) as sent:
                await client.get(f"/item?{urlencode({'q': q, 'limit': limit})}")
            texts |= {one.sql for one in sent}

    # The first step in order, from the first record on; the later ones; the statistics; the
    # index, with the text or parts of it; all records.
    assert len(texts) <= 8


@pytest.mark.limit("WALKED_RECORDS")
def test_a_search_reads_so_many_records_in_order_at_most() -> None:
    most = limits.WALKED_RECORDS.value

    def of(records: float) -> float:
        return affordable(Search(("name",), "zq", {}, records, Reading()))

    assert of(1.5 * most) == most
    assert of(1.5 * most - 3) == most - 2
    assert of(20 * most) == most


@pytest.mark.parametrize(
    ("q", "work"),
    [
        ("a" * 6, Work.SEARCHES),
        ("a" * 7, Work.COSTLY),
        ("aA" * 4, Work.COSTLY),
        ("banana " * 4, Work.SEARCHES),
        ("banana " * 5, Work.COSTLY),
        ("b" + "a" * 100, Work.SEARCHES),
    ],
)
async def test_a_text_that_repeats_its_beginning_is_a_costly_search(
    app: App, filled: list[dict[str, Any]], q: str, work: Work
) -> None:
    """PostgreSQL compares it from its beginning at each letter of a text."""
    with statements(app) as sent:
        await app.test_client().get(f"/item?{urlencode({'q': q})}")

    assert {one.work for one in sent} == {work}


@pytest.mark.parametrize("q", ["日本語", "проект", "①②③④⑤", "\u212a\u212a\u212a", "zq", "-a.b-"])
async def test_a_text_that_postgresql_has_no_trigram_of_is_a_costly_search(
    app: App, engine: AsyncEngine, filled: list[dict[str, Any]], q: str
) -> None:
    with statements(app) as sent:
        await app.test_client().get(f"/item?{urlencode({'q': q})}")

    assert {one.work for one in sent} == {Work.COSTLY}

    search = await weigh(app.database.reader(), Item, ("name", "email"), q)
    async with engine.connect() as connection:
        trigrams = await connection.scalar(text("SELECT show_trgm(:q)"), {"q": q})

    assert not search.uses_index or trigrams


@pytest.mark.parametrize("q", ["Größe", "rarely", "日本語 rarely"])
async def test_a_text_that_few_records_have_is_no_costly_search(
    app: App, engine: AsyncEngine, filled: list[dict[str, Any]], q: str
) -> None:
    with statements(app) as sent:
        await app.test_client().get(f"/item?{urlencode({'q': q})}")
    async with engine.connect() as connection:
        trigrams = await connection.scalar(text("SELECT show_trgm(:q)"), {"q": q})

    assert has_trigrams(q)
    assert trigrams
    assert {one.work for one in sent} == {Work.SEARCHES}


async def test_nothing_waits_to_be_written_to_the_index(app: App, engine: AsyncEngine) -> None:
    """A list of what waits grows without bound, and each search reads all of it."""
    del app
    async with engine.connect() as connection:
        options = await connection.scalar(
            text("SELECT reloptions FROM pg_class WHERE relname = 'ix_item_name_email_trigrams'")
        )

    assert options == ["fastupdate=off"]


async def test_the_index_is_asked_for_few_trigrams_of_a_long_text(
    app: App, engine: AsyncEngine, filled: list[dict[str, Any]]
) -> None:
    count = text(
        "SELECT sum(cardinality(show_trgm(part))) FROM unnest(CAST(:parts AS text[])) part"
    )
    for q in ("atfirst spread project rarely toolate " * 5, "0123456789abcdef" * 12):
        with statements(app) as sent:
            await app.test_client().get(f"/item?{urlencode({'q': q, 'sort': '-id'})}")
        asked = next(one.values for one in sent if "hits" in one.sql)
        patterns = {one for one in asked if isinstance(one, str)} - {f"%{q}%"}
        async with engine.connect() as connection:
            for one in patterns:
                trigrams = await connection.scalar(count, {"parts": one.strip("%").split("%")})

                # Each of a run has neighbours, and the ends of a run count as ends of a word here.
                assert trigrams <= 2 * LENGTH * MAX_TRIGRAMS

        assert patterns


async def test_a_search_for_which_the_index_reads_many_entries_is_costly(
    app: App, filled: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ENTRIES", RECORDS // 10)
    with statements(app) as sent:
        await app.test_client().get("/item?q=toolate+atfirst")

    assert [one.work for one in sent if "hits" in one.sql] == [Work.COSTLY]


async def test_counts_and_exports_use_the_index_if_it_is_of_use(
    app: App, engine: AsyncEngine, filled: list[dict[str, Any]]
) -> None:
    client = app.test_client()
    for q, most in {"rarely": 10, "zqxjkv": 0, "xample host": RECORDS}.items():
        with statements(app) as sent:
            response = await client.get(
                f"/item?{urlencode({'q': q, 'limit': 1})}", headers={"Prefer": "count=exact"}
            )
        counts = [one for one in sent if "count(*)" in one.sql and "walked" not in one.sql]

        assert int(response.headers["X-Total-Count"]) == sum(has(one, q) for one in filled)
        assert await read(engine, counts) <= most


class SearchNote(ListNote):
    """With a filter that the collection does not have."""

    q: str | None = None


@pytest.mark.parametrize("sort", [("id",), ("-text",), ("text", "-witness_id")])
async def test_a_search_needs_no_more_statements_to_include_records(
    engine: AsyncEngine, sort: tuple[str, ...]
) -> None:
    resource = Resource(Note, search=TextSearch("text"))
    async with AsyncSession(engine) as session:
        owner = await session.scalar(
            insert(Account).values(owner="Ada", balance=0).returning(Account.id)
        )
        values = [{"account_id": owner, "text": f"word {number}"} for number in range(20)]
        await session.execute(insert(Note), values)
        sent: list[list[str]] = []
        found = []

        def note(*facts: Any) -> None:
            sent[-1].append(facts[2])

        event.listen(engine.sync_engine, "before_cursor_execute", note)
        for include in (None, ("account", "witness")):
            sent.append([])
            query = SearchNote(q="word 1", sort=sort, only=("id", "text"), limit=9, include=include)
            page = await resource.page(session, query)
            found.append(json.loads(page.records))
        event.remove(engine.sync_engine, "before_cursor_execute", note)

    alone, including = sent
    assert len(alone) == len(including)
    assert [{name: note[name] for name in ("id", "text")} for note in found[1]] == found[0]
    assert len(found[0]) == 9
    assert {(note["account"]["id"], note["witness"]) for note in found[1]} == {(owner, None)}
