"""Every type of column, with NULL: orders, cursors, filters and representations."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Double,
    Index,
    Integer,
    Numeric,
    Text,
    Uuid,
    insert,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from service.common.database import RecordColumns
from service.common.database.work import Work
from service.common.resource import (
    Cursor,
    ListQuery,
    Page,
    Resource,
    collection,
    encode_cursor,
    order_of,
    scope_of,
)
from service.common.resource.inclusion import record_json
from service.common.resource.values import to_plain
from tests.blueprints.aside import Aside
from tests.integration.sent import listening, read

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
# The first, second and third of each type in PostgreSQL's order.
VALUES: Mapping[str, tuple[Any, Any, Any]] = {
    "word": ("a", "b", "c"),
    "count": (-(2**31), 0, 2**31 - 1),
    "total": (-(2**63), 7, 2**63 - 1),
    "price": (Decimal("-0.50"), Decimal("0.00"), Decimal("12345678.90")),
    "ratio": (-1e300, 1e-7, 0.1),
    "active": (False, False, True),
    # asyncpg stores the first and the last date of Python as infinities.
    "day": (date(1, 1, 2), date(2026, 1, 31), date(9999, 12, 30)),
    "moment": (MOMENT.replace(year=1), MOMENT, MOMENT.replace(year=9999)),
    "token": (UUID(int=0), UUID(int=2**100), UUID(int=2**128 - 1)),
}
NAMES = (*VALUES, "extra")
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text('a"\\ é\n', max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
    ),
    max_leaves=5,
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {name: st.none() | st.sampled_from(values) for name, values in VALUES.items()}
        | {"extra": DOCUMENTS}
    ),
    max_size=9,
)
SORTS = st.lists(st.sampled_from([*VALUES]), min_size=1, max_size=2, unique=True).flatmap(
    lambda names: st.tuples(*(st.sampled_from([name, f"-{name}"]) for name in names))
)
# The same every time: what decides over a change must not depend on luck.
some = partial(
    settings,
    deadline=None,
    derandomize=True,
    # To simplify a failing example takes minutes here.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Sample(RecordColumns, Aside):
    """A record with a column of every type, each of which may be NULL."""

    __table_args__ = tuple(Index(None, name, "id") for name in VALUES)

    word: Mapped[str | None] = mapped_column(Text)
    count: Mapped[int | None] = mapped_column(Integer)
    total: Mapped[int | None] = mapped_column(BigInteger)
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    ratio: Mapped[float | None] = mapped_column(Double)
    active: Mapped[bool | None] = mapped_column(Boolean)
    day: Mapped[date | None] = mapped_column(Date)
    moment: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    token: Mapped[UUID | None] = mapped_column(Uuid)
    extra: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)


class ListSample(ListQuery):
    """With a filter for each column that has an order."""

    word: str | None = None
    count: int | None = None
    total: int | None = None
    price: Decimal | None = None
    ratio: float | None = None
    active: bool | None = None
    day: date | None = None
    moment: datetime | None = None
    token: UUID | None = None

    @classmethod
    def page_records(cls) -> int:
        """Return as many as the tests want: there is no schema file."""
        return 200


SAMPLE = Resource(Sample)


@pytest.fixture
async def session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine) as session:
        yield session


async def fill(session: AsyncSession, records: list[dict[str, Any]]) -> None:
    await session.execute(text("TRUNCATE sample RESTART IDENTITY"))
    for record in records:
        await session.execute(insert(Sample).values(record))


def in_order(records: list[dict[str, Any]], sort: tuple[str, ...]) -> list[int]:
    """Return the ids in an order: NULL comes last in both directions."""
    found = [{"id": number, **record} for number, record in enumerate(records, 1)]
    for key in reversed([*sort, "-id" if sort[-1].startswith("-") else "id"]):
        name, descending = key.removeprefix("-"), key.startswith("-")
        present = [one for one in found if one[name] is not None]
        present.sort(key=lambda one: one[name], reverse=descending)  # Called now.
        found = present + [one for one in found if one[name] is None]
    return [one["id"] for one in found]


@given(records=RECORDS, sort=SORTS, limit=st.integers(1, 4))
@some(max_examples=60)
async def test_pages_in_every_order_have_each_record_once_and_go_back(
    session: AsyncSession, records: list[dict[str, Any]], sort: tuple[str, ...], limit: int
) -> None:
    await fill(session, records)
    there: list[list[int]] = []
    back: list[list[int]] = []
    cursor: str | None = None
    pages: list[Page] = []
    while not pages or cursor:
        page = await SAMPLE.page(session, ListSample(sort=sort, limit=limit, after=cursor))
        pages.append(page)
        there.append([one["id"] for one in json.loads(page.records)])
        cursor = page.next
    cursor = pages[-1].previous
    while cursor:
        page = await SAMPLE.page(session, ListSample(sort=sort, limit=limit, after=cursor))
        back.append([one["id"] for one in json.loads(page.records)])
        cursor = page.previous

    assert [*chain(*there)] == in_order(records, sort)
    assert back[::-1] == there[: len(back)]
    assert len(back) == len(there) - 1


@given(records=RECORDS)
@some(max_examples=40)
async def test_a_record_is_represented_as_it_was_given(
    session: AsyncSession, records: list[dict[str, Any]]
) -> None:
    await fill(session, [])
    for record in records:
        stored = json.loads((await SAMPLE.insert(session, record)).json)

        assert {name: stored[name] for name in VALUES} == {
            name: to_plain(record[name]) for name in VALUES
        }
        assert stored["extra"] == record["extra"]


@given(records=RECORDS, name=st.sampled_from([*VALUES]), which=st.integers(0, 2))
@some(max_examples=40)
async def test_a_filter_finds_what_is_equal(
    session: AsyncSession, records: list[dict[str, Any]], name: str, which: int
) -> None:
    await fill(session, records)
    value = VALUES[name][which]
    page = await SAMPLE.page(session, ListSample.model_validate({name: value}))
    expected = [number for number, record in enumerate(records, 1) if record[name] == value]

    assert [one["id"] for one in json.loads(page.records)] == expected


async def test_json_null_is_stored_as_null(session: AsyncSession) -> None:
    await fill(session, [{"extra": None}, {"extra": [None]}])
    found = await session.scalars(select(Sample.id).where(Sample.extra.is_(None)))

    assert [*found] == [1]


class ShortPages(ListSample):
    """A query of records so large that a page has two."""

    @classmethod
    def page_records(cls) -> int:
        """Return their number."""
        return 2


async def test_a_page_of_large_records_is_shorter_and_has_a_next_one(session: AsyncSession) -> None:
    await fill(session, [{"count": number} for number in range(3)])
    page = await SAMPLE.page(session, ShortPages(limit=200, only=("count",)))
    after = await SAMPLE.page(session, ShortPages(limit=200, only=("count",), after=page.next))

    assert [page.records, after.records] == [b'[{"count":0},{"count":1}]', b'[{"count":2}]']


@pytest.mark.parametrize("sort", ["id", "count", "-count"])
async def test_later_pages_do_not_build_the_expression_of_a_record_again(
    session: AsyncSession, sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes most of the time that a statement takes, and clients choose cursors."""
    built: list[object] = []

    def build(*given: Any) -> Any:
        built.append(given)
        return record_json(*given)

    monkeypatch.setattr(collection, "record_json", build)
    await fill(session, [{"count": number if number > 3 else None} for number in range(8)])
    # The fields of no other test.
    only, after = ("extra", "count", "token", "id", sort.removeprefix("-")), None
    cursors = [
        after := (
            await SAMPLE.page(session, ListSample(sort=(sort,), limit=1, only=only, after=after))
        ).next
        for _ in range(8)
    ]

    assert len(set(cursors)) == 8
    # For a page in parts and for others.
    assert len(built) <= 2


