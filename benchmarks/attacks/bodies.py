"""Bodies of a mebibyte that may be expensive: JSON, CSV, NDJSON, and how they are framed."""

from benchmarks.attacks.heads import numbered, repeated
from benchmarks.attacks.target import JSON, Input, request, single
from benchmarks.collection import TARGET
from service.limits import BODY_BYTES

SIZE = (1 << 20) - 100
FIELDS = b'"name": "Ada Lovelace", "email": "ada@example.org"'
POST, PUT = b"POST %s" % TARGET, b"PUT %s/1" % TARGET
CSV, NDJSON = b"Content-Type: text/csv", b"Content-Type: application/x-ndjson"
CHUNKED = b"Transfer-Encoding: chunked"
DEEP = b"[" * 60 + b"]" * 60
DEEP_OBJECT = b'{"":' * 60 + b"0" + b"}" * 60


def listed(item: bytes) -> bytes:
    """Return a list of an item, as long as a body may be."""
    return b"[" + repeated(item + b",", SIZE - len(item)) + item + b"]"


def checked(bodies: dict[str, bytes]) -> dict[str, bytes]:
    """Return the bodies. Raises ValueError: one is beyond the limit, and would cost nothing."""
    for name, body in bodies.items():
        if len(body) > BODY_BYTES.value:
            raise ValueError(f"{name}: {len(body)} bytes")
    return bodies


def named(value: bytes, size: int = SIZE) -> bytes:
    """Return a record whose name is the text."""
    return b'{"email": "ada@example.org", "name": "' + repeated(value, size) + b'"}'


TEXTS = {
    "nested to 60, and wide": listed(DEEP),
    "nested objects, and wide": listed(DEEP_OBJECT),
    "a million brackets that never close": b"[" * SIZE,
    "half a million numbers": listed(b"0"),
    "one number, and spaces": b"[0" + b" " * SIZE + b"]",
    "350 000 empty lists": listed(b"[]"),
    "350 000 empty objects": listed(b"{}"),
    "260 000 texts": listed(b'""'),
    "170 000 objects of one property": listed(b'{"":0}'),
    "90 000 properties": b"{" + numbered(b'"%d":0,', SIZE) + b'"x":0}',
    "a property over and over": b"{" + repeated(b'"a":0,', SIZE) + b'"a":0}',
    "90 000 properties, the last twice": b"{" + numbered(b'"%d":0,', SIZE) + b'"1":0}',
    "unknown properties with long names": b"{%b%b}"
    % (numbered(b'"' + b"x" * 900 + b'%d":0,', SIZE), FIELDS),
    "a name of long numbers": b'{"name": [' + b",".join([b"9" * 99] * 4900) + b"]}",
    "numbers of 3 900 digits": listed(b"7" * 3900),
    "a number of a million digits": b"[" + b"7" * SIZE + b"]",
    "fractions of 3 900 digits": listed(b"0." + b"7" * 3900),
    "exponents": listed(b"1e-999"),
    "escapes": named(rb"\u0041"),
    "escaped quotes": named(rb"\""),
    "surrogate pairs": named(rb"\ud83d\udc18"),
    "lone surrogates": named(rb"\udc18"),
    "lone surrogates in a list": listed(rb'"\udc18"'),
    "NULs in a list": listed(rb'"\u0000"'),
    "backslashes": named(rb"\\"),
    "a long name": named(b"x"),
    "a name of spaces": named(b" "),
    "a name of letters of four bytes": named("🐘".encode()),
    "an e-mail of dots": b'{"name": "Ada", "email": "a@' + repeated(b"b.", SIZE) + b'co"}',
    "an e-mail of signs": b'{"name": "Ada", "email": "' + b"@" * SIZE + b'"}',
    "an e-mail of quotes": b'{"name": "Ada", "email": "' + repeated(rb"\"", SIZE) + b'@b.co"}',
    "a mebibyte of spaces": b" " * SIZE,
}

LINES = {
    "NDJSON of blank lines": (NDJSON, b"\n" * SIZE),
    "NDJSON of blank lines with CR": (NDJSON, b"\r\n" * (SIZE // 2)),
    "NDJSON of empty objects": (NDJSON, b"{}\n" * (SIZE // 3)),
    "NDJSON of digits": (NDJSON, b"0\n" * (SIZE // 2)),
    "NDJSON with faults in each line": (NDJSON, b'{"name":0,"x":1}\n' * (SIZE // 17)),
    "NDJSON of one line": (NDJSON, named(b"x")),
    "NDJSON of one line of brackets": (NDJSON, listed(b"[]")),
    "NDJSON of nested lines": (NDJSON, repeated(DEEP + b"\n", SIZE)),
    "NDJSON of an e-mail over and over": (NDJSON, repeated(b"{" + FIELDS + b"}\n", SIZE)),
    "CSV of blank lines": (CSV, b"name,email\n" + b"\n" * SIZE),
    "CSV of quotes": (CSV, b"name,email\n" + b'"' * SIZE),
    "CSV of quoted quotes": (CSV, b"name,email\n" + repeated(b'"""",""""\n', SIZE)),
    "CSV of quoted line ends": (CSV, b"name,email\n" + b'"' + b"\n" * SIZE),
    "CSV of commas": (CSV, b"name,email\n" + b"," * SIZE),
    "CSV with a header of commas": (CSV, b"," * SIZE),
    "CSV with a header of names": (CSV, numbered(b"a%d,", SIZE) + b"\n"),
    "CSV with faults in each line": (CSV, b"name,email\n" + b"a,b\n" * (SIZE // 4)),
    "CSV of one line": (CSV, b"name,email\n" + b"x" * SIZE),
}


def chunked(*headers: bytes, body: bytes, piece: int = 1 << 30, name: str) -> Input:
    """Return an input whose body is in chunks."""
    sent = request(POST, JSON, CHUNKED, *headers) + body
    return single(name, sent, piece=piece)


END = b"0\r\n\r\n"
BODIES: list[Input] = [
    *(
        single(f"JSON: {name}", request(POST, JSON, body=body))
        for name, body in checked(TEXTS).items()
    ),
    single("JSON by PUT: half a million numbers", request(PUT, JSON, body=listed(b"0"))),
    *(single(name, request(POST, type_, body=body)) for name, (type_, body) in LINES.items()),
    chunked(name="100 000 chunks of a byte", body=b"1\r\n \r\n" * 100_000 + END),
    chunked(name="5 000 chunks of a byte, each sent", body=b"1\r\n \r\n" * 5000 + END, piece=6),
    chunked(name="extensions of chunks", body=b"1;%b\r\n \r\n" % (b"a" * 1000) * 800 + END),
    chunked(name="an extension without an end", body=b"1;" + b"a" * SIZE),
    chunked(name="1 000 leading zeros", body=b"%b1\r\n \r\n" % (b"0" * 1000) + END),
    chunked(name="14 000 trailers", body=b"1\r\n \r\n0\r\n" + b"a:\r\n" * 14_000 + b"\r\n"),
    single("a body in pieces of 100 B", request(POST, JSON, body=b" " * 500_000), piece=100),
    single(
        "a body of lines in pieces of 100 B",
        request(POST, NDJSON, body=b"{}\n" * 150_000),
        piece=100,
    ),
    single("a mebibyte where there is no route", request(b"POST /nope", JSON, body=b" " * SIZE)),
]
