"""What `just` asks of alembic: merges, heads, revisions of others, what is left behind."""

import ast
import asyncio
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Identity, MetaData, Table, func, text
from sqlalchemy.dialects import postgresql

from migrations import __main__ as migrations
from ops.console import CommandError as LocalCommandError
from ops.data import migrations as local_migrations
from service.common.database.models import Base
from service.settings import ROOT, Settings
from tests.blueprints.item.models import Item
from tests.conftest import create_tables
from tests.migrations.conftest import connect
from tests.migrations.test_migrations import MIGRATION, alembic, head, revisions, tables

ENUM = "op.execute(\"CREATE TYPE mood AS ENUM ('fine')\")"


def write(directory: Path, revision: str, parent: object, upgrade: str = "pass") -> None:
    text = MIGRATION.format(revision=revision, parent=parent, upgrade=upgrade)
    (directory / f"{revision}.py").write_text(text, encoding="utf-8")


def using(directory: Path, run: Callable[[Config], object]) -> Callable[[Config], object]:
    """Return the command with the migrations of a directory behind those of the project."""

    def with_more(config: Config) -> object:
        config.set_main_option("version_locations", f"{ROOT / 'migrations/versions'}:{directory}")
        return run(config)

    return with_more


async def run_sql(url: str, *statements: str) -> None:
    async with connect(url) as connection:
        for statement in statements:
            await connection.execute(statement)


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """Return a directory with two branches behind the head, and their merge."""
    write(tmp_path, "left", head(), 'op.execute("CREATE TABLE left_one ()")')
    write(tmp_path, "right", head(), 'op.execute("CREATE TABLE right_one ()")')
    write(tmp_path, "both", ("left", "right"))
    return tmp_path


@pytest.mark.parametrize("start", ["base", "left", "left right"])
async def test_the_pending_sql_continues_from_any_side_of_a_merge(
    empty_url: str, merged: Path, capsys: pytest.CaptureFixture[str], start: str
) -> None:
    for revision in () if start == "base" else start.split():
        await alembic(using(merged, partial(command.upgrade, revision=revision)), empty_url)
    capsys.readouterr()
    await alembic(using(merged, migrations.print_pending), empty_url)
    printed = capsys.readouterr().out
    # Each by itself, as psql does it.
    await run_sql(empty_url, *(part for part in printed.split(";") if part.strip()))
    await alembic(using(merged, migrations.print_pending), empty_url)

    assert await revisions(empty_url) == ["both"]
    assert {"left_one", "right_one", *Base.metadata.tables} <= await tables(empty_url)
    assert capsys.readouterr().out.startswith("-- Nothing is pending")


async def test_going_back_from_a_merge_takes_back_the_merge_alone(
    empty_url: str, merged: Path
) -> None:
    await alembic(using(merged, migrations.upgrade), empty_url)
    await alembic(using(merged, migrations.downgrade), empty_url)

    assert sorted(await revisions(empty_url)) == ["left", "right"]
    with pytest.raises(CommandError, match="left and right, side by side"):
        await alembic(using(merged, migrations.downgrade), empty_url)


@pytest.mark.parametrize(
    "run",
    [migrations.upgrade, migrations.print_pending, migrations.check],
    ids=lambda run: run.__name__,
)
async def test_unmerged_branches_are_one_message(
    empty_url: str, merged: Path, run: Callable[[Config], None]
) -> None:
    (merged / "both.py").unlink()
    with pytest.raises(CommandError, match="left and right, side by side: join them"):
        await alembic(using(merged, run), empty_url)

    assert await tables(empty_url) == set()


async def test_a_migration_that_is_missing_is_one_sentence(empty_url: str, tmp_path: Path) -> None:
    write(tmp_path, "orphan", "renamed")
    with pytest.warns(UserWarning, match="renamed"), pytest.raises(CommandError, match="'renamed'"):
        await alembic(using(tmp_path, migrations.upgrade), empty_url)


