"""What is noted for an observed request: its statements, and its waits for a connection."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service.common.database import Work, WorkPool, commit, release
from service.common.database.engine import create_engine
from service.common.database.statements import observe_statements
from service.observed import OBSERVED, Observed, Span, Statement
from tests.integration.test_unit_of_work import objection
from tests.waiting import until_waiting


class Noted:
    """A span that keeps what is added to it."""

    def __init__(self) -> None:
        self.waits: list[tuple[str, int]] = []
        self.statements: list[Statement] = []

    def add_wait(self, pool: str, seconds: float, calls: int) -> None:
        assert seconds > 0
        self.waits.append((pool, calls))

    def add_statement(self, statement: Statement, sharing: Sequence[Span]) -> None:
        assert sharing == [self]
        self.statements.append(statement)

    def summaries(self) -> list[tuple[str, str, str]]:
        return [(one.operation, one.table, one.failure) for one in self.statements]


async def test_statements_commits_failures_and_waits_are_noted(database_url: str) -> None:
    engine = create_engine(
        database_url, statement_timeout=0, poolclass=WorkPool, pool_size=1, max_overflow=0
    )
    pool = cast("WorkPool", engine.pool)
    pool.name = Work.WRITES
    observe_statements(engine)
    span = Noted()
    request = Observed(span)

    async def write() -> None:
        OBSERVED.set((request,))
        session = AsyncSession(engine)
        await session.execute(text("DELETE FROM item WHERE id = 0"))
        await commit(session)
        with pytest.raises(DBAPIError):
            await session.execute(text("SELECT 1 / 0"))
        await release(session)

    async with engine.connect() as first:
        await first.execute(text("SELECT 1 FROM item"))
        writing = asyncio.create_task(write())
        await until_waiting(pool, 1)
    await writing
    await engine.dispose()

    assert span.waits == [(Work.WRITES, 1)]
    assert span.summaries() == [
        ("DELETE", "item", ""),
        ("COMMIT", "", ""),
        ("SELECT", "", "22012"),
    ]
    assert request.pool_seconds > 0
    assert request.database_seconds > 0


async def test_a_commit_that_fails_is_noted_as_a_failure(
    database_url: str, engine: AsyncEngine, empty_database: None
) -> None:
    own = create_engine(database_url, statement_timeout=0, poolclass=WorkPool)
    observe_statements(own)
    span = Noted()

    async def write() -> None:
        OBSERVED.set((Observed(span),))
        session = AsyncSession(own)
        await session.execute(text("INSERT INTO item (name, email) VALUES ('ab', 'a@b.org')"))
        with pytest.raises(DBAPIError):
            await commit(session)
        await release(session)

    async with objection(engine, "40001"):
        await asyncio.create_task(write())
    await own.dispose()

    assert span.summaries() == [("INSERT", "item", ""), ("COMMIT", "", "40001")]
