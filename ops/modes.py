"""Commands for the stack, in local processes or in containers."""

from ops.console import CommandError, just
from ops.containers import compose, engine
from ops.containers import stack as containers
from ops.containers.engine import EngineError
from ops.data import migrations, psql
from ops.local import stack
from service.settings import Settings


def up(settings: Settings, arguments: list[str]) -> int:
    """Start the stack: in containers if an engine answers, else as local processes."""
    where = arguments[0] if arguments else "auto"
    if len(arguments) > 1 or where not in {"auto", "local", "docker", "observe"}:
        raise CommandError(
            f"Unknown argument {' '.join(arguments)!r}: use `{just('up')}`, "
            f"`{just('up local')}`, `{just('up docker')}` or `{just('up observe')}`."
        )
    observe = where == "observe"
    where = "docker" if observe else where
    if where == "docker":
        compose.require()
    if where == "docker" and settings.database_url is not None:
        raise CommandError(
            "DATABASE_URL is set, and the containers have a PostgreSQL of their own: "
            f"unset it, or use `{just('up local')}`."
        )
    if stack.runs(settings):
        if where == "docker":
            raise CommandError(f"The stack runs as local processes: run `{just('down')}` first.")
        return stack.up(settings)
    if where == "local" and _containers_are_seen():
        raise CommandError(f"The stack runs in containers: run `{just('down')}` first.")
    if where == "auto" and settings.database_url is None and _docker_is_usable():
        where = "docker"
    return containers.up(settings, observe=observe) if where == "docker" else stack.up(settings)


def _docker_is_usable() -> bool:
    """Return whether the stack can run in containers; print why an engine can't be used."""
    if not engine.is_installed():
        return False
    try:
        compose.require()
    except EngineError as error:
        print(f"{error}\nStarting local processes instead.", flush=True)
        return False
    return True


def _containers_are_seen() -> bool:
    """Return whether containers run; users who chose local processes need no engine."""
    try:
        return compose.runs()
    except EngineError as error:
        print(f"Can't check whether containers of this project run: {error}", flush=True)
        return False


def down(settings: Settings, _arguments: list[str]) -> int:
    """Stop the running stack."""
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
    """Apply the migrations to the database of the stack, or to the configured one."""
    return _migrations(settings, ["upgrade", *arguments])


def migrate_sql(settings: Settings, _arguments: list[str]) -> int:
    """Print the SQL that `migrate` would run."""
    return _migrations(settings, ["pending"])


def downgrade(settings: Settings, _arguments: list[str]) -> int:
    """Revert the last migration."""
    return _migrations(settings, ["downgrade"])


def _migrations(settings: Settings, arguments: list[str]) -> int:
    python = containers.migrator() if in_containers(settings) else migrations.PYTHON
    return migrations.run(python, arguments)


def in_containers(settings: Settings) -> bool:
    """Return whether to use the database of the containers: they run, and no other is configured.

    Raises EngineError as `containers_run` does.
    """
    return settings.database_url is None and containers_run(settings)


def containers_run(settings: Settings) -> bool:
    """Return whether the stack runs in containers, and not as local processes.

    Raises EngineError if that can't be checked, and this folder was used for containers.
    """
    if stack.runs(settings):
        return False
    try:
        return compose.runs()
    except EngineError as error:
        if compose.was_used():
            message = f"Can't check whether containers of this project run: {error}"
            raise EngineError(message) from error
        # `.env` has no password: `just up` has never prepared containers here.
        return False


def url(settings: Settings) -> str:
    """Return the URL of the stack. Raises CommandError if it does not run."""
    found = stack.url(settings)
    if found is None and not containers_run(settings):
        raise CommandError(f"The stack does not run: run `{just('up')}` first.")
    return found or f"http://127.0.0.1:{settings.http_port}"
