"""Alembic's environment: the database and the models."""

import asyncio
import logging
import os
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
from migrations import server_defaults  # noqa: F401  # Alembic finds its class.
from service.common.database import (
    OLDEST_SERVER,
    READ_ONLY_STATE,
    Base,
    create_engine,
    database_url,
    sqlstate_of,
)
from service.common.embedded import EmbeddedPostgresError
from service.common.errors import DatabaseError
from service.logs import configure_logs
from service.settings import SettingsError, load_settings

log = logging.getLogger("migrations")
# An arbitrary number that no other program uses on this database: migrations are serialized.
LOCK = 0x666C75736B
LOCK_TIMEOUT = "5s"
LOCK_INTERVAL = 0.1
# Without tables of extensions.
TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = to_regnamespace(current_schema()) AND relkind IN ('r', 'p')
    AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE (classid, objid) = ('pg_class'::regclass, pg_class.oid) AND deptype = 'e'
    )
"""
NAMED_TABLES = 3
CHANGES = {"upgrade", "downgrade"}


def configure_output() -> None:
    """Print the steps: as the service logs if its logs are JSON, else as plain sentences."""
    try:
        settings = load_settings()
        is_plain = not settings.json_logs
    except SettingsError:
        is_plain = True  # `connect` reports it.
    if is_plain:
        logging.basicConfig(format="%(message)s")
    else:
        configure_logs(settings)
    log.setLevel(logging.INFO)
    steps = logging.getLogger("alembic.runtime.migration")
    steps.setLevel(logging.INFO)
    steps.addFilter(lambda record: record.getMessage().startswith("Running "))


if not logging.getLogger().handlers:
    configure_output()

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
        # The database's revision, if the caller has read it.
        starting_rev=context.config.attributes.get("current"),
    )
    with context.begin_transaction():
        context.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        context.run_migrations()


def run_online(connection: Connection) -> None:
    """Migrate, each migration in a transaction, under the advisory lock."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        compare_type=True,
        compare_server_default=True,
    )
    take_lock(connection)
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    try:
        if newer := require_own(connection):
            # Like `/readyz`: after a rollback an old build runs on a newer schema.
            log.warning("The schema is at %s, newer than this build.", newer)
            return
        with context.begin_transaction():
            context.run_migrations()
        if asked() in CHANGES:
            heads = ", ".join(context.get_context().get_current_heads())
            log.info("The schema is at %s.", heads or "nothing: no migration has run")
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
        connection.commit()


def require_own(connection: Connection) -> str:
    """Return the database's revisions of a newer build of this project.

    Raises CommandError if the database is another project's, if it is at such a revision and the
    command is not an upgrade, or if the server is too old.
    """
    title = title_of(connection)
    version = int(connection.scalar(text("SHOW server_version_num")) or 0) // 10000
    if version < OLDEST_SERVER:
        raise CommandError(
            f"The {title} is on PostgreSQL {version}: use {OLDEST_SERVER} or a newer one."
        )
    tables = set(connection.scalars(text(TABLES)))
    if asked() in CHANGES:
        log.info("Migrating the %s.", title)
    heads = context.get_context().get_current_heads()
    known = {script.revision for script in context.script.walk_revisions()}
    newer = ", ".join(head for head in heads if head not in known)
    if newer and tables.isdisjoint(Base.metadata.tables):
        raise CommandError(
            f"The {title} seems to be another project's: it is at {newer}, a revision that this "
            f"project does not know, and has none of its tables. Check {setting()}."
        )
    if newer and asked() != "upgrade":
        raise CommandError(
            f"The {title} is at {newer}, which this build does not know: use the build of that "
            "migration. If it was renamed, give it its old name again."
        )
    if asked() == "upgrade" and tables and "alembic_version" not in tables and not force():
        some = ", ".join([*sorted(tables)[:NAMED_TABLES], "…"][: len(tables)])
        raise CommandError(
            f"The {title} seems to be another project's: it has tables ({some}) and none of this "
            f"project's migrations. Check {setting()}, or add this project's tables with "
            f"`{os.environ.get('JUST_COMMAND', 'just')} migrate --force`."
        )
    return newer


def asked() -> str:
    """Return the name of alembic's command, each of which gives a function of its name."""
    return str(context.get_context().opts["fn"].__name__)


def force() -> bool:
    """Return whether the command has `-x force`."""
    return "force" in context.get_x_argument(as_dictionary=True)


def setting() -> str:
    """Return the name of the setting of the database for messages."""
    return str(context.config.attributes.get("setting", "DATABASE_URL"))


def title_of(connection: Connection) -> str:
    """Return a description of the database for messages."""
    # asyncpg has no public attribute for the address; it may have tried several.
    address = connection.connection.driver_connection._addr  # type: ignore[union-attr]  # noqa: SLF001
    host = address if isinstance(address, str) else ":".join(map(str, address))
    return f"database {connection.scalar(text('SELECT current_database()'))} at {host}"


def take_lock(connection: Connection) -> None:
    """Wait until no other migrator holds the lock, and take it for the session.

    Not in a transaction, which CREATE INDEX CONCURRENTLY does not allow; and not by a statement
    that waits: its snapshot would block CREATE INDEX CONCURRENTLY of the lock's holder.
    """
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
        connection.commit()
        time.sleep(LOCK_INTERVAL)


async def connect() -> None:
    """Run on the configured database, without a statement time-out.

    Raises CommandError, which alembic prints as one line.
    """
    attributes = context.config.attributes
    try:
        url = attributes.get("url")
        if url is None:
            settings = load_settings().direct
            url, attributes["setting"] = database_url(settings), settings.database_setting
        engine = create_engine(url, setting=setting(), statement_timeout=0, poolclass=NullPool)
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
            f"{setting()}: the database is read-only: wait until the failover is over, or name "
            "the primary."
        ) from error


if context.is_offline_mode():
    run_offline()
else:
    # A thread of its own: the caller may be running a loop already.
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, connect()).result()
