"""The tables of the blueprint."""

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.common.database import RecordColumns
from tests.blueprints.aside import Aside


class Account(RecordColumns, Aside):
    """An amount of money, in the smallest unit of a currency."""

    __table_args__ = (
        CheckConstraint("char_length(owner) BETWEEN 2 AND 100", name="owner_length"),
        CheckConstraint("balance >= 0", name="balance_not_negative"),
        CheckConstraint("status IN ('open', 'closed')", name="status_known"),
        # One for each key to sort by, in both directions; `id` has one.
        Index(None, "owner", "id"),
        Index(None, "balance", "id"),
        Index(None, "status", "id"),
        Index(None, "created_at", "id"),
        Index(None, "updated_at", "id"),
        Index(
            "ix_account_owner_trigrams",
            "owner",
            postgresql_using="gin",
            postgresql_ops={"owner": "gin_trgm_ops"},
        ),
    )

    owner: Mapped[str] = mapped_column(Text)
    balance: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(Text, server_default=text("'open'"))
