"""How alembic reaches the database and the models."""

import asyncio
import logging
import pkgutil
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.pool import NullPool

import service
from service.common.engine import create_engine, database_url
from service.common.models import Base
from service.settings import load_settings

# Any number that no other program takes on this database: two migrators wait for each other.
LOCK = 0x666C75736B
LOCK_TIMEOUT = "5s"

if not logging.getLogger().handlers:
    logging.basicConfig(format="%(message)s")
    logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)

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
    # A lock of the session, not of a transaction: CREATE INDEX CONCURRENTLY allows no transaction.
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    try:
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
        connection.commit()


async def connect() -> None:
    """Run on the configured database; a migration may take as long as it needs."""
    given = context.config.attributes.get("url")
    engine = create_engine(
        given or database_url(load_settings()), statement_timeout=0, poolclass=NullPool
    )
    async with engine.connect() as connection:
        await connection.run_sync(run_online)
    await engine.dispose()


if context.is_offline_mode():
    run_offline()
else:
    # A thread of its own: the caller may be running a loop already.
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, connect()).result()
