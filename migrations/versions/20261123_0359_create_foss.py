"""Create the table `foss`.

Revision ID: 54691bf09f47
Revises:
Create Date: 2026-11-23 03:59:59.935971+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "54691bf09f47"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "foss",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "char_length(email) BETWEEN 3 AND 254", name=op.f("ck_foss_email_length")
        ),
        sa.CheckConstraint("char_length(name) BETWEEN 2 AND 200", name=op.f("ck_foss_name_length")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_foss")),
        sa.UniqueConstraint("email", name=op.f("uq_foss_email")),
    )


def downgrade() -> None:
    op.drop_table("foss")
