"""The migrations on empty databases: upgrade, downgrade, concurrently, and as SQL."""

import asyncio
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text as sql_text
from sqlalchemy.pool import NullPool

from migrations import __main__ as migrations
from service.common.database.engine import create_engine
from service.common.database.models import Base
from service.settings import ROOT, Settings
from tests.app import create_app
from tests.conftest import alembic_config
from tests.migrations.conftest import connect

DEADLINE_SECONDS = 120
LOCK = 0x666C75736B
SQUAWK = Path(sys.executable).with_name("squawk")
MIGRATION = '''"""A migration of the test's own."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {parent!r}


def upgrade() -> None:
    {upgrade}


def downgrade() -> None:
    pass
'''


def head() -> str:
    """Return the newest revision of this build."""
    heads = ScriptDirectory(str(ROOT / "migrations")).get_heads()
    assert len(heads) == 1
    return heads[0]


async def alembic(run: Callable[..., object], url: str, *arguments: str) -> None:
    """Run a command of alembic as a caller with a running loop would."""
    await asyncio.to_thread(run, alembic_config(url), *arguments)


async def tables(url: str) -> set[str]:
    async with connect(url) as connection:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row[0] for row in rows}


@cache
def migrated() -> set[str]:
    """Return the tables of a migrated database: those of the models, and alembic's own."""
    create_app(Settings())  # It imports every model.
    return {"alembic_version", *Base.metadata.tables}


async def revisions(url: str) -> list[str]:
    async with connect(url) as connection:
        return [row[0] for row in await connection.fetch("SELECT version_num FROM alembic_version")]


async def advisory_locks(connection: asyncpg.Connection) -> int:
    """Return how many sessions of this database hold the migrators' lock."""
    count = await connection.fetchval(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND (classid::bigint << 32) + objid::bigint = $1",
        LOCK,
    )
    return int(count)


async def waiting(connection: asyncpg.Connection) -> int:
    """Return how many sessions ask for the migrators' lock again and again, with no snapshot."""
    count = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND state = 'idle' AND backend_xmin IS NULL"
        " AND query LIKE 'COMMIT%'"
    )
    return int(count)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until the condition holds; a deadline ends a test that would hang."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await condition():  # noqa: ASYNC110  # It is another process that changes.
            await asyncio.sleep(0.01)


def migrator(url: str, **settings: str) -> subprocess.Popen[str]:
    """Start what `just migrate` runs."""
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def config_with(url: str, directory: Path, *upgrades: str) -> Config:
    """Return alembic's configuration with more migrations behind the head."""
    parent = head()
    for number, upgrade in enumerate(upgrades, 1):
        revision = f"test{number}"
        text = MIGRATION.format(revision=revision, parent=parent, upgrade=upgrade)
        (directory / f"{revision}.py").write_text(text, encoding="utf-8")
        parent = revision
    config = alembic_config(url)
    versions = (ROOT / "migrations" / "versions", directory)
    config.set_main_option("version_locations", os.pathsep.join(map(str, versions)))
    return config


def sql(revisions: str = "head") -> str:
    """Return what `alembic upgrade … --sql` prints."""
    buffer = io.StringIO()
    config = Config(ROOT / "alembic.ini", output_buffer=buffer)
    command.upgrade(config, revisions, sql=True)
    return buffer.getvalue()


def test_there_is_one_head() -> None:
    scripts = ScriptDirectory(str(ROOT / "migrations"))

    assert len(scripts.get_heads()) == 1


def test_every_migration_says_what_it_does_and_can_be_undone() -> None:
    for script in ScriptDirectory(str(ROOT / "migrations")).walk_revisions():
        assert re.match(r"[A-Z].+\.$", script.doc)
        assert callable(script.module.upgrade)
        # A merge does nothing, and there is nothing to undo.
        assert script.is_merge_point or script.module.downgrade.__code__.co_names


async def test_the_migrations_run_forwards_backwards_and_forwards_again(empty_url: str) -> None:
    await alembic(command.upgrade, empty_url, "head")
    await alembic(command.check, empty_url)
    assert await tables(empty_url) == migrated()
    assert await revisions(empty_url) == [head()]

    await alembic(command.downgrade, empty_url, "base")
    assert await tables(empty_url) == {"alembic_version"}
    assert await revisions(empty_url) == []

    await alembic(command.upgrade, empty_url, "head")
    await alembic(command.check, empty_url)
    assert await tables(empty_url) == migrated()


