"""Create the table `idempotencykey`.

Revision ID: b2d94c7a1e35
Revises: 8c1f2a6be0d4
Create Date: 2026-11-23 08:25:00.000000+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "b2d94c7a1e35"
down_revision: str | Sequence[str] | None = "8c1f2a6be0d4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "idempotencykey",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("headers", postgresql.JSONB(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotencykey")),
    )
    op.create_index(op.f("ix_idempotencykey_created_at"), "idempotencykey", ["created_at"])


def downgrade() -> None:
    op.drop_table("idempotencykey")
