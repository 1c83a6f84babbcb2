"""Write the index of searches at once.

Otherwise PostgreSQL keeps a pending list for it. Every search reads all of it, only one process at
a time flushes it, and several imports make it grow without limit.

Revision ID: d7f3a0c58b16
Revises: b2d94c7a1e35
Create Date: 2026-11-26 05:15:00.000000+00:00
"""

from collections.abc import Sequence

from alembic import op

revision: str = "d7f3a0c58b16"
down_revision: str | Sequence[str] | None = "b2d94c7a1e35"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TRIGRAMS = "ix_foss_name_email_trigrams"


def upgrade() -> None:
    op.execute(f"ALTER INDEX {TRIGRAMS} SET (fastupdate = off)")
    # What is in the list by now.
    op.execute(f"SELECT gin_clean_pending_list('{TRIGRAMS}')")


def downgrade() -> None:
    op.execute(f"ALTER INDEX {TRIGRAMS} RESET (fastupdate)")
