"""Every bound of what a client may send or cause: how much, what happens beyond it, and why.

docs/limits.md is made from this module. The bounds of a resource's own fields are in its schemas.
"""

from typing import NamedTuple


class Limit(NamedTuple):
    """A bound: the largest value that is served, in `unit`.

    `beyond` is the status code of the answer, or what happens instead of an answer. If an operator
    may change the value, `setting` is the name of the setting, and the value is its default.
    """

    value: int
    unit: str
    beyond: str
    reason: str
    setting: str = ""


# The head of a request.
HEAD_BYTES = Limit(
    1 << 16, "bytes", "431", "The server keeps a head in memory until it is complete."
)
HEADER_FIELDS = Limit(
    100, "header fields", "431", "Each field is parsed and copied several times before a view runs."
)
RECORD_ID_DIGITS = Limit(
    100,
    "digits",
    "404, as for any id without a record",
    "Converting digits to a number takes quadratic time.",
)

# The body of a request.
BODY_BYTES = Limit(
    1 << 20,
    "bytes",
    "413",
    "A body is in memory as a whole, and parsed in one go.",
    "MAX_BODY_BYTES",
)
IMPORT_BYTES = Limit(
    1 << 30,
    "bytes",
    "413",
    "An import is read as it arrives, but is one transaction.",
    "MAX_IMPORT_BYTES",
)
JSON_DEPTH = Limit(
    64, "levels", "400", "Parsers and validators of JSON recurse, and others accept no more."
)
JSON_DIGITS = Limit(
    4000, "digits of a number", "400", "Converting digits to a number takes quadratic time."
)

# The answer.
FAULTS = Limit(
    100, "faults", "the others are not reported", "An error is not larger than it is useful."
)
FAULT_NAMES = Limit(
    10, "names in a message", "the others are cut", "An error is not larger than it is useful."
)
QUOTED_CHARACTERS = Limit(
    80, "characters", "the rest is cut", "An error does not repeat what it refuses."
)
LIST_ITEMS = Limit(
    1000,
    "items of a list in a query string",
    "422",
    "The validator reports a fault for each wrong item.",
)
PAGE_RECORDS = Limit(
    200, "records", "a page has 200", "A page is in memory as a whole; exports have no such bound."
)

# Time.
REQUEST_SECONDS = Limit(
    30, "seconds", "504, or 408 while the body arrives", "No request holds its resources for ever.",
    "REQUEST_TIMEOUT",
)  # fmt: skip
STATEMENT_SECONDS = Limit(
    5, "seconds", "504", "A slow statement holds a connection.", "DATABASE_STATEMENT_TIMEOUT"
)
POOL_WAIT_SECONDS = Limit(
    2, "seconds", "503", "Whoever waits for a connection of the pool holds memory meanwhile."
)
LOCK_SECONDS = Limit(
    1,
    "seconds",
    "503",
    "A write that waits for a row or a unique value of another transaction holds a connection.",
)
PROGRESS_SECONDS = Limit(
    30,
    "seconds without progress",
    "the connection is closed",
    "A client that reads or sends nothing holds what the server keeps for it.",
)
KEEP_ALIVE_SECONDS = Limit(
    75,
    "seconds",
    "the connection is closed",
    "An idle connection holds memory and a file descriptor.",
    "KEEP_ALIVE_TIMEOUT",
)

# Concurrency.
COSTLY_READS = Limit(
    16,
    "costly reads that wait for a connection",
    "503",
    "A fifth of the connections is for reads whose cost grows with the table: counts, searches for "
    "less than three characters, and orders without an index. More would not get one in time.",
)
BULK_TRANSFERS = Limit(
    4,
    "imports and exports at once",
    "503",
    "Each holds a connection and a transaction for as long as it takes.",
)

# nginx, for each client.
RATE = Limit(
    1000, "requests a second", "429", "One client does not take the share of others.", "RATE_LIMIT"
)
CLIENT_REQUESTS = Limit(
    256,
    "requests at once",
    "429",
    "One client does not take the share of others.",
    "CONNECTION_LIMIT",
)


def limits() -> dict[str, Limit]:
    """Return every limit by its name."""
    return {name: value for name, value in globals().items() if isinstance(value, Limit)}
