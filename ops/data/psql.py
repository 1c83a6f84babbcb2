"""A SQL prompt on the configured database."""

import os
import signal
import subprocess

from ops.console import CommandError
from ops.data import clients
from service.common.embedded import start
from service.failures import complain
from service.settings import Settings, parse_address

# psql's exit code if there is no connection, or no longer.
NO_CONNECTION = 2


def run(settings: Settings, arguments: list[str]) -> int:
    """Run psql with the arguments and return its exit code."""
    settings = settings.direct
    if settings.database_url is None:
        # The server runs as long as this process, even if the stack stops meanwhile.
        text = start(settings.state_dir.resolve() / "postgres")
    else:
        text = settings.database_url.get_secret_value()
    address, environment = connection(text)
    # Ctrl-C is for psql, which cancels the query with it.
    signal.signal(signal.SIGINT, lambda *_: None)
    code = subprocess.run(
        [clients.program("psql"), address, *arguments],
        env=environment,
        check=False,
    ).returncode
    if code == NO_CONNECTION and settings.database_url is not None:
        complaint = (
            f"No connection with {settings.database_setting}, {address}, for the reason above."
        )
        complain(CommandError(complaint))
    return code


def connection(url: str) -> tuple[str, dict[str, str]]:
    """Return the argument and the environment for libpq's programs on a database.

    The argument has no secret, because every user can read it. The environment has no `PG*`
    variables of the shell: as for the service, only the URL counts.
    """
    address = parse_address(url)
    own = {"PGPASSWORD": address.password} if address.password else {}
    others = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return address.to_libpq(), others | own
