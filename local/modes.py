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
    if where == "docker" and settings.database_url is not None:
        raise CommandError(
            "DATABASE_URL is set, and the containers have a PostgreSQL of their own: "
            f"unset it, or use `{just('up local')}`."
        )
    if stack.runs(settings):
        if where == "docker":
            raise CommandError(f"The stack runs as local processes: `{just('down')}` first.")
        return stack.up(settings)
    if where == "local" and compose.runs():
        raise CommandError(f"The stack runs in containers: `{just('down')}` first.")
    if where == "local" or settings.database_url is not None or not compose.engine_answers():
        return stack.up(settings)
    return containers.up(settings)


def down(settings: Settings, _arguments: list[str]) -> int:
    """Stop the stack that runs."""
    return containers.down(settings) if containers_run(settings) else stack.down(settings)


def ps(settings: Settings, _arguments: list[str]) -> int:
    """Show what runs."""
    return containers.ps() if containers_run(settings) else stack.ps(settings)


def logs(settings: Settings, _arguments: list[str]) -> int:
    """Follow the logs."""
    return containers.logs() if containers_run(settings) else stack.logs(settings)


def sql(settings: Settings, arguments: list[str]) -> int:
    """Open a SQL prompt on the database of the stack, or on the configured one."""
    if in_containers(settings):
        return containers.psql(arguments)
    return psql.run(settings, arguments)


def migrate(settings: Settings, arguments: list[str]) -> int:
    """Run `python -m migrations` on the database of the stack, or on the configured one."""
    inside = in_containers(settings)
    python = [*containers.alembic()[:-1], "python"] if inside else migrations.PYTHON
    return migrations.run(python, arguments)


def in_containers(settings: Settings) -> bool:
    """Return whether the database of the containers is meant: they run, and no other is named."""
    return settings.database_url is None and containers_run(settings)


def containers_run(settings: Settings) -> bool:
    """Return whether the stack runs in containers, and not as local processes."""
    return not stack.runs(settings) and compose.runs()


def url(settings: Settings) -> str:
    """Return where the stack answers. Raises CommandError: it does not run."""
    found = stack.url(settings)
    if found is None and not compose.runs():
        raise CommandError(f"The stack does not run: `{just('up')}` first.")
    return found or f"http://127.0.0.1:{settings.http_port}"
