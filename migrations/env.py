"""How alembic reaches the database and the models."""

import asyncio
import logging
import pkgutil
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

import service
from service.common.database_errors import READ_ONLY_STATE, sqlstate_of
from service.common.embedded import EmbeddedPostgresError
from service.common.engine import create_engine, database_url
from service.common.exceptions import DatabaseError
from service.common.models import Base
from service.settings import SettingsError, load_settings

log = logging.getLogger("migrations")
# Any number that no other program takes on this database: two migrators wait for each other.
LOCK = 0x666C75736B
LOCK_TIMEOUT = "5s"
LOCK_INTERVAL = 0.1

if not logging.getLogger().handlers:
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    steps = logging.getLogger("alembic.runtime.migration")
    steps.setLevel(logging.INFO)
    steps.addFilter(lambda record: record.getMessage().startswith("Running "))

for module in pkgutil.walk_packages(service.__path__, "service."):
    if module.name.endswith(".models"):
        import_module(module.name)


def run_offline() -> None:
    """Print the SQL instead of running it."""
    context.configure(
        dialect_name="postgresql",
        target_metadata=Base.metadata,
        literal_binds=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        context.run_migrations()


def run_online(connection: Connection) -> None:
    """Migrate, one migration a transaction, while no other migrator does."""
    context.configure(
        connection=connection, target_metadata=Base.metadata, transaction_per_migration=True
    )
    take_lock(connection)
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    try:
        known = {script.revision for script in context.script.walk_revisions()}
        if newer := set(context.get_context().get_current_heads()) - known:
            # As for `/readyz`: this is an old build beside a new schema, after a rollback.
            log.warning("The schema is at %s, newer than this build.", ", ".join(newer))
            return
        with context.begin_transaction():
            context.run_migrations()
        heads = ", ".join(context.get_context().get_current_heads())
        log.info("The schema is at %s.", heads or "nothing: no migration has run")
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
        connection.commit()


def take_lock(connection: Connection) -> None:
    """Wait until no other migrator holds the lock, and take it for the session.

    Not for a transaction, which CREATE INDEX CONCURRENTLY does not allow; and not in one statement
    that waits: it would have a snapshot, for whose end that command of the other waits in turn.
    """
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
        connection.commit()
        time.sleep(LOCK_INTERVAL)


async def connect() -> None:
    """Run on the configured database; a migration may take as long as it needs.

    Raises CommandError, which alembic prints as one line.
    """
    try:
        url = context.config.attributes.get("url") or database_url(load_settings())
        engine = create_engine(url, statement_timeout=0, poolclass=NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(run_online)
        await engine.dispose()
    except (SettingsError, EmbeddedPostgresError) as error:
        raise CommandError(str(error)) from error
    except DatabaseError as error:
        raise CommandError(f"{error.reason}.") from error
    except DBAPIError as error:
        if sqlstate_of(error) != READ_ONLY_STATE:
            raise
        raise CommandError(
            "DATABASE_URL: the database is read-only: wait until the failover is over, or name the "
            "primary."
        ) from error


if context.is_offline_mode():
    run_offline()
else:
    # A thread of its own: the caller may be running a loop already.
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, connect()).result()
