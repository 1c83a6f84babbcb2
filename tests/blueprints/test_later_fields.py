"""Records with a field that was added later: their entity tags are others than before."""

from collections.abc import AsyncIterator
from typing import cast

import pytest
from sqlalchemy import Column, MetaData, Table, Text, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from service.common.database import Base, RecordColumns
from service.common.errors import PreconditionFailed
from service.common.resource import Resource, Versions
from service.common.resource.entity_tags import entity_tag, versions_of
from service.common.resource.versions import fingerprint
from tests.blueprints.aside import Aside


class Letter(RecordColumns, Aside):
    """What a person has sent, in an envelope since then."""

    text: Mapped[str] = mapped_column(Text)
    envelope: Mapped[str | None] = mapped_column(Text, info={"later": True})


LETTER = Resource(Letter)
ADDED = fingerprint(Letter)


def of_fields(*later: str) -> int:
    """Return the fingerprint of a model with these fields, which were added later."""
    columns = [Column(name, Text, info={"later": True}) for name in later]
    model = type("Letter", (), {"__table__": Table("letter", MetaData(), *columns)})
    return fingerprint(cast("type[Base]", model))


@pytest.fixture
async def session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """Return a transaction that has stored a record, and is rolled back."""
    async with AsyncSession(engine) as session:
        await session.execute(text("TRUNCATE letter RESTART IDENTITY"))
        await LETTER.insert(session, {"text": "Dear Ada"})
        yield session


def test_fingerprints_differ_by_fields_and_are_none_without() -> None:
    found = [of_fields(), of_fields("a"), of_fields("b"), of_fields("a", "b")]

    assert found[0] == 0
    assert len({*found}) == len(found)
    assert of_fields("b", "a") == of_fields("a", "b")


def test_a_tag_is_read_as_it_was_sent() -> None:
    for added in (ADDED, of_fields("a"), of_fields("b")):
        assert versions_of(entity_tag(added + 7), None) == Versions(frozenset({added + 7}))


async def test_the_tag_of_an_unchanged_record_has_the_fingerprint(session: AsyncSession) -> None:
    record = await LETTER.get(session, 1)
    changed = await LETTER.update(
        session, 1, {"envelope": "blue"}, Versions(frozenset({record.row_version}))
    )

    assert record.row_version == ADDED + 1
    assert changed.row_version == ADDED + 2


@pytest.mark.parametrize("values", [{}, {"envelope": "blue"}])
async def test_a_tag_from_before_the_field_is_refused(
    session: AsyncSession, values: dict[str, str]
) -> None:
    before = Versions(frozenset({1}))
    with pytest.raises(PreconditionFailed) as updated:
        await LETTER.update(session, 1, values, before)
    with pytest.raises(PreconditionFailed):
        await LETTER.delete(session, 1, before)
    with pytest.raises(PreconditionFailed):
        await LETTER.record(session, 1, before)
    kept = await LETTER.record(session, 1, Versions(frozenset({ADDED + 1})))

    assert updated.value.response_headers == {"ETag": f'"{ADDED + 1}"'}
    assert kept.text == "Dear Ada"
