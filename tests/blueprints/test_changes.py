"""Changes of any columns: exactly these change, by one statement whichever they are."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import ARRAY, Computed, Integer, Text, event, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from service.common.database import RecordColumns
from service.common.database.work import Work
from service.common.resource import Resource
from service.common.resource.entity_tags import Versions, versions_of
from service.common.web import App
from tests.blueprints.aside import Aside
from tests.blueprints.test_types import DOCUMENTS, NAMES, SAMPLE, VALUES, Sample, some

FIRST = {name: values[0] for name, values in VALUES.items()} | {"extra": {"a": 1}}
# Some columns of a record, each with another value or NULL.
CHANGES = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3), min_size=1).flatmap(
    lambda chosen: st.fixed_dictionaries(
        {
            name: DOCUMENTS if name == "extra" else st.just([*VALUES[name], None][number])
            for name, number in chosen.items()
        }
    )
)
ANY_VERSION = versions_of("*", None)


@pytest.fixture
async def record(engine: AsyncEngine) -> int:
    """Return the id of a record that has a value in each column."""
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE sample RESTART IDENTITY"))
        await connection.execute(insert(Sample).values(FIRST))
    return 1


@pytest.fixture
async def statements(app: App) -> AsyncIterator[set[str]]:
    """Return the texts of the writes that the service has executed."""
    texts: set[str] = set()
    engine = vars(app.database)["_autocommit_engines"][Work.WRITES].sync_engine

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        texts.add(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield texts
    event.remove(engine, "before_cursor_execute", note)


async def stored(engine: AsyncEngine, id: int) -> dict[str, Any]:
    async with AsyncSession(engine) as session:
        found = (await session.scalars(select(Sample).where(Sample.id == id))).one()
        return {name: getattr(found, name) for name in NAMES}


# Alone, because of the condition, or in a batch.
@pytest.mark.parametrize("versions", [None, ANY_VERSION], ids=["in a batch", "alone"])
@some(max_examples=60)
@given(changes=CHANGES)
async def test_a_change_sets_its_columns_and_no_other(
    app: App,
    engine: AsyncEngine,
    record: int,
    changes: Mapping[str, Any],
    versions: Versions | None,
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE sample RESTART IDENTITY"))
        await connection.execute(insert(Sample).values(FIRST))
    await SAMPLE.update(app.database.single_write(), record, changes, versions)

    assert await stored(engine, record) == {**FIRST, **changes}


@pytest.mark.parametrize("versions", [None, ANY_VERSION], ids=["in a batch", "alone"])
async def test_changes_of_other_columns_share_a_statement(
    app: App, record: int, statements: set[str], versions: Versions | None
) -> None:
    for name in NAMES:
        for more in NAMES:
            changes = {one: FIRST[one] for one in (name, more)}
            await SAMPLE.update(app.database.single_write(), record, changes, versions)

    assert len(statements) == 1


class Odd(RecordColumns, Aside):
    """A record with columns that such a statement can't set, and one that is never NULL."""

    name: Mapped[str] = mapped_column(Text)
    length: Mapped[int] = mapped_column(Integer, Computed("char_length(name)", persisted=True))
    words: Mapped[list[str]] = mapped_column(ARRAY(Text))
    place: Mapped[str | None] = mapped_column(Text, onupdate=text("'here'"))


ODD = Resource(Odd)


@pytest.fixture
async def odd(engine: AsyncEngine) -> int:
    """Return the id of such a record."""
    async with engine.begin() as connection:
        await connection.run_sync(lambda one: Odd.__table__.drop(one, checkfirst=True))  # type: ignore[attr-defined]
        await connection.run_sync(Odd.__table__.create)  # type: ignore[attr-defined]
        await connection.execute(insert(Odd).values(name="ab", words=["x"]))
    return 1


@pytest.mark.parametrize("versions", [None, ANY_VERSION], ids=["in a batch", "alone"])
async def test_columns_of_other_kinds_are_changed_as_ever(
    app: App, engine: AsyncEngine, odd: int, versions: Versions | None
) -> None:
    for changes in ({"name": "abc"}, {"words": ["y", "z"]}, {"name": "abcd", "words": []}):
        await ODD.update(app.database.single_write(), odd, changes, versions)
    async with AsyncSession(engine) as session:
        found = (await session.scalars(select(Odd))).one()

    assert (found.name, found.length, found.words, found.place) == ("abcd", 4, [], "here")


@pytest.mark.parametrize("versions", [None, ANY_VERSION], ids=["in a batch", "alone"])
async def test_null_is_refused_where_it_can_not_be(
    app: App, odd: int, versions: Versions | None
) -> None:
    with pytest.raises(IntegrityError):
        await ODD.update(app.database.single_write(), odd, {"name": None}, versions)
