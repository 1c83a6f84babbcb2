"""The records that a benchmark of the service begins with."""

import subprocess
import sys
from pathlib import Path

from benchmarks.collection import TABLE
from benchmarks.processes import psql
from benchmarks.servers import Server
from service.settings import ROOT

RECORDS = 100_000
FILL = f"""
INSERT INTO {TABLE} (name, email)
SELECT 'Project ' || n, 'project' || n || '@example.org' FROM generate_series(1, {RECORDS}) AS n
"""  # noqa: S608
CLEAN = f"DELETE FROM {TABLE} WHERE id > {RECORDS}; VACUUM ANALYZE {TABLE}"  # noqa: S608


def migrate(
    url: str, revision: str, python: str | Path = sys.executable, folder: Path = ROOT
) -> None:
    """Migrate the database, by the migrations of a folder."""
    command = [python, "-m", "alembic", "upgrade", revision]
    subprocess.run(command, cwd=folder, env={"DATABASE_URL": url}, check=True)


def fill(url: str, server: Server) -> None:
    """Migrate an empty database by the migrations of a server, and store the records."""
    migrate(url, "head", server.programs / "python", server.folder)
    psql(url, FILL)
    clean(url)


def clean(url: str) -> None:
    """Delete the records that a load stored."""
    psql(url, CLEAN)
