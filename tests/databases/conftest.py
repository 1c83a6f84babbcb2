"""Databases as people bring them: over TCP, with TLS, behind PgBouncer, with a standby."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, cast

import pytest

from service.settings import Settings
from tests.app import create_app
from tests.client import Client
from tests.conftest import migrate as migrate_database
from tests.databases.servers import (
    TLS_HBA,
    Authority,
    Server,
    give,
    make_authority,
    make_server,
    system,
    wheel,
)


class Open(Protocol):
    """Open an application on a database."""

    def __call__(self, url: str, **settings: Any) -> AbstractAsyncContextManager[Client]: ...


@pytest.fixture(scope="package")
def authority() -> Iterator[Authority]:
    with TemporaryDirectory(prefix="flusk-tls-") as directory:
        yield make_authority(Path(directory))


ROLES = ("failing", "idle", "encrypted", "plain", "certified")


def migrate(server: Server) -> None:
    for role in ROLES:
        server.sql(f"CREATE ROLE {role} LOGIN SUPERUSER")
    server.sql("CREATE ROLE with_password LOGIN SUPERUSER PASSWORD 's3cret'")
    migrate_database(server.url())


@pytest.fixture(scope="package")
def server(postgres: str) -> Iterator[Server]:
    """Return a migrated server on TCP."""
    del postgres  # It has made the user to run as.
    with TemporaryDirectory(prefix="flusk-server-") as directory:
        server = make_server(Path(directory), wheel())
        with server.running({}):
            migrate(server)
            yield server


@pytest.fixture(scope="package")
def tls_server(postgres: str, authority: Authority) -> Iterator[Server]:
    """Return a migrated server with TLS, which the wheel's PostgreSQL can't do."""
    del postgres
    programs = system()
    if programs is None:
        pytest.skip("no PostgreSQL with TLS is installed: install Debian's package postgresql")
    with TemporaryDirectory(prefix="flusk-tls-server-") as directory:
        server = make_server(Path(directory), programs, TLS_HBA)
        for file in authority.sign("server", "localhost", "DNS:localhost"):
            copy = server.directory / f"server{file.suffix}"
            shutil.copyfile(file, copy)
            copy.chmod(0o600)
        shutil.copyfile(authority.root, server.directory / "root.crt")
        give(Path(directory))
        with server.running({"ssl": "on", "ssl_ca_file": "root.crt"}):
            migrate(server)
            yield server


@pytest.fixture
def open_on(server: Server) -> Open:
    """Return what opens an application, on empty tables."""
    server.sql("TRUNCATE item, idempotencykey RESTART IDENTITY")

    @asynccontextmanager
    async def open_(url: str, **settings: Any) -> AsyncIterator[Client]:
        app = create_app(Settings(**{"database_url": url, "request_timeout": 10, **settings}))
        async with app.test_app():
            yield cast("Client", app.test_client())

    return open_
