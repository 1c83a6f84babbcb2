"""PgBouncer in transaction mode, in front of the PostgreSQL of the tests: `just test-pgbouncer`.

It is Debian 13's, also on older systems: versions before 1.21 know no prepared statements.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from service.settings import parse_address
from tests.databases.servers import give, pgbouncer, process
from tests.machines.debian import SYSTEMS, mirror
from tests.ports import free_port

OLDEST = (1, 21)
CONFIGURATION = """
[databases]
* = host={host} port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = 60
max_client_conn = 1000
"""


def command() -> list[object]:
    """Return the command of this machine's PgBouncer, or of one of Debian 13 if it is too old."""
    own = pgbouncer()
    if own is not None:
        shown = subprocess.run([own, "--version"], capture_output=True, text=True, check=True)
        found = re.search(r"PgBouncer (\d+)\.(\d+)", shown.stdout)
        if found is not None and (int(found[1]), int(found[2])) >= OLDEST:
            return [own]
    if os.getuid() != 0 or shutil.which("debootstrap") is None:
        pytest.exit(
            "PgBouncer 1.21 or newer is needed: install it, or run this as root with debootstrap."
        )
    root = SYSTEMS / "pgbouncer"
    if not root.exists():
        part = SYSTEMS / "pgbouncer.part"
        shutil.rmtree(part, ignore_errors=True)
        options = ["--variant=minbase", "--include=pgbouncer"]
        subprocess.run(["debootstrap", *options, "trixie", part, mirror()], check=True)
        part.rename(root)
    # Its own loader and libraries: those of this machine are older.
    [loader] = (root / "usr/lib").glob("*/ld-linux-*.so.*")
    return [loader, "--library-path", loader.parent, root / "usr/sbin/pgbouncer"]


@contextmanager
def pooled(url: str) -> Iterator[str]:
    """Return the URL of a PgBouncer in front of a server on a Unix socket."""
    [host] = parse_address(url).hosts
    with TemporaryDirectory(prefix="flusk-pgbouncer-") as name:
        directory, port = Path(name), free_port()
        users = directory / "users"
        users.write_text('"postgres" ""\n"nobody" ""\n')
        configuration = directory / "pgbouncer.ini"
        configuration.write_text(
            CONFIGURATION.format(host=host.address, server=host.port, port=port, users=users)
        )
        give(directory)
        with process(*command(), configuration, log=directory / "log", port=port):
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
