"""A connection pooler, such as PgBouncer: it may give each transaction another session.

The settings of a session are therefore set in each transaction, and a statement in autocommit is
made a transaction.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from service.common.database.sqlstates import is_stale_plan


def watch_pooler(engine: AsyncEngine) -> None:
    """Have the settings of an engine in each transaction, if its connections are a pooler's."""
    event.listen(engine.sync_engine, "begin", _begin)
    event.listen(engine.sync_engine, "do_execute", _execute)
    event.listen(engine.sync_engine, "do_executemany", _execute_many)
    event.listen(engine.sync_engine, "handle_error", _forget_stale_plans)


def _begin(connection: Connection) -> None:
    settings = _driver(connection).settings_of_transaction
    if settings and not _is_autocommit(connection):
        connection.exec_driver_sql(settings)


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    return _as_transaction(partial(cursor.execute, statement, parameters), context)


def _execute_many(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    return _as_transaction(partial(cursor.executemany, statement, parameters), context)


def _as_transaction(execute: Callable[[], object], context: Any) -> bool:
    """Run a statement in autocommit as a transaction; return whether it was run."""
    connection = context.root_connection
    driver = _driver(connection)
    if not driver.is_pooled or not _is_autocommit(connection):
        return False
    command = connection.connection.cursor()
    try:
        # Together, in one round trip.
        await_only(driver.execute(f"BEGIN; {driver.settings_of_transaction}"))
        execute()
        command.execute("COMMIT")
    except context.dialect.loaded_dbapi.Error as error:
        # Not after a time-out: the connection is not used again.
        if driver.is_in_transaction() and not is_stale_plan(error):
            command.execute("ROLLBACK")
        raise
    except BaseException:
        # The settings could not be set, or the request was cancelled: the session may be in a
        # transaction, and is not used again.
        driver.terminate()
        raise
    return True


def _forget_stale_plans(context: ExceptionContext) -> None:
    """End the pooler's session if its plans are older than a migration.

    SQLAlchemy prepares the statement again, but the pooler would use the plan of the same text. It
    ends the session of a client that leaves in a transaction.
    """
    connection = context.connection
    if connection is not None and is_stale_plan(context.original_exception):
        driver = _driver(connection)
        if driver.is_pooled:
            driver.terminate()
            context.is_disconnect = True
            context.invalidate_pool_on_disconnect = False


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _is_autocommit(connection: Connection) -> bool:
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