async def test_each_migration_alone_runs_forwards_backwards_and_forwards(empty_url: str) -> None:
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    for script in reversed(list(scripts.walk_revisions())):
        before = await tables(empty_url) | {"alembic_version"}
        await alembic(command.upgrade, empty_url, script.revision)
        after = await tables(empty_url)
        if len(await revisions(empty_url)) == 1:
            await alembic(migrations.downgrade, empty_url)
        else:
            # Of branches that a later migration merges, `downgrade` would not know which.
            await alembic(command.downgrade, empty_url, f"{script.revision}@-1")

        assert await tables(empty_url) == before

        await alembic(command.upgrade, empty_url, script.revision)

        assert await tables(empty_url) == after
        assert script.revision in await revisions(empty_url)


async def test_a_migration_that_was_half_committed_can_run_again(empty_url: str) -> None:
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    found = [
        script
        for script in scripts.walk_revisions()
        if "autocommit_block" in script.module.upgrade.__code__.co_names
    ]
    for script in reversed(found):
        await alembic(command.upgrade, empty_url, script.revision)
        before = await constraints(empty_url)
        async with connect(empty_url) as connection:
            await connection.execute(
                "UPDATE alembic_version SET version_num = $1", script.down_revision
            )
        await alembic(command.upgrade, empty_url, script.revision)

        assert await revisions(empty_url) == [script.revision]
        assert await constraints(empty_url) == before


async def test_a_second_upgrade_changes_nothing(empty_url: str) -> None:
    await alembic(command.upgrade, empty_url, "head")
    async with connect(empty_url) as connection:
        files = (
            "SELECT relname, relfilenode FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace ORDER BY relname"
        )
        before = await connection.fetch(files)
        await alembic(command.upgrade, empty_url, "head")

        assert before
        assert await connection.fetch(files) == before


async def test_a_difference_between_models_and_database_is_found(empty_url: str) -> None:
    await alembic(command.upgrade, empty_url, "head")
    async with connect(empty_url) as connection:
        await connection.execute("CREATE TABLE in_no_model (id bigint)")

    with pytest.raises(Exception, match="New upgrade operations detected"):
        await alembic(command.check, empty_url)


async def constraints(url: str) -> dict[str, str]:
    """Return every constraint of the service's tables with its definition."""
    async with connect(url) as connection:
        rows = await connection.fetch(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace"
            " AND conrelid <> coalesce(to_regclass('alembic_version'), 0)"
        )
    return {row[0]: row[1] for row in rows}


async def test_the_migrated_constraints_are_those_of_the_models(empty_url: str) -> None:
    """`alembic check` does not compare CHECK constraints."""
    engine = create_engine(empty_url, statement_timeout=0, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.execute(sql_text("CREATE EXTENSION pg_trgm"))
        await connection.run_sync(Base.metadata.create_all)
    modelled = await constraints(empty_url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
    await alembic(command.upgrade, empty_url, "head")

    assert modelled
    assert await constraints(empty_url) == modelled


async def test_its_lines_are_like_those_of_the_service(empty_url: str) -> None:
    migration = migrator(empty_url, LOG_FORMAT="json")
    output, _ = await asyncio.to_thread(migration.communicate)
    lines = [json.loads(line) for line in output.splitlines()]

    assert migration.returncode == 0
    assert all(line.keys() == {"event", "level", "timestamp"} for line in lines)
    assert lines[-1]["event"] == f"The schema is at {head()}."


async def test_two_migrators_at_once_both_succeed(empty_url: str) -> None:
    """Both wait for the same lock, and are let go at the same time."""
    async with connect(empty_url) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        migrators = [migrator(empty_url), migrator(empty_url)]
        try:

            async def both_wait() -> bool:
                return await waiting(connection) == 2

            await eventually(both_wait)
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)
        except BaseException:
            for process in migrators:
                process.kill()
            raise
        finally:
            results = [await asyncio.to_thread(process.communicate) for process in migrators]

    assert [process.returncode for process in migrators] == [0, 0], results
    assert sorted("Running upgrade" in output for output, _ in results) == [False, True]
    assert await tables(empty_url) == migrated()
    assert await revisions(empty_url) == [head()]


async def test_a_migrator_waits_for_the_lock_of_another_and_frees_its_own(empty_url: str) -> None:
    async with connect(empty_url) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        upgrade = asyncio.create_task(alembic(command.upgrade, empty_url, "head"))

        async def it_waits() -> bool:
            assert not upgrade.done()
            return await waiting(connection) == 1

        await eventually(it_waits)

        assert await tables(empty_url) == set()

        await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)
        await upgrade

        assert await tables(empty_url) == migrated()
        assert await advisory_locks(connection) == 0


