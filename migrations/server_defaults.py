"""Comparison of column defaults in the server's own notation."""

from typing import Any

from alembic.ddl.postgresql import PostgresqlImpl
from sqlalchemy import Column, MetaData, Table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

STORED = """
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
WHERE adrelid = 'pg_temp.compared_default'::regclass
"""


class Postgresql(PostgresqlImpl):
    """Alembic's PostgreSQL implementation; alembic uses the last class of a dialect.

    The original compares values: those of a function such as `random()` differ for equal defaults,
    and those of a type such as `json` can't be compared.
    """

    __dialect__ = "postgresql"

    def compare_server_default(
        self,
        inspector_column: Column[Any],
        metadata_column: Column[Any],
        rendered_metadata_default: str | None,
        rendered_inspector_default: str | None,
    ) -> bool:
        """Return whether the defaults of the model and of the database differ."""
        if rendered_metadata_default is None or rendered_inspector_default is None:
            return bool(
                super().compare_server_default(  # type: ignore[no-untyped-call]  # Alembic's.
                    inspector_column,
                    metadata_column,
                    rendered_metadata_default,
                    rendered_inspector_default,
                )
            )
        default = metadata_column.server_default
        copy = Column("compared", metadata_column.type, server_default=default)
        table = Table("compared_default", MetaData(), copy, prefixes=["TEMPORARY"])
        assert self.connection is not None  # noqa: S101  # Nothing is compared offline.
        savepoint = self.connection.begin_nested()
        try:
            self.connection.execute(CreateTable(table))
            stored = self.connection.scalar(text(STORED))
        except DBAPIError:
            return True  # Its type does not exist yet, or does not accept this default.
        finally:
            savepoint.rollback()
        return bool(stored != rendered_inspector_default)
