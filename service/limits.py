"""Every limit of what a client may send or cause: its value, what happens beyond it, and why.

docs/limits.md is generated from this module. The limits of a resource's fields are in its schemas.
"""

from typing import NamedTuple


class Limit(NamedTuple):
    """A limit: the largest value that is served, in `unit`; the smallest if that says "at least".

    `beyond` is the status code of the response, or what happens instead of a response. If an
    operator can change the value, `setting` is the name of the setting, and the value its default.
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
    "items of a list of preferences, such as `Accept` and `Prefer`",
    "the others are ignored",
    "Parsing an item takes about 10 µs, even if the request is answered with an error.",
)
HEADER_LIST_BYTES = Limit(
    2048,
    "bytes of a list of preferences",
    "the rest is ignored",
    "An item can have any number of parameters, and parsing each takes as long as an item.",
)
CONTENT_TYPE_BYTES = Limit(
    1024, "bytes of `Content-Type`", "415", "It can have any number of parameters."
)
ENTITY_TAGS = Limit(
    100,
    "entity tags in a precondition",
    "422",
    "The database compares the version of the record with each of them.",
)
QUERY_BYTES = Limit(
    1 << 14,
    "bytes of a query string",
    "422",
    "Decoding it takes 200 times its size in memory if it consists of `%`.",
)
CURSOR_CHARACTERS = Limit(
    6000,
    "characters of a cursor in `after`, or fewer if the fields to sort by need fewer",
    "422",
    "nginx reads a URL of at most 8 KiB.",
)
RECORD_ID_DIGITS = Limit(
    100,
    "digits of an id in a path",
    "404, as for any other id without a record",
    "Converting digits to a number takes quadratic time.",
)

IDEMPOTENCY_KEY_CHARACTERS = Limit(
    255, "characters of `Idempotency-Key`", "422", "A key is stored, in an index."
)
IDEMPOTENCY_KEY_HOURS = Limit(
    24,
    "hours for which an `Idempotency-Key` is stored",
    "the key counts as unused",
    "The response is stored with it, and a client repeats a request within hours.",
)

# The body of a request.
BODY_BYTES = Limit(
    1 << 20,
    "bytes",
    "413",
    "A body is buffered in memory, and nothing else runs while it is parsed.",
    "MAX_BODY_BYTES",
)
BODIES_BYTES = Limit(
    64 << 20,
    "bytes of all bodies that are not parsed yet, without those of imports",
    "503 for the largest of the client that holds most",
    "Unfinished bodies must not exceed the memory of the container.",
    "MAX_BODIES_BYTES",
)
JOINED_CHUNKS = Limit(
    100,
    "chunks that have arrived together and are passed on as one part of a body",
    "the others are the next part",
    "Joining takes 1 µs per chunk, however short it is, and nothing else runs meanwhile.",
)
BODY_PARTS = Limit(
    8,
    "parts of a body that are passed on in a row",
    "the others wait for their turn",
    "However many bodies arrive, only a few of them delay other requests.",
)
BODIES_IN_TURN = Limit(
    10,
    "bodies that have their turn at the same time",
    "the others wait, in the order of arrival",
    "The parts that are passed on in one turn take some 2 ms.",
)
IMPORT_BYTES = Limit(
    1 << 30,
    "bytes",
    "413",
    "An import is streamed, but it is one transaction, and PostgreSQL stores all of it in a "
    "temporary table.",
    "MAX_IMPORT_BYTES",
)
JSON_DEPTH = Limit(
    64, "levels", "400", "Parsers and validators of JSON recurse; other parsers accept no more."
)
JSON_VALUES = Limit(
    5000,
    "values, counted by their commas and opening brackets",
    "400",
    "The validator takes up to 10 µs for a wrong value, and nothing else runs meanwhile.",
)
JSON_DIGITS = Limit(
    100,
    "digits of a number",
    "400",
    "Converting digits takes quadratic time, and the validator copies long numbers.",
)
CSV_FIELDS = Limit(
    1000, "fields of a record in CSV", "422", "A field takes some 60 bytes, however short it is."
)

# The response.
FAULTS = Limit(
    100,
    "faults in a response",
    "the others are not reported",
    "A small request must not cause a large response.",
)
FAULT_NAMES = Limit(
    10,
    "names in a message",
    "the others are omitted",
    "A small request must not cause a large response.",
)
QUOTED_CHARACTERS = Limit(
    80,
    "characters of a value that a message quotes",
    "the rest is omitted",
    "The value comes from the client and can have any length.",
)
LIST_ITEMS = Limit(
    100,
    "items of a list in a query string",
    "422",
    "The validator takes up to 10 µs for a wrong item.",
)
PAGE_RECORDS = Limit(
    200,
    "records of a page",
    "a page has 200",
    "A page is built in memory. Exports have no such limit.",
)
PAGE_BYTES = Limit(
    2 << 20,
    "bytes of a page, if all of its records are as large as their schema allows",
    "a page has fewer records: the contract's `limit` says how many",
    "A page is built in memory, and clients that do not read it keep it there.",
)
JSON_VALUE_BYTES = Limit(
    1 << 16,
    "bytes of a field of the type `json`, written without spaces",
    "422",
    "Many records are read together.",
)
RECEIVE_BUFFER_BYTES = Limit(
    1 << 16,
    "bytes of a request in the kernel",
    "the client waits until the service has read",
    "The kernel would buffer megabytes of each client that sends faster than the service reads.",
)
SEND_BUFFER_BYTES = Limit(
    1 << 16,
    "bytes of a response in the kernel",
    "the rest is sent when the client has read",
    "The kernel would buffer up to 4 MB for each client that does not read.",
)
UNREAD_BYTES = Limit(
    64 << 20,
    "bytes of all parts of responses that wait for their clients to read",
    "the connection with the largest response of the client that holds most is closed",
    "A page is buffered in memory until its client has read it.",
)
WALKED_RECORDS = Limit(
    1_000_000,
    "records read in the order of a page",
    "the rest is searched in the index",
    "Each step of a search is a separate statement, so no statement time-out ends the search.",
)

# Time.
REQUEST_SECONDS = Limit(
    30,
    "seconds",
    "504, or 408 while the body arrives",
    "A request holds memory and a place among those in progress.",
    "REQUEST_TIMEOUT",
)
STATEMENT_SECONDS = Limit(
    5,
    "seconds",
    "504",
    "A statement holds a connection to the database.",
    "DATABASE_STATEMENT_TIMEOUT",
)
POOL_WAIT_SECONDS = Limit(
    2,
    "seconds for which a request waits for a connection to the database",
    "503",
    "A waiting request holds memory and the connection of its client.",
)
LOCK_SECONDS = Limit(
    1,
    "second for which a write waits for another transaction",
    "503",
    "It holds a connection to the database meanwhile.",
)
CHEAP_READ_MILLISECONDS = Limit(
    100,
    "milliseconds for which a read runs that is expected to be cheap",
    "it is restarted on the connections of costly statements, where reads of the same kind, or for "
    "a search similar ones of the same client, begin for the next 5 s",
    "The cost of a read is an estimate. If it is wrong, such as while an import is being stored, "
    "the read must not hold the connections of cheap reads.",
)
CHEAP_WRITE_MILLISECONDS = Limit(
    1000,
    "milliseconds for which a write that is a single statement runs",
    "it is repeated, for at most `STATEMENT_SECONDS`, on the connections of costly statements, "
    "where the client's writes of the same operation and table begin for the next 5 s; writes that "
    "shared the statement are first repeated alone",
    "A write may change many records, such as the deletion of one that many refer to. It must not "
    "hold the connections of other writes.",
)
SHARED_CHARACTERS = Limit(
    4000,
    "characters of texts and JSON of one client's records whose writes share a statement with "
    "others'",
    "a longer record is written by a statement of its own, more records by the next ones",
    "A search index of texts takes some 9 ms for each 1,000 characters, and all requests that "
    "share a statement wait for it.",
)
SHARED_WRITE_MILLISECONDS = Limit(
    250,
    "milliseconds for a statement with writes that requests share",
    "its clients, at most 8 at a time, share no statements with others for 60 s, and each has only "
    "as many writes in one as take 0.1 s, or three times as long as the shortest statement",
    "All of them wait for its end, what a write costs may depend on what is stored, and the "
    "statement does not tell which one took long.",
)
KEYED_LOCK_MILLISECONDS = Limit(
    50,
    "milliseconds for which a request with an `Idempotency-Key` waits for another transaction",
    "503",
    "It holds a connection to the database meanwhile, and its client can safely repeat it.",
)
PROGRESS_SECONDS = Limit(
    30,
    "seconds without progress",
    "the connection is closed, or 408 while an import arrives",
    "The server keeps memory for a client that neither reads nor sends.",
)
LINGER_SECONDS = Limit(
    1,
    "second for which a response waits for the rest of a body that is not needed",
    "the connection is closed after the response",
    "If a connection is closed while its client is sending, the client loses the response.",
)
HALF_CLOSED_MILLISECONDS = Limit(
    50,
    "milliseconds for which a request continues after its client has closed its side of the "
    "connection",
    "the request ends without a response; one that waits for a place ends immediately",
    "Most such clients have disconnected, and TCP can't distinguish them from those that read.",
)
KEEP_ALIVE_SECONDS = Limit(
    75,
    "seconds for which a connection is idle",
    "the connection is closed",
    "An idle connection holds memory and a file descriptor.",
    "KEEP_ALIVE_TIMEOUT",
)

# Concurrency.
IMPORTS = Limit(
    8,
    "imports whose bodies are read concurrently",
    "others wait",
    "Each holds a batch of records in memory before it takes a connection to the database.",
)
IMPORTS_WAITING = Limit(
    32,
    "imports that wait for their turn, or up to twice as many, of clients of which none waits yet",
    "503, as after the time of `POOL_WAIT_SECONDS`",
    "Each holds the received data in the buffers of its connection.",
)
CONNECTIONS = Limit(
    500,
    "connections of the process",
    "a new connection waits",
    "Each holds memory and a file descriptor, even if its client does nothing.",
    "MAX_CONNECTIONS",
)
WAITING_CONNECTIONS = Limit(
    2000,
    "connections that wait for one of these to be closed; fewer if the limit of open files is low",
    "503 for the one that has waited longest",
    "Each holds a file descriptor, but no other resource.",
)
REFUSALS = Limit(
    200,
    "connections per second that get a 503 because they have waited too long for a place",
    "the 503 is sent in one of the next seconds",
    "A refused client may reconnect immediately, which must cost the others little.",
)
HEALTH_CONNECTIONS = Limit(
    20,
    "connections for health checks, in addition to those of `CONNECTIONS`",
    "the health check waits like any other request",
    "Health checks are answered under load, and any client can send any number of them.",
)
REFUSED_CONNECTIONS = Limit(
    100,
    "connections that are closed a second after their 503",
    "the first of them is closed immediately",
    "If a connection is closed while its client is sending, the client loses the response.",
)
QUEUE_SECONDS = Limit(
    1,
    "second for which a connection, or a request, waits to be admitted",
    "503",
    "The client, or a load balancer, can retry elsewhere before its own time-out.",
)
IDLE_SECONDS_FOR_OTHERS = Limit(
    5,
    "seconds for which a connection is kept although another client waits, if it is idle, or if "
    "its client does not read the next 64 KiB of a response",
    "it is closed; if there is none, one in use that is as old is closed after its response",
    "Its client may be about to send a request: nginx reuses an idle connection for 3 seconds.",
)
REQUESTS_IN_PROGRESS = Limit(
    40,
    "requests in progress, or twice `DATABASE_POOL_SIZE` if that is more; those that wait for the "
    "database do not count, unless for a read by id",
    "the request waits; health checks do not",
    "They share one event loop: each request in progress delays all the others.",
)
LARGE_BODIES = Limit(
    48,
    "requests in progress whose body has more than 16 KiB",
    "the request waits, with its body unparsed, and then gets a 503",
    "Parsed values take several times the memory of the body, and a request that waits for the "
    "database keeps them.",
)
REQUESTS_IN_TURN = Limit(
    40,
    "requests that begin, or go on after their body, and as many connections that are opened, in "
    "one iteration of the event loop",
    "the others wait for one of the next iterations; clients take turns",
    "A limit of requests in progress does not delay those that are answered at once, as by a 401.",
)
TURN_MILLISECONDS = Limit(
    20,
    "milliseconds that an iteration of the event loop may take",
    "fewer requests begin in each of the next ones, but at least two",
    "Some requests take milliseconds before they first wait for something, such as those with a "
    "long list in the query, and a request needs several iterations.",
)
LONG_STEPS_PERCENT = Limit(
    33,
    "percent of the time of the event loop for parsing what exceeds `LONG_BYTES`",
    "the next one waits; the client for which it has taken the least time is first",
    "Such a body takes up to some 30 ms, in which no other request goes on.",
)
LONG_BYTES = Limit(
    1 << 12,
    "bytes of a body, or of a head that does not arrive all at once",
    "it is parsed when its turn comes (`LONG_STEPS_PERCENT`)",
    "Parsing a KiB takes up to 0.3 ms, and hundreds may be complete at the same moment.",
)
BULK_TRANSFERS = Limit(
    4,
    "concurrent imports and exports",
    "503",
    "Each holds a connection to the database and a transaction until its end.",
)
COSTLY_EXPORTS = Limit(
    2,
    "concurrent exports whose cost before the first line grows with the table, in addition",
    "503",
    "Sorting a large table takes seconds and temporary files: other imports and exports do not "
    "wait for it.",
)
TRANSFER_BYTES = Limit(
    1 << 19,
    "bytes that the client of an import or export sends or reads at least, or the rest, within the "
    "time of `PROGRESS_SECONDS`; white space and commas of an import do not count, nor does the "
    "time of the database",
    "it is ended: an import by 408, an export before the end of its message",
    "Neither has a deadline, and each holds a connection and a transaction. Meanwhile PostgreSQL "
    "keeps the old versions of all records, so reads of a record become slower at each change.",
)
TRANSFER_BYTES_FOR_OTHERS = Limit(
    1 << 16,
    "bytes that the client of an import or export sends or reads at least, counted in the same "
    "way, within the time of `TRANSFER_MILLISECONDS_FOR_OTHERS` while another one waits",
    "the slowest one is ended, as above",
    "Without it, very slow clients would prevent all others from importing and exporting.",
)
TRANSFER_MILLISECONDS_FOR_OTHERS = Limit(
    1500,
    "milliseconds for which an import or export waits for its client although another one waits",
    "it is ended if fewer bytes than `TRANSFER_BYTES_FOR_OTHERS` have been moved",
    "It is less than `POOL_WAIT_SECONDS`, so the one that waits gets the place in time. A lost "
    "packet delays a client less.",
)

# nginx, for each client.
RATE = Limit(
    500,
    "requests per second",
    "429",
    "One client must not take all of the capacity: on a slow core a process serves 1,000 reads per "
    "second.",
    "RATE_LIMIT",
)
CLIENT_REQUESTS = Limit(
    100,
    "concurrent requests",
    "429",
    "A few clients must not hold all connections of the service (`CONNECTIONS`).",
    "CONNECTION_LIMIT",
)
CLIENT_LARGE_REQUESTS = Limit(
    CLIENT_REQUESTS.value // 4,
    "concurrent requests with a large body (from 100 kB on, or of unknown length) or response (of "
    "`/docs/`), a quarter of `CONNECTION_LIMIT`, at least 8",
    "503",
    "nginx buffers neither, so a slow client holds a connection of the service.",
)
CLIENT_SHARE = Limit(
    50,
    "percent of the connections for imports and exports, for costly exports and for costly "
    "statements, and of the places of `IMPORTS` and `IMPORTS_WAITING`, that one client has; at "
    "least one. Of `LARGE_BODIES` it is a quarter",
    "503, as after the time of `POOL_WAIT_SECONDS`",
    "They are used for seconds or minutes, so others can't wait for their turn.",
)
CLIENT_WAITING = Limit(
    16,
    "statements that wait for a connection to the database although their client has its share",
    "503 immediately, counted as `CLIENT_SHARE`",
    "Each holds a connection of the service for up to two seconds, and few of them would get one.",
)
LARGE_REQUESTS = Limit(
    CONNECTIONS.value // 2,
    "such requests of all clients, half of `MAX_CONNECTIONS`",
    "503",
    "Slow clients must not hold all connections of the service.",
)


def client_share(number: int) -> int:
    """Return how many of `number` places one client has at most."""
    return max(1, number * CLIENT_SHARE.value // 100)


def client_quarter(number: int) -> int:
    """Return how many of `number` places one client has at most, if they are many."""
    return number // 4


def limits() -> dict[str, Limit]:
    """Return every limit by its name."""
    return {name: value for name, value in globals().items() if isinstance(value, Limit)}
