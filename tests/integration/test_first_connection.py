"""The first connection of a pool, of which SQLAlchemy asks what server it is."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from service.common.database.database import Database
from service.common.database.sqlstates import translate
from service.common.database.work import Work
from service.common.errors import DatabaseError
from service.health.backend import select_revisions
from service.settings import Settings

TERMINATE = "SELECT pg_terminate_backend(pg_backend_pid())"
# SQLAlchemy sends three statements by a `Connection`.
STATEMENTS = range(3)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """Return a database to which there is no connection yet."""
    database = Database(settings)
    await database.open()
    yield database
    await database.close()


@contextmanager
def once_before(database: Database, statement: int, do: Callable[[Any], object]) -> Iterator[None]:
    """Call `do` with the cursor of the first connection's statement of this number."""
    sent: list[str] = []

    def before(cursor: Any, text: str, *_: Any) -> None:
        sent.append(text)
        if len(sent) == statement + 1:
            do(cursor)

    engine = vars(database)["_engines"][Work.HEALTH].sync_engine
    event.listen(engine, "do_execute", before)
    yield

    assert sent[0] == "select pg_catalog.version()"
    assert len(sent) > statement


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_a_cancelled_first_request_ends_no_other_wait(
    database: Database, statement: int
) -> None:
    calls = [asyncio.ensure_future(select_revisions(database.health()))]

    def leave(_: Any) -> None:
        calls[0].cancel()
        calls.append(asyncio.ensure_future(select_revisions(database.health())))

    with once_before(database, statement, leave), pytest.raises(asyncio.CancelledError):
        await calls[0]

    assert await calls[1]


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_its_loss_is_an_error_of_the_database(database: Database, statement: int) -> None:
    with (
        once_before(database, statement, lambda cursor: cursor.execute(TERMINATE)),
        pytest.raises(DBAPIError) as raised,
    ):
        await select_revisions(database.health())

    assert isinstance(translate(raised.value), DatabaseError)
