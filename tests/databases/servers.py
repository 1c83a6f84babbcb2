"""PostgreSQL servers of our own, with TCP, TLS and standbys; a PgBouncer; certificates."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from service.common.embedded.programs import program, server_account
from tests.ports import free_port

SECONDS = 120
SETTINGS = {
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "max_wal_senders": "4",
    "unix_socket_directories": "",
    "hot_standby": "on",
}
HBA = """
host replication all 127.0.0.1/32 trust
host all with_password 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
TLS_HBA = f"""
hostssl all certified 127.0.0.1/32 cert
hostssl all encrypted 127.0.0.1/32 trust
hostnossl all plain 127.0.0.1/32 trust
host all encrypted,plain,certified 127.0.0.1/32 reject
{HBA}
"""
REQUEST = """
[req]
distinguished_name = name
[name]
[ca]
default_ca = authority
[authority]
database = index
crlnumber = number
default_md = sha256
default_crl_days = 1
default_days = 1
new_certs_dir = .
serial = serial
policy = policy
[policy]
commonName = supplied
[certificate_authority]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
"""


class Identity(TypedDict, total=False):
    """The arguments for a process of another user."""

    user: int
    group: int
    extra_groups: list[int]


def unprivileged() -> Identity:
    """Return the user for what refuses to run as root, with no group of root's."""
    account = server_account()
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def give(path: Path) -> None:
    """Give a folder, and what is in it, to that user."""
    account = server_account()
    if account is not None:
        for each in [path, *path.rglob("*")]:
            os.chown(each, account.pw_uid, account.pw_gid)


def wheel() -> Path:
    """Return the folder of the wheel's programs, which are built without TLS."""
    folder = program("postgres").parent
    server_account(folder)  # It lets that user reach the folder.
    return folder


def system() -> Path | None:
    """Return the folder of the system's server programs, where Debian has them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def run(*command: object) -> str:
    """Run a program as that user; return what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd="/",
        **unprivileged(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def process(*command: object, log: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end, from when it listens."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            [str(part) for part in command],
            cwd="/",
            **unprivileged(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + SECONDS
        while True:
            assert started.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.02)  # Between two looks, not instead of one.
        yield started
    finally:
        started.kill() if started.poll() is None else None
        started.wait()


@dataclass
class Server:
    """The data of a server, and its address."""

    directory: Path
    port: int
    programs: Path

    def url(self, user: str = "postgres", parameters: str = "", host: str = "127.0.0.1") -> str:
        """Return a URL of its database."""
        return f"postgresql://{user}@{host}:{self.port}/postgres?{parameters}"

    def sql(self, statement: str) -> str:
        """Run a statement as superuser, and return the values that it returned."""
        psql = [self.programs / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement]
        return run(*psql, self.url()).strip()

    def wait_for(self, statement: str) -> None:
        """Return once a condition is true, and the server takes connections."""
        deadline = time.monotonic() + SECONDS
        while True:
            done = subprocess.run(
                [self.programs / "psql", "-XAtqc", statement, self.url()],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.stdout.strip() == "t":
                return
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.02)  # Between two looks, not instead of one.

    @contextmanager
    def running(self, settings: Mapping[str, str]) -> Iterator["Server"]:
        """Run the server."""
        options = [f"--{name}={value}" for name, value in {**SETTINGS, **settings}.items()]
        command = [self.programs / "postgres", "-D", self.directory, "-p", str(self.port), *options]
        with process(*command, log=self.directory.with_suffix(".log"), port=self.port) as started:
            self.wait_for("SELECT true")
            yield self
            started.send_signal(signal.SIGQUIT)
            started.wait(SECONDS)

    def copy(self, directory: Path) -> "Server":
        """Return a standby of this server, which is not yet started."""
        give(directory)
        target = directory / "standby"
        address = f"postgresql://postgres@127.0.0.1:{self.port}/"
        options = ["-D", target, "-d", address, "-R", "-c", "fast", "--no-sync"]
        run(self.programs / "pg_basebackup", *options)
        return Server(target, free_port(), self.programs)


def make_server(directory: Path, programs: Path, rules: str = HBA) -> Server:
    """Return a new server, which is not yet started."""
    give(directory)
    data = directory / "data"
    options = ["--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"]
    run(programs / "initdb", "-D", data, *options, "--locale=C")
    (data / "pg_hba.conf").write_text(rules)
    return Server(data, free_port(), programs)


@dataclass(frozen=True)
class Authority:
    """A certificate authority and what it signed: a folder of files."""

    directory: Path

    @property
    def root(self) -> Path:
        return self.directory / "root.crt"

    def sign(self, name: str, subject: str, alternatives: str = "") -> tuple[Path, Path]:
        """Return a certificate and its key."""
        certificate, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        extra = ["-addext", f"subjectAltName={alternatives}"] if alternatives else []
        self._openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "1", "-subj", f"/CN={subject}", "-keyout", key, "-out"),
            *(certificate, "-CA", self.root, "-CAkey", self.directory / "root.key", *extra),
            *("-addext", "basicConstraints=CA:false"),
        )
        return certificate, key

    def revoke(self, *certificates: Path) -> Path:
        """Return a list of revoked certificates."""
        (self.directory / "index").touch()
        (self.directory / "number").write_text("01")
        signer = ["-cert", self.root, "-keyfile", self.directory / "root.key"]
        for certificate in certificates:
            self._openssl("ca", "-config", "openssl.cnf", *signer, "-revoke", certificate)
        target = self.directory / f"{len(certificates)}.crl"
        self._openssl("ca", "-config", "openssl.cnf", *signer, "-gencrl", "-out", target)
        return target

    def _openssl(self, *arguments: object) -> None:
        subprocess.run(
            ["openssl", *map(str, arguments)], cwd=self.directory, capture_output=True, check=True
        )


def make_authority(directory: Path) -> Authority:
    authority = Authority(directory)
    (directory / "openssl.cnf").write_text(REQUEST)
    authority._openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", "1", "-subj", "/CN=authority", "-keyout", "root.key", "-out", "root.crt"),
        *("-config", "openssl.cnf", "-extensions", "certificate_authority"),
    )
    return authority


def pgbouncer() -> str | None:
    """Return PgBouncer's program, which Debian keeps off most users' PATH."""
    return shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
