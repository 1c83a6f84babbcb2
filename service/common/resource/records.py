"""A record in a response, and how a rule locks one."""

from enum import Enum
from typing import NamedTuple


class Record(NamedTuple):
    """A record in a response; `json` has the requested fields.

    `row_version` is that of the entity tag (`tagged_version`), which may differ from the column's.
    """

    id: int
    row_version: int
    json: bytes


class Lock(Enum):
    """How long others wait: until the end of the transaction (PostgreSQL, 13.3.2)."""

    # For a change of columns that are not unique; foreign keys may refer to the record meanwhile.
    NO_KEY_UPDATE = "FOR NO KEY UPDATE"
    # For a deletion, or a change of a unique column.
    UPDATE = "FOR UPDATE"
