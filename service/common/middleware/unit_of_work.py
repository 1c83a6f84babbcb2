"""The unit of work: one request, one session, durable before the first byte of a 2xx leaves."""

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
from service.common.middleware.admission import lent
from service.common.web import App, answer, current_application
from service.settings import Settings

FIRST_ERROR = 400


def register(app: App, settings: Settings) -> None:
    """Commit after a view that succeeded; roll back in every other case.

    The connections are opened with the application, and closed with it.
    """
    database = app.database = Database(settings, lent)

    @app.while_serving
    async def connections() -> AsyncGenerator[None, None]:
        await database.open()
        yield
        await database.close()

    app.after_request(finish)
    app.teardown_request(close)


def session() -> AsyncSession:
    """Return the request's transaction: committed if the view succeeds, or else rolled back.

    Raises RuntimeError: the view has written without it already.
    """
    if "session" not in g:
        if "single_write" in g and g.single_write.has_written:
            raise RuntimeError(SECOND_WRITE)
        g.session = current_application().database.writer()
    current: AsyncSession = g.session
    return current


def reader() -> Autocommit:
    """Return what runs reads that need no transaction: each statement sees what is committed."""
    return current_application().database.reader()


def single_write() -> Session:
    """Return what runs the only write of a view, in one round trip instead of three.

    A second write raises RuntimeError. If the request has a transaction already, as for an
    idempotency key, that is returned: the view takes part in it.
    """
    if "session" in g:
        transaction: AsyncSession = g.session
        return transaction
    if "single_write" not in g:
        g.single_write = current_application().database.single_write()
    current: SingleWrite = g.single_write
    return current


def health() -> Autocommit:
    """Return the session of a health check: no other request can take its connection."""
    return current_application().database.health()


def use_bulk_session(transfer: Transfer) -> None:
    """Give the request a session for many records, before it has another."""
    database = current_application().database
    g.transfer, g.session = transfer, database.bulk()
    database.transfers[transfer] = g.session


async def finish(response: Response) -> Response:
    """Commit where the answer is a success; an error of the commit becomes the answer."""
    if "session" not in g:
        return response
    try:
        if response.status_code < FIRST_ERROR:
            await commit(g.session)
    except Exception as error:  # noqa: BLE001  # Whatever it is, it is the answer now.
        response = await answer(error)
    await close(None)
    return response


async def close(error: BaseException | None) -> None:
    """Give the connection back, rolled back unless it was committed."""
    del error
    if "session" not in g:
        return
    try:
        await release(g.pop("session"))
    finally:
        if "transfer" in g:
            current_application().database.transfers.pop(g.pop("transfer"))
