"""The base of every model."""

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, declared_attr

from service.common.database.serializers import Serializable

MAX_BIGINT = 2**63 - 1


class Base(DeclarativeBase, Serializable):
    """The base of every model: its table has the name of the class in lower case."""

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
        return cls.__name__.lower()