MANY = 5000


@pytest.fixture
async def many(session: AsyncSession) -> None:
    """Fill a table that the planner knows; the second half of its records has NULL."""
    await session.execute(text("TRUNCATE sample RESTART IDENTITY"))
    half = MANY // 2
    filled = text(
        "INSERT INTO sample (count) SELECT CASE WHEN n <= :half THEN n END"
        " FROM generate_series(1, :most) AS n"
    )
    await session.execute(filled, {"half": half, "most": MANY})
    await session.execute(text("ANALYZE sample"))
    # Statements are explained by another session.
    await session.commit()


@pytest.mark.parametrize("sort", ["count", "-count"])
@pytest.mark.parametrize("place", [0, MANY // 4, MANY // 2 - 5, MANY // 2 + 1000])
@pytest.mark.usefixtures("many")
async def test_a_page_in_the_order_of_an_optional_field_reads_few_records(
    session: AsyncSession, engine: AsyncEngine, sort: str, place: int
) -> None:
    ids = in_order([{"count": n if n <= MANY // 2 else None} for n in range(1, MANY + 1)], (sort,))
    order = order_of([sort], SAMPLE.keys)
    last = ids[place - 1]
    key = (last if last <= MANY // 2 else None, last)
    for backward in (False, True):
        after = encode_cursor(Cursor(key, backward), scope_of(order, ())) if place else None
        query = ListSample(sort=(sort,), limit=10, after=after, only=("id",))
        with listening({Work.PAGES: engine}) as sent:
            page = await SAMPLE.page(session, query)
        found = [one["id"] for one in json.loads(page.records)]
        expected = ids[place - 11 : place - 1] if backward and place else ids[place : place + 10]

        assert found == expected
        selection = SAMPLE.selection(query, 10)
        assert not SAMPLE.is_costly(selection, in_parts=True)
        # An export is read as a whole.
        assert SAMPLE.is_costly(selection, in_parts=False) == (sort[0] == "-" or place > 0)
        # About a page of those with NULL, and one of the others.
        assert await read(engine, sent, "sample") <= 100
