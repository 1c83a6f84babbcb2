"""A SQL prompt on the configured database."""

import os
import signal
import subprocess
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from local import clients
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
    address, environment = connection(text)
    # Ctrl-C is for psql, which cancels the query with it.
    signal.signal(signal.SIGINT, lambda *_: None)
    return subprocess.run(
        [clients.program("psql"), address, *arguments],
        env=os.environ | environment,
        check=False,
    ).returncode


def connection(url: str) -> tuple[str, dict[str, str]]:
    """Return what libpq's programs are told of a database: an argument, and the environment."""
    address, password = without_password(libpq_url(url))
    return address, {"PGPASSWORD": password} if password else {}


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
