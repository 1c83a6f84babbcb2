"""A record in a response."""

from typing import NamedTuple


class Record(NamedTuple):
    """A record with its version; `json` has the requested fields."""

    id: int
    version: int
    json: str
