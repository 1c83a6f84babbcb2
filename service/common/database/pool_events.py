"""Which connections of a pool are still fit for use: looked at without a round trip."""

from time import monotonic
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

# Shorter than the usual firewalls and load balancers remember an idle connection.
IDLE_SECONDS = 120
# SQLSTATEs after which a session is of no use: lost, ended by the server, or at a standby.
LOST = ("08", "25006", "57P0")


class Fitness:
    """Has a pool drop connections that are dead, too long idle, or at a read-only server."""

    def __init__(self) -> None:
        self._lost_at = 0.0

    def watch(self, engine: AsyncEngine) -> None:
        """Look at each connection of an engine."""
        target = engine.sync_engine
        event.listen(target, "checkin", self.checkin)
        event.listen(target, "checkout", self.checkout)
        event.listen(target, "handle_error", self.handle_error)

    def checkin(self, connection: Any, record: Any) -> None:
        """Note since when a connection is idle."""
        del connection
        record.info["idle_since"] = monotonic()

    def checkout(self, connection: Any, record: Any, proxy: Any) -> None:
        """Refuse a connection that is no longer fit: the pool makes another in its place.

        One that was just made is taken as it is: reads go on while nothing can be written.
        """
        del proxy
        idle_since = record.info.get("idle_since")
        if idle_since is None:
            return
        driver = connection.driver_connection
        if idle_since < max(self._lost_at, monotonic() - IDLE_SECONDS) or not driver.is_fit():
            # At once: a good-bye would wait for a server that may be gone.
            driver.terminate()
            raise DisconnectionError

    def handle_error(self, context: ExceptionContext) -> None:
        """Drop the connection if it is lost, and those that were idle at that moment."""
        error = context.original_exception
        given_up = isinstance(error, TimeoutError)
        if given_up and context.connection is not None and not context.connection.invalidated:
            # The server does not answer: neither would it to a good-bye.
            driver: Any = context.connection.connection.driver_connection
            driver.terminate()
        if (getattr(error, "sqlstate", None) or "").startswith(LOST):
            context.is_disconnect = True
        # SQLAlchemy would drop the others as well, but wait two seconds for a good-bye to each.
        if given_up or (context.is_disconnect and context.invalidate_pool_on_disconnect):
            context.invalidate_pool_on_disconnect = False
            self._lost_at = monotonic()