async def test_going_back_from_nothing_is_one_sentence(empty_url: str) -> None:
    with pytest.raises(CommandError, match="nothing to revert"):
        await alembic(migrations.downgrade, empty_url)

    assert await tables(empty_url) == set()


async def test_each_migration_can_be_taken_back(empty_url: str) -> None:
    await alembic(migrations.upgrade, empty_url)
    while await revisions(empty_url):
        await alembic(migrations.downgrade, empty_url)

    assert await tables(empty_url) == {"alembic_version"}


@pytest.mark.parametrize("run", [migrations.downgrade, migrations.print_pending])
async def test_a_revision_that_this_build_does_not_know_is_one_sentence(
    empty_url: str, run: Callable[[Config], None]
) -> None:
    await alembic(migrations.upgrade, empty_url)
    await run_sql(empty_url, "UPDATE alembic_version SET version_num = 'renamed'")
    with pytest.raises(CommandError, match="is at renamed, which this build does not know"):
        await alembic(run, empty_url)

    assert await revisions(empty_url) == ["renamed"]


@pytest.mark.parametrize(
    "run", [migrations.downgrade, migrations.print_pending, migrations.upgrade]
)
async def test_the_database_of_another_project_with_migrations_is_refused_by_name(
    empty_url: str, run: Callable[[Config], None]
) -> None:
    await run_sql(
        empty_url,
        "CREATE TABLE orders ()",
        "CREATE TABLE alembic_version AS SELECT 'abc'::text AS version_num",
    )
    name = urlsplit(empty_url).path[1:]
    with pytest.raises(CommandError, match=rf"{name} at .* another project's: it is at abc"):
        await alembic(run, empty_url)

    assert await tables(empty_url) == {"alembic_version", "orders"}


async def test_a_database_with_other_tables_is_migrated_only_with_force(empty_url: str) -> None:
    await run_sql(empty_url, "CREATE EXTENSION pg_trgm", "CREATE TABLE orders ()")
    with pytest.raises(CommandError, match=r"has tables \(orders\) .* migrate --force"):
        await alembic(migrations.upgrade, empty_url)
    assert await tables(empty_url) == {"orders"}

    def forced(config: Config) -> None:
        config.cmd_opts = Namespace(x=["force"])
        migrations.upgrade(config)

    await alembic(forced, empty_url)
    # From now on it is this project's too.
    await alembic(migrations.upgrade, empty_url)

    assert {"orders", *Base.metadata.tables} <= await tables(empty_url)


async def test_objects_left_by_a_downgrade_are_named(empty_url: str, tmp_path: Path) -> None:
    write(tmp_path, "moody", head(), ENUM)
    with pytest.raises(CommandError, match=r"this is left: type public\.mood\."):
        await alembic(using(tmp_path, migrations.check), empty_url)


async def test_the_project_s_own_migrations_leave_nothing_behind(empty_url: str) -> None:
    await alembic(migrations.check, empty_url)

    assert await revisions(empty_url) == [head()]


@pytest.mark.parametrize(
    ("changed", "detected"),
    [
        ("ALTER COLUMN row_version SET DEFAULT 2", "modify_default"),
        ("ALTER COLUMN created_at SET DEFAULT now() + interval '1 s'", "modify_default"),
        ("ALTER COLUMN created_at DROP DEFAULT", "modify_default"),
        ("ALTER COLUMN name SET DEFAULT 'x'", "modify_default"),
        ("ALTER COLUMN row_version TYPE integer", "modify_type"),
    ],
)
async def test_a_changed_default_or_type_is_detected(
    empty_url: str, changed: str, detected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)
    for table in (*Base.metadata.tables.values(), Item.metadata.tables["item"]):
        table.to_metadata(metadata)
    monkeypatch.setattr(Base, "metadata", metadata)
    await alembic(migrations.upgrade, empty_url)
    await create_tables(empty_url, metadata)
    await alembic(command.check, empty_url)
    await run_sql(empty_url, f"ALTER TABLE item {changed}")
    with pytest.raises(CommandError, match=detected):
        await alembic(command.check, empty_url)


