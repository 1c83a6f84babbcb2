"""The tables of the blueprint."""

from sqlalchemy import CheckConstraint, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.common.database import Base, RecordColumns


class Foss(RecordColumns, Base):
    """A free and open-source software project."""

    # The table is older than the name `row_version`.
    __row_version__ = "version"
    __table_args__ = (
        UniqueConstraint("email"),
        CheckConstraint("char_length(name) BETWEEN 2 AND 200", name="name_length"),
        CheckConstraint("char_length(email) BETWEEN 3 AND 254", name="email_length"),
        # One for each sort key serves both directions; `id` and unique columns have one.
        Index(None, "name", "id"),
        Index(None, "created_at", "id"),
        Index(None, "updated_at", "id"),
        # For `q`: finds a part of at least three characters without reading every record.
        Index(
            "ix_foss_name_email_trigrams",
            "name",
            "email",
            postgresql_using="gin",
            postgresql_ops={"name": "gin_trgm_ops", "email": "gin_trgm_ops"},
            # Otherwise the pending list grows, and every search reads all of it.
            postgresql_with={"fastupdate": "off"},
        ),
    )

    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
