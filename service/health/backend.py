"""What the database says of itself."""

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from service.common.database import Session, shared, sqlstate_of
from service.common.errors import DatabaseError

# In one statement, for it is asked often.
STATE = text(
    "SELECT version_num, current_setting('transaction_read_only') = 'on' FROM alembic_version"
)


@shared
async def select_revisions(session: Session) -> frozenset[str]:
    """Return the revisions that the schema is at; none if it was never migrated.

    Raises DatabaseError: the database takes no changes.
    """
    try:
        rows = (await session.execute(STATE)).all()
    except ProgrammingError as error:
        if sqlstate_of(error) != "42P01":  # undefined_table
            raise
        return frozenset()
    if any(row[1] for row in rows):
        raise DatabaseError(
            "The database takes no changes: a failover is under way, or it is a standby."
        )
    return frozenset(row[0] for row in rows)
