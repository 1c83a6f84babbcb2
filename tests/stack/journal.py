"""What must be stored after a load: every record, in a state that its responses allow."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

# The answer of a gateway, or none at all, says nothing about what is stored.
UNKNOWN = {502, 504}


@dataclass(frozen=True, slots=True)
class Row:
    """A record as it is stored."""

    id: int
    email: str
    name: str


@dataclass(slots=True)
class Record:
    """A record of one worker. A state is a name, or None: not stored."""

    email: str
    id: int = 0
    etag: str = ""
    allowed: set[str | None] = field(default_factory=lambda: {None})
    refused: dict[str | None, int] = field(default_factory=dict)
    acknowledged: bool = False
    usable: bool = True

    def settle(self, state: str | None, status: int | None) -> None:
        """Note how a write was answered that would leave the record in a state; None: not at all.

        After a 5xx, or no response, the record is not written again: the next write would hide
        the outcome of this one, which the server may still be executing.
        """
        if status is None or status in UNKNOWN:
            self.allowed.add(state)
        elif status < 300:
            self.allowed, self.acknowledged = {state}, True
        else:
            self.refused[state] = status
        if status is None or status >= 500:
            self.usable = False


@dataclass(frozen=True, slots=True)
class Differences:
    """The differences between the database and the responses, a message each.

    Lost: acknowledged, but missing or with other content. A ghost: refused, but stored, which is
    correct after a 503 if the server died between the commit and its response.
    """

    records: int = 0
    lost: list[str] = field(default_factory=list)
    ghosts: list[str] = field(default_factory=list)
    ghosts_of_503: list[str] = field(default_factory=list)


class Journal:
    """The records of one run; distinguished from others by their e-mail addresses."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.records: dict[str, Record] = {}
        self._numbers = count(1)

    @property
    def domain(self) -> str:
        """The suffix of every e-mail address of the run."""
        return f"@{self.run}.example.org"

    def new_record(self) -> Record:
        """Return a record that is not stored yet."""
        record = Record(f"r{next(self._numbers)}{self.domain}")
        self.records[record.email] = record
        return record

    def new_name(self) -> str:
        """Return a name that no other write of the run has."""
        return f"{self.run} {next(self._numbers)}"

    def compare(self, rows: Iterable[Row]) -> Differences:
        """Compare every record with what is stored."""
        stored = {row.email: row for row in rows if row.email.endswith(self.domain)}
        found = Differences(len(self.records))
        for record in self.records.values():
            row = stored.pop(record.email, None)
            state = row.name if row else None
            if row and record.id not in {0, row.id}:
                found.lost.append(f"{record.email} is {row.id}, not {record.id}")
            if state in record.allowed:
                continue
            fault = f"{record.email} is {state!r}, not {record.allowed!r}"
            if record.refused.get(state) == 503:
                found.ghosts_of_503.append(fault)
            ghost = state in record.refused or not record.acknowledged
            (found.ghosts if ghost else found.lost).append(fault)
        found.ghosts.extend(f"{email} was never sent" for email in stored)
        return found
