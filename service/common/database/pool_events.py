"""Checks without a round trip whether connections of a pool are usable."""

from time import monotonic
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.database.work_pool import began_at

# Shorter than the usual idle time-outs of firewalls and load balancers.
IDLE_SECONDS = 120
# SQLSTATEs after which a session is unusable: lost, ended by the server, or at a standby.
LOST_STATES = ("08", "25006", "57P0")


class Fitness:
    """Makes pools discard connections that are lost, idle for too long, or at a standby."""

    def __init__(self) -> None:
        self._lost_at = 0.0

    def watch(self, engine: AsyncEngine) -> None:
        """Check each connection of an engine."""
        target = engine.sync_engine
        event.listen(target, "checkin", self.checkin)
        event.listen(target, "checkout", self.checkout)
        event.listen(target, "handle_error", self.handle_error)

    def checkin(self, connection: Any, record: Any) -> None:
        """Record when a connection becomes idle."""
        record.info["idle_since"] = monotonic()
        # None if the pool discards it.
        if connection is not None:
            connection.driver_connection.mark_idle()

    def checkout(self, connection: Any, record: Any, proxy: Any) -> None:
        """Reject a connection that is no longer usable: the pool opens another one instead.

        A new one is always accepted, so that reads continue while the database is read-only.
        """
        del proxy
        idle_since = record.info.get("idle_since")
        if idle_since is None:
            return
        driver = connection.driver_connection
        if idle_since < max(self._lost_at, monotonic() - IDLE_SECONDS) or not driver.is_fit():
            # Without a termination message, which would wait for a server that may be lost.
            driver.terminate()
            # By SQLAlchemy, after this, a request that is cancelled meanwhile would keep its place.
            record.invalidate()
            raise DisconnectionError

    def handle_error(self, context: ExceptionContext) -> None:
        """Discard the connection if it is lost, and those that may be lost as well.

        They are those that are idle at that moment. Behind a pooler, which may have had the
        statement in its queue, those that have been used since the statement began are kept.
        """
        error, since = context.original_exception, monotonic()
        given_up = isinstance(error, TimeoutError)
        if given_up and context.connection is not None and not context.connection.invalidated:
            driver: Any = context.connection.connection.driver_connection
            if driver.is_pooled:
                since = began_at(context.connection)
            # The server does not respond: do not wait for it to terminate the session.
            driver.terminate()
        if (getattr(error, "sqlstate", None) or "").startswith(LOST_STATES):
            context.is_disconnect = True
        # SQLAlchemy would discard the others too, but wait two seconds for each to terminate.
        if given_up or (context.is_disconnect and context.invalidate_pool_on_disconnect):
            context.invalidate_pool_on_disconnect = False
            self._lost_at = max(self._lost_at, since)