DEFAULTS = Table(
    "defaults",
    MetaData(),
    sa.Column("id", sa.BigInteger, Identity(), primary_key=True),
    sa.Column("serial", sa.Integer, sa.Sequence("defaults_serial_seq")),
    sa.Column("text", sa.Text, server_default="it's 100%"),
    sa.Column("empty", sa.Text, server_default=""),
    sa.Column("number", sa.Numeric(9, 2), server_default="1.50"),
    sa.Column("flag", sa.Boolean, server_default=sa.false()),
    sa.Column("random", sa.Float, server_default=text("random() * 10")),
    sa.Column("uuid", sa.Uuid, server_default=func.gen_random_uuid()),
    sa.Column("clock", sa.DateTime(timezone=True), server_default=func.clock_timestamp()),
    sa.Column("later", sa.Date, server_default=text("CURRENT_DATE + 1")),
    sa.Column("json", sa.JSON, server_default=text("'{}'")),
    sa.Column("jsonb", postgresql.JSONB, server_default=text("'{\"a\": [1]}'::jsonb")),
    sa.Column("array", sa.ARRAY(sa.Text), server_default=text("ARRAY['a', 'b']::text[]")),
    sa.Column("none", sa.ARRAY(sa.Text), server_default="{}"),
    sa.Column("interval", sa.Interval, server_default=text("'1 day'")),
    sa.Column("mood", sa.Enum("fine", "well", name="mood"), server_default="fine"),
    sa.Column("computed", sa.Text, sa.Computed("lower(text)", persisted=True)),
)


async def test_defaults_that_are_the_same_are_not_detected(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)
    for table in (*Base.metadata.tables.values(), DEFAULTS):
        table.to_metadata(metadata)
    engine = sa.create_mock_engine(
        "postgresql+asyncpg://", lambda statement, *_: made.append(statement)
    )
    made: list[object] = []
    metadata.tables["defaults"].create(engine, checkfirst=False)
    created = [str(one.compile(dialect=engine.dialect)) for one in made]  # type: ignore[attr-defined]
    await alembic(migrations.upgrade, empty_url)
    await run_sql(empty_url, *created)
    monkeypatch.setattr(Base, "metadata", metadata)
    await alembic(command.check, empty_url)
    await run_sql(empty_url, "ALTER TABLE defaults ALTER random SET DEFAULT random() * 11")

    with pytest.raises(CommandError, match="modify_default"):
        await alembic(command.check, empty_url)


@pytest.mark.parametrize(
    "message",
    ['it\'s "quoted"', '"""', "50% %(x)s ${y}", "a\\b \\", "Größe 数", "%%%", "-m -x", "a" * 300],
)
def test_a_revision_takes_any_message(tmp_path: Path, message: str) -> None:
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("version_locations", f"{ROOT / 'migrations/versions'}:{tmp_path}")
    command.revision(config, message, version_path=tmp_path)
    [script] = tmp_path.glob("*.py")
    said = ast.get_docstring(ast.parse(script.read_text("utf-8"))) or ""

    assert said.splitlines()[0] == f"{message.replace(chr(34), chr(39))}."
    assert compile(script.read_text("utf-8"), script, "exec")


@pytest.mark.parametrize("message", ["", " \n", "a\0b"])
def test_a_revision_without_a_message_is_refused(message: str) -> None:
    with pytest.raises(LocalCommandError, match="Describe the migration"):
        local_migrations.revise(Settings(), [message])


async def test_a_missing_right_is_one_sentence(postgres: str, empty_url: str) -> None:
    """And not a traceback."""
    await run_sql(empty_url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    role = "without_rights"
    await run_sql(postgres, f"CREATE ROLE {role} LOGIN")
    try:
        url = empty_url.replace("//postgres", f"//{role}", 1)
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "migrations", "upgrade"],
            cwd=ROOT,
            env={"DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        await run_sql(postgres, f"DROP ROLE {role}")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "The database reported an error: permission denied for schema public"
    )