async def test_each_migration_has_a_lock_timeout_and_a_transaction_of_its_own(
    empty_url: str, tmp_path: Path
) -> None:
    probe = (
        "op.execute(\"CREATE TABLE {} AS SELECT current_setting('lock_timeout') AS lock,"
        " current_setting('statement_timeout') AS statement, pg_current_xact_id()::text AS id\")"
    )
    config = config_with(empty_url, tmp_path, probe.format("seen1"), probe.format("seen2"))
    await asyncio.to_thread(command.upgrade, config, "head")
    async with connect(empty_url) as connection:
        first = await connection.fetchrow("SELECT * FROM seen1")
        second = await connection.fetchrow("SELECT * FROM seen2")

    assert (first["lock"], second["lock"]) == ("5s", "5s")
    assert (first["statement"], second["statement"]) == ("0", "0")
    assert first["id"] != second["id"]


async def test_a_migration_that_waits_for_a_table_gives_up(empty_url: str, tmp_path: Path) -> None:
    """The migration shortens the wait, which is the only way to see it end without waiting."""
    await alembic(command.upgrade, empty_url, "head")
    async with connect(empty_url) as connection:
        await connection.execute("CREATE TABLE busy (id bigint)")
    short_wait = (
        "op.execute(\"SELECT set_config('lock_timeout', '1ms', true)"
        " WHERE current_setting('lock_timeout') <> '0'\");"
        ' op.add_column("busy", sa.Column("more", sa.Text()))'
    )
    config = config_with(empty_url, tmp_path, short_wait)
    async with connect(empty_url) as connection, connection.transaction():
        await connection.execute("LOCK TABLE busy IN ACCESS SHARE MODE")
        with pytest.raises(Exception, match="canceling statement due to lock timeout"):
            # Without a lock time-out this would wait for as long as the test does.
            async with asyncio.timeout(DEADLINE_SECONDS):
                await asyncio.to_thread(command.upgrade, config, "head")

    assert await revisions(empty_url) == [head()]


async def test_a_migration_that_fails_leaves_those_before_it_and_no_lock(
    empty_url: str, tmp_path: Path
) -> None:
    config = config_with(
        empty_url,
        tmp_path,
        'op.execute("CREATE TABLE kept (id bigint)")',
        'op.execute("CREATE TABLE lost (id bigint)"); op.execute("SELECT 1 / 0")',
    )
    with pytest.raises(Exception, match="division by zero"):
        await asyncio.to_thread(command.upgrade, config, "head")

    assert await tables(empty_url) == {*migrated(), "kept"}
    assert await revisions(empty_url) == ["test1"]
    async with connect(empty_url) as connection:
        assert await advisory_locks(connection) == 0


async def test_an_index_can_be_created_concurrently(empty_url: str, tmp_path: Path) -> None:
    table = 'op.execute("CREATE TABLE book (name text)")'
    concurrently = (
        "with op.get_context().autocommit_block():"
        ' op.create_index("ix_book_name", "book", ["name"], postgresql_concurrently=True)'
    )
    config = config_with(empty_url, tmp_path, table, concurrently, "pass")
    await asyncio.to_thread(command.upgrade, config, "head")

    assert await revisions(empty_url) == ["test3"]
    async with connect(empty_url) as connection:
        assert await connection.fetchval("SELECT to_regclass('ix_book_name') IS NOT NULL")
        assert await advisory_locks(connection) == 0


