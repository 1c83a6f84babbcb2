"""The migrations that this build knows, and the servers that they run on."""

from functools import cache

from service.settings import ROOT

# The oldest major version of PostgreSQL.
OLDEST_SERVER = 14


@cache
def known_revisions() -> tuple[frozenset[str], frozenset[str]]:
    """Return the revisions of the folder `migrations`, and the heads among them."""
    # Imported at the first readiness check: the service starts faster.
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    scripts = ScriptDirectory(str(ROOT / "migrations"))
    known = frozenset(script.revision for script in scripts.walk_revisions())
    return known, frozenset(scripts.get_heads())
