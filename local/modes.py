"""Which stack a command is for: local processes, or containers."""

from local import compose, containers, migrations, psql, stack
from local.console import CommandError, just
from service.settings import Settings


def up(settings: Settings, arguments: list[str]) -> int:
    """Start the stack: in containers where an engine answers, else as local processes."""
    where = arguments[0] if arguments else "auto"
    if len(arguments) > 1 or where not in {"auto", "local", "docker"}:
        raise CommandError(
            f"`{just('up')}` does not know {' '.join(arguments)!r}: "
            f"write `{just('up')}`, `{just('up local')}` or `{just('up docker')}`."
        )
    if where == "docker" and not compose.engine_answers():
        raise CommandError(
            f"No Docker engine with compose answers. Start it, or use `{just('up local')}`."
        )
    if where == "local" or stack.runs(settings) or not compose.engine_answers():
        return stack.up(settings)
    return containers.up()


def down(settings: Settings, _arguments: list[str]) -> int:
    """Stop the stack that runs."""
    return containers.down() if in_containers(settings) else stack.down(settings)


def ps(settings: Settings, _arguments: list[str]) -> int:
    """Show what runs."""
    return containers.ps() if in_containers(settings) else stack.ps(settings)


def logs(settings: Settings, _arguments: list[str]) -> int:
    """Follow the logs."""
    return containers.logs() if in_containers(settings) else stack.logs(settings)


def sql(settings: Settings, arguments: list[str]) -> int:
    """Open a SQL prompt on the database of the stack, or on the configured one."""
    if in_containers(settings):
        return containers.psql(arguments)
    return psql.run(settings, arguments)


def migrate(settings: Settings, _arguments: list[str]) -> int:
    """Apply the migrations to the database of the stack, or to the configured one."""
    return containers.migrate() if in_containers(settings) else migrations.apply()


def in_containers(settings: Settings) -> bool:
    """Return whether the containers are meant: they run, and no other database is named."""
    return settings.database_url is None and not stack.runs(settings) and compose.runs()