async def test_the_printed_sql_runs_as_it_is(empty_url: str) -> None:
    # Each by itself, as psql does it.
    statements = [text for text in sql().split(";") if text.strip()]
    async with connect(empty_url) as connection:
        for statement in statements:
            await connection.execute(statement)

    assert await tables(empty_url) == migrated()
    assert await revisions(empty_url) == [head()]
    await alembic(command.check, empty_url)


def test_the_printed_sql_has_nothing_but_sql_and_sets_the_lock_timeout() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head", "--sql"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    statements = [text.strip() for text in process.stdout.split(";") if text.strip()]

    assert process.stdout == sql()
    assert statements[0] == "SET lock_timeout = '5s'"
    assert statements[-1] == "COMMIT"
    assert statements.count("BEGIN") == statements.count("COMMIT")


def squawk(printed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SQUAWK, "--config", Path(__file__).with_name(".squawk.toml"), "--reporter", "gcc"],
        input=printed,
        capture_output=True,
        text=True,
        check=False,
    )


STEPS = [
    f"{script.down_revision or 'base'}:{script.revision}"
    for script in ScriptDirectory(str(ROOT / "migrations")).walk_revisions()
    if not script.is_merge_point
]


@pytest.mark.parametrize("revisions", STEPS)
def test_squawk_finds_nothing_dangerous_in_the_printed_sql(revisions: str) -> None:
    result = squawk(sql(revisions))

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("ALTER TABLE book ADD COLUMN more int NOT NULL;", "adding-required-field"),
        ("CREATE INDEX ix ON book (name);", "require-concurrent-index-creation"),
        ("ALTER TABLE book RENAME COLUMN name TO title;", "renaming-column"),
    ],
)
def test_squawk_would_find_a_dangerous_migration(statement: str, rule: str) -> None:
    result = squawk(sql() + statement)

    assert result.returncode == 1
    assert rule in result.stdout


def creates_tables(text: str) -> bool:
    """Return whether a source text creates tables outside of the migrations."""
    return "create_all" in text


def test_nothing_but_the_migrations_makes_tables() -> None:
    sources = [*(ROOT / "service").rglob("*.py"), *(ROOT / "migrations").rglob("*.py")]

    assert sources
    assert [path for path in sources if creates_tables(path.read_text("utf-8"))] == []
    assert creates_tables("Base.metadata.create_all(engine)")


async def test_the_application_does_not_migrate(empty_url: str) -> None:
    app = create_app(Settings(database_url=empty_url))
    async with app.test_app():
        ready = await app.test_client().get("/readyz")
        listed = await app.test_client().get("/item")

    assert ready.status_code == 503
    assert (await ready.get_json())["error"]["type"] == "DatabaseError"
    assert "run `just migrate`" in (await ready.get_json())["error"]["message"]
    assert listed.status_code == 503
    assert await tables(empty_url) == set()


async def test_the_application_is_ready_as_soon_as_it_is_migrated(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # That it was ready holds for a second.
    monkeypatch.setattr("service.health.domain.CACHE_SECONDS", 0)
    app = create_app(Settings(database_url=empty_url))
    async with app.test_app():
        before = await app.test_client().get("/readyz")
        await alembic(command.upgrade, empty_url, "head")
        after = await app.test_client().get("/readyz")
        async with connect(empty_url) as connection:
            await connection.execute("UPDATE alembic_version SET version_num = 'newer'")
        newer = await app.test_client().get("/readyz")
        await alembic_back(empty_url)
        behind = await app.test_client().get("/readyz")

    assert [response.status_code for response in (before, after, newer, behind)] == [
        503,
        200,
        200,
        503,
    ]


async def alembic_back(url: str) -> None:
    """Take the mark of every migration away."""
    async with connect(url) as connection:
        await connection.execute("DELETE FROM alembic_version")


async def test_an_old_build_leaves_a_newer_schema_as_it_is(empty_url: str) -> None:
    await alembic(command.upgrade, empty_url, "head")
    async with connect(empty_url) as connection:
        await connection.execute("UPDATE alembic_version SET version_num = 'newer'")
    await alembic(command.upgrade, empty_url, "head")

    async with connect(empty_url) as connection:
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == "newer"
    assert await tables(empty_url) == migrated()
