"""Index what the collection is sorted and searched by.

Revision ID: 8c1f2a6be0d4
Revises: 54691bf09f47
Create Date: 2026-11-23 07:55:00.000000+00:00
"""

from collections.abc import Sequence

from alembic import op

revision: str = "8c1f2a6be0d4"
down_revision: str | Sequence[str] | None = "54691bf09f47"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLE = "foss"
SORTED = ("name", "created_at", "updated_at")
TRIGRAMS = "ix_foss_name_email_trigrams"


def upgrade() -> None:
    # PostgreSQL trusts it: the role needs CREATE on the database, as in postgres/roles.sh.
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    # The service goes on meanwhile: concurrently, and so outside of a transaction. What is left of
    # a build that failed is dropped first.
    with op.get_context().autocommit_block():
        for column in SORTED:
            name = op.f(f"ix_foss_{column}_id")
            _drop(name)
            op.create_index(
                name, TABLE, [column, "id"], if_not_exists=True, postgresql_concurrently=True
            )
        _drop(TRIGRAMS)
        op.create_index(
            TRIGRAMS,
            TABLE,
            ["name", "email"],
            if_not_exists=True,
            postgresql_using="gin",
            postgresql_ops={"name": "gin_trgm_ops", "email": "gin_trgm_ops"},
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in (TRIGRAMS, *(op.f(f"ix_foss_{column}_id") for column in SORTED)):
            _drop(name)


def _drop(name: str) -> None:
    op.drop_index(name, table_name=TABLE, if_exists=True, postgresql_concurrently=True)
