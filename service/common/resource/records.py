"""A record as it is answered."""

from typing import NamedTuple


class Record(NamedTuple):
    """What an answer about one record takes: `json` has the fields that were asked for."""

    id: int
    version: int
    json: str
