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
HEADER_ITEMS = Limit(
    50,
    "items of `Accept`, `Prefer` and other lists of what a client would like",
    "the others are ignored",
    "Parsing an item takes some 10 µs, in the answer to an error too.",
)
HEADER_LIST_BYTES = Limit(
    2048,
    "bytes of such a list",
    "the rest is ignored",
    "An item has any number of parameters, and parsing each takes as long as an item.",
)
CONTENT_TYPE_BYTES = Limit(
    1024, "bytes of `Content-Type`", "415", "It has any number of parameters."
)
ENTITY_TAGS = Limit(
    100,
    "entity tags in a precondition",
    "422",
    "The database compares each of them.",
)
QUERY_BYTES = Limit(
    1 << 14,
    "bytes of a query string",
    "422",
    "Decoding it takes 200 times its memory if it is full of `%`.",
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
BODIES_BYTES = Limit(
    64 << 20,
    "bytes of bodies that are not read yet, all together",
    "503 for the largest of them",
    "Whatever clients leave unfinished, the process stays below the memory of its container.",
    "MAX_BODIES_BYTES",
)
SHORT_CHUNKS = Limit(
    5000,
    "chunks of fewer than 16 bytes in a body",
    "400, empty",
    "Parsing a chunk takes 25 µs, however short it is.",
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
JSON_VALUES = Limit(
    5000,
    "values, counted by their commas and opening brackets",
    "400",
    "The validator takes up to 10 µs for a wrong value, and nothing else runs meanwhile.",
)
JSON_DIGITS = Limit(
    1000, "digits of a number", "400", "Converting digits to a number takes quadratic time."
)
CSV_FIELDS = Limit(
    1000, "fields of a record in CSV", "422", "A field takes some 60 bytes, however short it is."
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
    100,
    "items of a list in a query string",
    "422",
    "The validator takes up to 10 µs for a wrong item.",
)
PAGE_RECORDS = Limit(
    200, "records", "a page has 200", "A page is in memory as a whole; exports have no such bound."
)
SEND_BUFFER_BYTES = Limit(
    1 << 16,
    "bytes of an answer in the kernel",
    "the rest waits until the client reads",
    "The kernel would take up to 4 MB for each client that does not read.",
)

WALKED_RECORDS = Limit(
    1_000_000,
    "records read in the order of a page",
    "the index finds the rest",
    "Of a search, each step is a statement of its own, which no statement timeout ends.",
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
IMPORTS = Limit(
    8,
    "imports whose bodies are read at once",
    "others wait",
    "Each holds a batch of records; it takes a connection only when it has one.",
)
IMPORTS_WAITING = Limit(
    32,
    "imports that wait for their turn",
    "503, as after the time to wait for a connection",
    "Each holds what the buffers of its connection have received.",
)
CONNECTIONS = Limit(
    500,
    "connections of the process",
    "a new connection waits for a place",
    "Each holds memory and a file descriptor, whether its client does anything or not.",
    "MAX_CONNECTIONS",
)
WAITING_CONNECTIONS = Limit(
    2000,
    "connections that wait for a place",
    "503, the one that has waited longest",
    "Each holds a file descriptor; fewer can wait if the system allows fewer open files.",
)
HEALTH_CONNECTIONS = Limit(
    20,
    "connections without a place, for health checks",
    "the health check waits, as any request",
    "A client that claims to check the health takes no more than others.",
)
REFUSED_CONNECTIONS = Limit(
    100,
    "connections that have their 503 and are closed a second later",
    "the first of them is closed at once",
    "A client that is still sending may lose the answer if its connection is closed at once.",
)
QUEUE_SECONDS = Limit(
    1,
    "seconds that a connection, or a request, waits for its turn",
    "503",
    "A late answer is worth less than an early refusal.",
)
IDLE_SECONDS_FOR_OTHERS = Limit(
    5,
    "seconds before a connection without a request may be closed for another client",
    "if one waits, it is closed; one in use that is as old is closed after its answer",
    "A client may just be sending the next request; nginx uses an idle one for 3 seconds.",
)
REQUESTS_IN_PROGRESS = Limit(
    80,
    "requests in progress, or twice `DATABASE_POOL_SIZE` if that is more",
    "the request waits, but for health checks",
    "Each step of a request waits for a step of all the others.",
)
COSTLY_READS = Limit(
    16,
    "costly reads that wait for a connection",
    "503",
    "A fifth of the connections is for reads whose cost grows with the table: counts, searches "
    "that read many records, and orders without an index. More would not get one in time.",
)
WAITING_TRANSACTIONS = Limit(
    24,
    "transactions that wait for a connection",
    "503",
    "A transaction, and a write that another transaction blocks, may take long.",
)
WAITING_TRANSFERS = Limit(
    4,
    "imports and exports that wait for a connection",
    "503",
    "An import or an export may take long.",
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
