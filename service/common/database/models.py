"""The base of every model."""

import re
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Identity, MetaData, func, inspect, text
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

MAX_INTEGER = 2**31 - 1
MAX_BIGINT = 2**63 - 1
# The beginning of a word in the name of a class.
WORD_BOUNDARY = re.compile("(?<=[a-z0-9])(?=[A-Z])")


class Base(DeclarativeBase):
    """The base of every model; the table of `OrderItem` is named `order_item`."""

    __public_fields__: ClassVar[tuple[str, ...] | None] = None

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

    @declared_attr.directive
    def __tablename__(cls) -> str:  # noqa: N805  # A class attribute, computed.
        return WORD_BOUNDARY.sub("_", cls.__name__).lower()

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """Return the names of the columns in order, without those with `info={"private": True}`."""
        # Looked up on the class itself: a subclass has more fields than its parent.
        fields: tuple[str, ...] | None = cls.__dict__.get("__public_fields__")
        if fields is None:
            fields = cls.__public_fields__ = tuple(
                attribute.key
                for attribute in inspect(cls).column_attrs
                if not attribute.columns[0].info.get("private")
            )
        return fields


class RecordColumns:
    """The columns of every resource: `id`, timestamps, and a version for entity tags."""

    # The name of the column `row_version` in the database. A table that was created before it had
    # this name keeps its own: the running release would not survive that it is renamed.
    __row_version__: ClassVar[str] = "row_version"

    id: Mapped[int] = mapped_column(
        BigInteger, Identity(always=True), primary_key=True, sort_order=-1
    )
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), sort_order=1
    )
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now(), sort_order=2
    )

    __tablename__: ClassVar[Any]

    @declared_attr
    def row_version(cls) -> Mapped[int]:  # noqa: N805  # A class attribute, computed.
        """Return the column that each update increments."""
        return mapped_column(
            cls.__row_version__,
            BigInteger,
            key="row_version",
            server_default=text("1"),
            # Qualified by the table, to distinguish it from a column of a subquery.
            onupdate=text(f'"{cls.__tablename__}".{cls.__row_version__} + 1'),
            info={"private": True},
            sort_order=3,
        )
