"""libpq's parameters: they mean for the service what they mean for psql, on a real server."""

import asyncio
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.pool import NullPool

from ops.data.psql import connection
from service.common.database.engine import create_engine
from service.common.errors.exceptions import DatabaseError
from service.settings import SettingsError, load_settings
from tests.conftest import alembic_config
from tests.databases.servers import Authority, Server
from tests.ports import refusing_port

SESSION = (
    "SELECT current_user || ' ' || CASE WHEN ssl THEN 'TLS' ELSE 'plain' END"
    " FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
)


async def service(url: str) -> str:
    """Return who the service is, and how it is connected; the reason if it is not."""
    try:
        engine = create_engine(url, statement_timeout=0, poolclass=NullPool)
    except ValueError as error:
        return str(error)
    try:
        async with engine.connect() as session:
            return str(await session.scalar(text(SESSION)))
    except DatabaseError as error:
        return error.reason or ""


def run(environment: dict[str, str], *command: object) -> tuple[str, str]:
    """Return what a program of libpq printed, to its output and to its errors."""
    done = subprocess.run(
        [str(part) for part in command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip(), done.stderr


def psql(server: Server, url: str) -> str:
    """Return the same for psql."""
    try:
        address, environment = connection(url)
    except ValueError as error:
        return str(error)
    program = [server.programs / "psql", "--no-psqlrc", "--no-password", "-Atc", SESSION, address]
    output, errors = run(environment, *program)
    return output or errors


@pytest.fixture(scope="module")
def files(authority: Authority, tls_server: Server) -> dict[str, Path]:
    """Return the files that parameters name, each under the name that it has here."""
    certificate, key = authority.sign("client", "certified")
    other = authority.directory / "other"
    other.mkdir()
    nothing_revoked = authority.revoke()
    garbage = authority.directory / "garbage"
    garbage.write_text("garbage")
    locked = authority.directory / "locked.key"
    authority._openssl("pkey", "-in", key, "-aes256", "-passout", "pass:word", "-out", locked)
    return {
        "root": authority.root,
        "certificate": certificate,
        "key": key,
        "locked": locked,
        "server": tls_server.directory / "server.crt",
        "current": nothing_revoked,
        "revoked": authority.revoke(authority.directory / "server.crt"),
        "garbage": garbage,
        "nowhere": other / "nowhere",
    }


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home without files of libpq."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


TLS = [
    ("encrypted", "localhost", "", "TLS"),
    ("encrypted", "localhost", "sslmode=allow", "TLS"),
    ("encrypted", "localhost", "sslmode=prefer", "TLS"),
    ("encrypted", "localhost", "sslmode=require", "TLS"),
    ("encrypted", "localhost", "ssl=require", "TLS"),
    ("encrypted", "localhost", "ssl=true", "TLS"),
    ("encrypted", "localhost", "sslmode=disable", "no encryption"),
    ("plain", "localhost", "sslmode=disable", "plain"),
    ("plain", "localhost", "sslmode=allow", "plain"),
    ("plain", "localhost", "sslmode=prefer", "plain"),
    ("plain", "localhost", "sslmode=require", "pg_hba.conf"),
    ("encrypted", "127.0.0.1", "sslmode=verify-ca&sslrootcert={root}", "TLS"),
    ("encrypted", "localhost", "sslmode=verify-full&sslrootcert={root}", "TLS"),
    ("encrypted", "127.0.0.1", "sslmode=verify-full&sslrootcert={root}", "certificate"),
    ("encrypted", "localhost", "sslmode=require&sslrootcert={certificate}", "certificate"),
    ("encrypted", "localhost", "sslmode=verify-full&sslrootcert=system", "certificate"),
    ("encrypted", "localhost", "sslrootcert=system", "certificate"),
    ("encrypted", "localhost", "sslmode=verify-ca&sslrootcert={nowhere}", "{nowhere}"),
    ("encrypted", "localhost", "sslmode=verify-ca&sslrootcert={garbage}", "{garbage}"),
    ("certified", "localhost", "sslmode=require&sslcert={certificate}&sslkey={key}", "TLS"),
    ("certified", "localhost", "sslmode=require", "certificate"),
    (
        *("encrypted", "localhost"),
        *("sslmode=verify-ca&sslrootcert={root}&sslcrl={current}", "TLS"),
    ),
    (
        *("encrypted", "localhost"),
        *("sslmode=verify-ca&sslrootcert={root}&sslcrl={revoked}", "verify failed"),
    ),
    ("encrypted", "localhost", "ssl_min_protocol_version=TLSv1.3", "TLS"),
]


@pytest.mark.parametrize(
    ("role", "host", "parameters", "outcome"), TLS, ids=[f"{case[0]}-{case[2]}" for case in TLS]
)
async def test_tls_is_as_the_parameters_ask(
    tls_server: Server,
    files: dict[str, Path],
    role: str,
    host: str,
    parameters: str,
    outcome: str,
) -> None:
    url = tls_server.url(role, parameters.format(**files), host)
    expected = f"{role} {outcome}" if outcome in {"TLS", "plain"} else outcome.format(**files)

    assert expected in await service(url)
    assert expected in psql(tls_server, url)


async def test_the_systems_authorities_are_those_configured_for_openssl(
    tls_server: Server, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
    url = tls_server.url("encrypted", "sslmode=verify-full&sslrootcert=system", "localhost")

    assert await service(url) == "encrypted TLS"
    assert psql(tls_server, url) == "encrypted TLS"


def test_migrations_and_a_backup_go_over_tls(tls_server: Server, files: dict[str, Path]) -> None:
    parameters = "sslmode=verify-full&sslrootcert={root}".format(**files)
    url = tls_server.url("encrypted", parameters, "localhost")
    command.upgrade(alembic_config(url), "head")
    address, environment = connection(url)
    output, _ = run(environment, tls_server.programs / "pg_dump", "--schema-only", address)

    assert "CREATE TABLE public.idempotencykey" in output


async def test_a_key_may_have_a_password(tls_server: Server, files: dict[str, Path]) -> None:
    """Which psql asks for: it has no place among the arguments of a process."""
    parameters = "sslcert={certificate}&sslkey={locked}&sslpassword=".format(**files)

    assert await service(tls_server.url("certified", f"{parameters}word")) == "certified TLS"
    assert "sslkey" in await service(tls_server.url("certified", f"{parameters}wrong"))
    assert "word" not in connection(tls_server.url("certified", f"{parameters}word"))[0]


@pytest.fixture
def files_at_home(home: Path, files: dict[str, Path]) -> None:
    folder = home / ".postgresql"
    folder.mkdir()
    for file, name in (("root", "root.crt"), ("certificate", "postgresql.crt")):
        shutil.copyfile(files[file], folder / name)
    shutil.copyfile(files["key"], folder / "postgresql.key")
    (folder / "postgresql.key").chmod(0o600)


@pytest.mark.usefixtures("files_at_home")
@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca", "verify-full"])
async def test_certificates_and_keys_are_found_at_home(tls_server: Server, mode: str) -> None:
    url = tls_server.url("certified", f"sslmode={mode}", "localhost")

    assert await service(url) == "certified TLS"
    assert psql(tls_server, url) == "certified TLS"


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_a_server_without_tls_is_refused_if_tls_is_demanded(
    server: Server, authority: Authority, mode: str
) -> None:
    url = server.url(parameters=f"sslmode={mode}&sslrootcert={authority.root}", host="localhost")

    assert "rejected SSL" in await service(url)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
async def test_a_server_without_tls_is_taken_if_it_is_not(server: Server, mode: str) -> None:
    assert await service(server.url(parameters=f"sslmode={mode}")) == "postgres plain"


@pytest.mark.parametrize(
    "parameter",
    [
        "channel_binding=require",
        "gssencmode=require",
        "require_auth=scram-sha-256",
        "requirepeer=postgres",
        "sslcertmode=require",
        "min_protocol_version=3.2",
        "sslsni=0",
        "sslmode=require&sslrootcert=system",
        "sslnegotiation=direct",
        "sslmode=verify-full&sslrootcert=/nowhere",
        "sslmode=verify-full",
        "sslmode=require&sslcert=/nowhere",
        "sslmode=verify-full&sslrootcert=system&hostaddr=127.0.0.1",
        "sslmode=always",
        "target_session_attrs=best",
        "ssl_min_protocol_version=SSLv3",
        "keepalives_idle=soon",
        "service=nothing",
        "service=nothing&servicefile=/nowhere",
    ],
)
def test_what_the_driver_cant_do_or_find_prevents_the_start_with_one_message(
    parameter: str,
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(database_url=f"postgresql://u:hidden@h/d?{parameter}")

    assert str(caught.value).startswith("DATABASE_URL: ")
    assert "\n" not in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert any(name in str(caught.value) for name in parameter.replace("=", "&").split("&"))


# The paths of libpq's files.


@pytest.fixture
def service_file(home: Path, server: Server) -> Path:
    path = home / "services"
    path.write_text(
        f"[other]\nhost=nowhere\n\n# A comment.\n[mine]\nhost=127.0.0.1\nport={server.port}\n"
        "user=with_password\npassword=s3cret\ndbname=postgres\nsslmode=disable\n"
    )
    return path


async def test_a_service_is_looked_up_in_its_file(server: Server, service_file: Path) -> None:
    url = f"postgresql:///?service=mine&servicefile={service_file}"

    assert await service(url) == "with_password plain"
    assert psql(server, url) == "with_password plain"


@pytest.fixture
def service_at_home(service_file: Path, home: Path) -> None:
    service_file.rename(home / ".pg_service.conf")


@pytest.mark.usefixtures("service_at_home")
async def test_a_service_is_looked_up_at_home_and_the_url_wins(server: Server) -> None:
    url = "postgresql://idle@/?service=mine"

    assert await service(url) == "idle plain"
    assert psql(server, url) == "idle plain"


@pytest.mark.parametrize(
    "line",
    [
        "127.0.0.1:{port}:postgres:with_password:s3cret",
        "*:*:*:*:s3cret",
        "# 127.0.0.1\nother:*:*:*:wrong\n127.0.0.1:*:*:with\\_password:s3cret",
    ],
)
@pytest.mark.parametrize("explicit", [True, False])
async def test_a_password_is_looked_up_in_its_file(
    server: Server, home: Path, line: str, explicit: bool
) -> None:
    path = home / ("passwords" if explicit else ".pgpass")
    path.write_text(line.format(port=server.port) + "\n")
    path.chmod(0o600)
    url = server.url("with_password", f"passfile={path}" if explicit else "")

    assert await service(url) == "with_password plain"
    assert psql(server, url) == "with_password plain"


async def test_a_password_file_that_others_may_read_is_passed_over(
    server: Server, home: Path
) -> None:
    path = home / ".pgpass"
    path.write_text("*:*:*:*:s3cret\n")
    path.chmod(0o644)

    assert "refuses the password of user with_password" in await service(
        server.url("with_password")
    )


SHELL = {
    "PGHOST": "nowhere.invalid",
    "PGPORT": "1",
    "PGUSER": "nobody",
    "PGPASSWORD": "wrong",
    "PGDATABASE": "nothing",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nowhere",
    "PGSSLCERT": "/nowhere",
    "PGSSLNEGOTIATION": "direct",
    "PGSSLMINPROTOCOLVERSION": "nonsense",
    "PGTARGETSESSIONATTRS": "standby",
    "PGSERVICE": "nothing",
    "PGSERVICEFILE": "/nowhere",
    "PGPASSFILE": "/nowhere",
    "PGGSSLIB": "nonsense",
    "PGOPTIONS": "-c nonsense=1",
    "PGAPPNAME": "another",
    "PGCHANNELBINDING": "require",
}


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("shell")
async def test_variables_of_the_shell_for_other_programs_have_no_effect(
    server: Server, home: Path
) -> None:
    path = home / ".pgpass"
    path.write_text("*:*:*:*:s3cret\n")
    path.chmod(0o600)
    for url in (server.url(), server.url("with_password")):
        user = url.removeprefix("postgresql://").partition("@")[0]

        assert await service(url) == f"{user} plain"
        assert psql(server, url) == f"{user} plain"


@pytest.mark.usefixtures("shell")
def test_the_defaults_are_libpqs_and_not_the_shells() -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    address, _ = connection("postgresql://")

    assert address == (
        f"postgresql://{user}@/{user}?host=%2Frun%2Fpostgresql%2C%2Ftmp&port=5432%2C5432"
    )


# Several hosts.


async def test_the_first_of_several_hosts_that_answers_is_taken(server: Server) -> None:
    for hosts in (
        f"127.0.0.1:{refusing_port()},127.0.0.1:{server.port}",
        f"host.invalid,127.0.0.1:{server.port}",
        f"%2Fnowhere,127.0.0.1:{server.port}",
    ):
        url = f"postgresql://postgres@{hosts}/postgres"

        assert await service(url) == "postgres plain"
        assert psql(server, url) == "postgres plain"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("any", True),
        ("read-write", True),
        ("primary", True),
        ("prefer-standby", True),
        ("standby", False),
        ("read-only", False),
    ],
)
async def test_the_wanted_kind_of_server_is_taken(server: Server, wanted: str, found: bool) -> None:
    url = server.url(parameters=f"target_session_attrs={wanted}")
    outcome = "postgres plain" if found else f"target_session_attrs={wanted}"

    assert outcome in await service(url)
    assert ("postgres plain" in psql(server, url)) is found


async def test_a_host_that_does_not_answer_leaves_time_for_the_next(server: Server) -> None:
    """Like a machine that is switched off: the time limit applies to each host."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        hosts = f"127.0.0.1:{port},127.0.0.1:{server.port}"

        assert await service(f"postgresql://postgres@{hosts}/postgres?connect_timeout=1") == (
            "postgres plain"
        )


@pytest.mark.parametrize("mode", ["disable", "prefer"])
async def test_a_host_that_hangs_up_leaves_it_to_the_next(server: Server, mode: str) -> None:
    """Like a proxy that has no server; libpq would fail."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    rude = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with rude:
        port = rude.sockets[0].getsockname()[1]
        hosts = f"127.0.0.1:{port},127.0.0.1:{server.port}"
        url = f"postgresql://postgres@{hosts}/postgres?sslmode={mode}"

        assert await service(url) == "postgres plain"
