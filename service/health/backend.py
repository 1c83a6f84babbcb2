"""The state of the database."""

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from service.common.database import UNDEFINED_TABLE, Session, shared, sqlstate_of
from service.common.errors import DatabaseError

# One statement, because it runs often.
STATE = text(
    "SELECT version_num, current_setting('transaction_read_only') = 'on' FROM alembic_version"
)


@shared
async def select_revisions(session: Session) -> frozenset[str]:
    """Return the revisions of the schema; none if it was never migrated.

    Raises DatabaseError if the database is read-only.
    """
    try:
        rows = (await session.execute(STATE)).all()
    except ProgrammingError as error:
        if sqlstate_of(error) != UNDEFINED_TABLE:
            raise
        return frozenset()
    if any(row[1] for row in rows):
        raise DatabaseError(
            "The database is read-only: a failover is in progress, or it is a standby."
        )
    return frozenset(row[0] for row in rows)
