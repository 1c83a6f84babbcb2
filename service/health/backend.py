"""What the database says of itself."""

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.database_errors import sqlstate_of


async def select_revisions(session: AsyncSession) -> frozenset[str]:
    """Return the revisions that the schema is at; none where it was never migrated."""
    try:
        return frozenset(await session.scalars(text("SELECT version_num FROM alembic_version")))
    except ProgrammingError as error:
        if sqlstate_of(error) != "42P01":  # undefined_table
            raise
        return frozenset()
