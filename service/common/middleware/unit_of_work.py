"""The unit of work: a view's transaction, or statements in autocommit.

The transaction is committed before the first byte of a 2xx is sent.
"""

from collections.abc import AsyncGenerator

from quart import g
from quart.wrappers import Response
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.database import (
    SECOND_WRITE,
    Autocommit,
    Database,
    Session,
    SingleWrite,
    Transfer,
    commit,
    release,
)
from service.common.middleware.admission import suspended
from service.common.web import App, answer, current_application
from service.settings import Settings

FIRST_ERROR = 400


def register(app: App, settings: Settings) -> None:
    """Commit after a view that succeeded; roll back in every other case.

    The connections are opened and closed with the application.
    """
    database = app.database = Database(settings, suspended)

    @app.while_serving
    async def connections() -> AsyncGenerator[None, None]:
        await database.open()
        yield
        await database.close()

    app.after_request(finish)
    app.teardown_request(close)


def session() -> AsyncSession:
    """Return the request's transaction: committed if the view succeeds, else rolled back.

    Raises RuntimeError if the view has already written outside of it.
    """
    if "session" not in g:
        if "single_write" in g and g.single_write.has_written:
            raise RuntimeError(SECOND_WRITE)
        g.session = current_application().database.transaction()
    current: AsyncSession = g.session
    return current


def reader() -> Autocommit:
    """Return a session in autocommit for reads: each statement sees what is committed."""
    return current_application().database.reader()


def single_write() -> Session:
    """Return a session in autocommit for the only write of a view: one round trip, not three.

    A second write raises RuntimeError. If the request already has a transaction, as for an
    idempotency key, this is returned: the write is part of it.
    """
    if "session" in g:
        transaction: AsyncSession = g.session
        return transaction
    if "single_write" not in g:
        g.single_write = current_application().database.single_write()
    current: SingleWrite = g.single_write
    return current


def health() -> Autocommit:
    """Return the session of a health check, which has a connection of its own."""
    return current_application().database.health()


def use_bulk_session(transfer: Transfer) -> None:
    """Give the request a session for an import or export, before it has another."""
    database = current_application().database
    g.transfer, g.session = transfer, database.bulk()
    database.transfers[transfer] = g.session


async def finish(response: Response) -> Response:
    """Commit if the response is a success; a failed commit becomes an error response."""
    if "session" not in g:
        return response
    try:
        if response.status_code < FIRST_ERROR:
            await commit(g.session)
    except Exception as error:  # noqa: BLE001  # Rendered as the response.
        response = await answer(error)
    await close(None)
    return response


async def close(error: BaseException | None) -> None:
    """Release the connection; roll back unless it was committed."""
    del error
    if "session" not in g:
        return
    try:
        await release(g.pop("session"))
    finally:
        if "transfer" in g:
            current_application().database.transfers.pop(g.pop("transfer"))
