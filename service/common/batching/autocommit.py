"""Autocommit: statements that stand alone, each durable when it returns."""

from typing import Any, NoReturn

from sqlalchemy.ext.asyncio import AsyncSession

from service.common.batching.batches import Batches, Connections


class Autocommit(AsyncSession):
    """What runs single statements, for all requests of an application at once.

    Each has a connection of its own, in one round trip: no BEGIN, no COMMIT.
    Whatever takes more than a statement is refused, for it takes a transaction.
    """

    def __init__(self, connections: Connections) -> None:
        # Not that of AsyncSession: nothing is kept between two statements.
        self._session = connections.session
        self.batches = Batches(connections)

    async def execute(self, *args: Any, **options: Any) -> Any:
        """Run a statement and return its result."""
        async with self._session() as session:
            return await session.execute(*args, **options)

    async def scalar(self, *args: Any, **options: Any) -> Any:
        """Run a statement and return its first value."""
        async with self._session() as session:
            return await session.scalar(*args, **options)

    async def scalars(self, *args: Any, **options: Any) -> Any:
        """Run a statement and return the first value of each row."""
        async with self._session() as session:
            return await session.scalars(*args, **options)

    def in_transaction(self) -> bool:
        """Return that there is none."""
        return False

    @property
    def sync_session(self) -> NoReturn:  # type: ignore[override]
        """What all other methods ask for."""
        raise RuntimeError("A single statement has no session: ask for a transaction's.")
