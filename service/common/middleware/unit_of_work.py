"""The unit of work: one request, one session, durable before the first byte of a 2xx leaves."""

from collections.abc import AsyncGenerator

from quart import Quart, current_app, g
from quart.wrappers import Response
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.database.database import Database, commit, release
from service.common.database.transfers import Transfer
from service.common.middleware.admission import lent
from service.common.web.json_exceptions import answer
from service.common.web.request import current_request
from service.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD"})
FIRST_ERROR = 400


def register(app: Quart, settings: Settings) -> None:
    """Commit after a view that succeeded; roll back in every other case.

    The connections are opened with the application, and closed with it.
    """
    database = app.extensions["database"] = Database(settings, lent)

    @app.while_serving
    async def connections() -> AsyncGenerator[None, None]:
        await database.open()
        yield
        await database.close()

    app.after_request(finish)
    app.teardown_request(close)


def session() -> AsyncSession:
    """Return the request's session: a transaction's, but for GET and HEAD one that needs none."""
    if "session" not in g:
        if current_request().method in SAFE_METHODS:
            return _database().reader()
        g.session = _database().writer()
    current: AsyncSession = g.session
    return current


def autocommit() -> AsyncSession:
    """Return the session of a view that writes by one statement, which needs no transaction.

    Where the request has one already, as for an idempotency key, the view takes part in it.
    """
    current: AsyncSession | None = g.get("session")
    return _database().autocommit() if current is None else current


def health() -> AsyncSession:
    """Return the session of a health check: no other request can take its connection."""
    return _database().health()


def _database() -> Database:
    database: Database = current_app.extensions["database"]
    return database


def use_bulk_session(transfer: Transfer) -> None:
    """Give the request a session for many records, before it has another."""
    g.transfer, g.session = transfer, _database().bulk()
    _database().transfers[transfer] = g.session


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
            _database().transfers.pop(g.pop("transfer"))
