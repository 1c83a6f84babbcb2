"""What the blueprints of the tests have of their own: tables without migrations, schema files."""

from pathlib import Path

from sqlalchemy import MetaData

from service.common.database import Base

SCHEMAS = Path(__file__).parent / "schemas"


class Aside(Base):
    """A base with tables of its own: those of the service have migrations."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)
