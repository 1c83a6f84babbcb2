"""The records that a benchmark of the service begins with."""

from benchmarks.pages import migrate
from benchmarks.processes import psql
from benchmarks.servers import Server

RECORDS = 100_000
FILL = f"""
INSERT INTO foss (name, email)
SELECT 'Project ' || n, 'project' || n || '@example.org' FROM generate_series(1, {RECORDS}) AS n
"""  # noqa: S608
CLEAN = f"DELETE FROM foss WHERE id > {RECORDS}; VACUUM ANALYZE foss"  # noqa: S608


def fill(url: str, server: Server) -> None:
    """Migrate an empty database by the migrations of a server, and store the records."""
    migrate(url, "head", server.programs / "python", server.folder)
    psql(url, FILL)
    clean(url)


def clean(url: str) -> None:
    """Delete the records that a load stored."""
    psql(url, CLEAN)
