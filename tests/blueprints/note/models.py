"""The tables of the blueprint."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.common.database import RecordColumns
from tests.blueprints.aside import Aside


class Note(RecordColumns, Aside):
    """A record of the collection `note`."""

    __table_args__ = (
        CheckConstraint("char_length(text) BETWEEN 1 AND 200", name="text_length"),
        # One for each sort key serves both directions; `id` and unique columns have one.
        Index(None, "account_id", "id"),
        Index(None, "witness_id", "id"),
        Index(None, "origin_id", "id"),
        Index(None, "text", "id"),
        Index(None, "created_at", "id"),
        Index(None, "updated_at", "id"),
    )

    account_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("account.id", ondelete="CASCADE")
    )
    witness_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("account.id", ondelete="SET NULL")
    )
    origin_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("note.id", ondelete="SET NULL")
    )
    text: Mapped[str] = mapped_column(Text)
