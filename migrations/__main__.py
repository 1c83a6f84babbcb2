"""The commands of `just` for alembic: `python -m migrations COMMAND`."""

# Before the slow imports: Ctrl-C during them shows no traceback.
import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import io
import logging
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence

from alembic import command
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from migrations.objects import OBJECTS
from service.failures import guarded
from service.settings import ROOT

CREATE = "CREATE TABLE alembic_version"
Revisions = Sequence[str]


def upgrade(config: Config) -> None:
    """Apply all migrations."""
    _head(config)
    command.upgrade(config, "head")


def downgrade(config: Config) -> None:
    """Revert the last migration. Raises CommandError if there is none, or several."""
    current = _current(config)
    if not current:
        raise CommandError("There is nothing to revert: no migration has run.")
    if len(current) > 1:
        raise CommandError(
            f"The last migrations are {' and '.join(current)}, side by side: choose one with "
            f"`.venv/bin/alembic downgrade {current[0]}@-1`."
        )
    # A merge has several predecessors; downgrading to one of them reverts only the merge.
    before = ScriptDirectory.from_config(config).get_revision(current[0]).down_revision
    command.downgrade(
        config, before if isinstance(before, str) else before[0] if before else "base"
    )


def print_pending(config: Config) -> None:
    """Print the SQL that `upgrade` would run."""
    head, current = _head(config), _current(config)
    if current == (head,):
        print("-- Nothing is pending: the database is at the newest revision.")
        return
    config.attributes["current"] = current
    config.output_buffer = printed = io.StringIO()
    command.upgrade(config, "head", sql=True)
    # The table may exist, but be empty.
    print(printed.getvalue().replace(CREATE, f"{CREATE[:12]} IF NOT EXISTS{CREATE[12:]}"), end="")


def check(config: Config) -> None:
    """Upgrade and downgrade an empty database. Raises CommandError if it differs from the models.

    Or if objects are left after the downgrade, on which the next upgrade would fail.
    """
    upgrade(config)
    command.check(config)
    command.downgrade(config, "base")
    if left := sorted(_left_behind(config)):
        raise CommandError(
            f"After all migrations are reverted, this is left: {', '.join(left)}. Drop it in "
            'the `downgrade` of its migration, such as by `op.execute("DROP TYPE ...")`.'
        )
    upgrade(config)


def revise(config: Config, message: str) -> None:
    """Create a migration from the models, on an empty database."""
    upgrade(config)
    command.revision(config, message, autogenerate=True)


def _head(config: Config) -> str:
    """Return the newest migration. Raises CommandError if there are several, or one is missing."""
    try:
        heads = ScriptDirectory.from_config(config).get_heads()
    except KeyError as error:
        raise CommandError(
            f"A migration's `down_revision` is {error}, and there is no such migration: restore it "
            "or name another."
        ) from error
    if len(heads) != 1:
        raise CommandError(
            f"The newest migrations are {' and '.join(heads)}, side by side: join them with "
            '`.venv/bin/alembic merge heads --message "Merge."`, or put one after the other.'
        )
    return heads[0]


def _current(config: Config) -> tuple[str, ...]:
    """Return the revisions of the database."""
    found: list[str] = []
    _look(config, lambda revisions, _context: found.extend(revisions))
    return tuple(sorted(found))


def _left_behind(config: Config) -> list[str]:
    """Return the objects in the database except alembic's own table."""
    found: list[tuple[str, str]] = []

    def note(_revisions: Revisions, context: MigrationContext) -> None:
        if context.connection is not None:
            found.extend((row[0], row[1]) for row in context.connection.execute(text(OBJECTS)))

    _look(config, note)
    return [f"{kind} {name}" for kind, name in found if name != "public.alembic_version"]


def _look(config: Config, note: Callable[[Revisions, MigrationContext], None]) -> None:
    """Pass the revisions and the connection to `note`, without running migrations."""

    def steps(revisions: Revisions, context: MigrationContext) -> list[object]:
        note(revisions, context)
        return []

    scripts = ScriptDirectory.from_config(config)
    with EnvironmentContext(config, scripts, fn=steps, dont_mutate=True):
        scripts.run_env()


COMMANDS: dict[str, Callable[[Config], None]] = {
    "check": check,
    "downgrade": downgrade,
    "pending": print_pending,
    "upgrade": upgrade,
}


def main() -> int:
    """Run one command and return its exit code."""
    parser = ArgumentParser(prog="migrations", description=__doc__)
    parser.add_argument("command", choices=[*COMMANDS, "revision"])
    parser.add_argument("--force", action="store_true", help="share another project's database")
    parser.add_argument("--message", default="", help="what a new revision does")
    arguments = parser.parse_args()
    if arguments.command in {"check", "revision"}:
        # Without log lines about a temporary database.
        logging.basicConfig(format="%(message)s")
    config = Config(
        ROOT / "alembic.ini", cmd_opts=Namespace(x=["force"] if arguments.force else [])
    )
    try:
        if arguments.command == "revision":
            revise(config, arguments.message)
        else:
            COMMANDS[arguments.command](config)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    except DBAPIError as error:
        reason = str(error.orig).partition(">: ")[2] or str(error.orig)
        print(f"The database reported an error: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(guarded(main))
