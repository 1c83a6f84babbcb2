"""Hostile heads: pairs that smuggle, odd methods, long lines and long or odd headers."""

from tests.socket.exchange import JSON, Row, chunked, request

KIBIBYTES_8 = 8 * 1024
KIBIBYTES_16 = 16 * 1024
POST = b"POST /item"
CHUNKED = b"Transfer-Encoding: chunked"
# A separate request for a server that uses the other length.
SMUGGLED = request(b"DELETE /item/1")


def refused(*headers: bytes, behind: bytes = SMUGGLED, status: int = 400) -> Row:
    """Return a row that hypercorn answers by itself, and then closes the connection."""
    return Row(request(POST, JSON, *headers) + behind, status, None, closes=True)


SMUGGLING = {
    "a length and chunks": Row(
        request(POST, JSON, b"Content-Length: 4", CHUNKED) + chunked(b"[]") + SMUGGLED,
        400,
        closes=True,
    ),
    "chunks and a length": Row(
        request(POST, JSON, CHUNKED, b"Content-Length: 7") + chunked(b"[]"), 400, closes=True
    ),
    "a length over the limit and chunks": Row(
        request(POST, JSON, CHUNKED, b"Content-Length: 999999999") + chunked(), 400, closes=True
    ),
    "a length and chunks where there is no route": Row(
        request(b"POST /nope", b"Content-Length: 4", CHUNKED) + chunked() + SMUGGLED,
        404,
        closes=True,
    ),
    "a length and chunks to GET": Row(
        request(b"GET /livez", JSON, b"Content-Length: 4", CHUNKED) + chunked() + SMUGGLED,
        400,
        closes=True,
    ),
    "two lengths": refused(b"Content-Length: 2", b"Content-Length: 3"),
    "two lengths in a line": refused(b"Content-Length: 2, 3"),
    "two equal lengths": Row(
        request(POST, JSON, b"Content-Length: 2", b"Content-Length: 2") + b"[]", 422
    ),
    "two equal lengths in a line": Row(request(POST, JSON, b"Content-Length: 2, 2") + b"[]", 422),
    "a length with a sign": refused(b"Content-Length: +2"),
    "a negative length": refused(b"Content-Length: -1"),
    "a length in hexadecimal": refused(b"Content-Length: 0x2"),
    "a length with an underscore": refused(b"Content-Length: 0_2"),
    "a length of 21 digits": refused(b"Content-Length: " + b"0" * 20 + b"2"),
    "an empty length": refused(b"Content-Length:"),
    "a length of other digits": refused(b"Content-Length: \xd9\xa2"),
    "a length over two lines": refused(b"Content-Length: 1\r\n 0"),
    "chunks twice": refused(CHUNKED, CHUNKED, status=501),
    "chunks twice in a line": refused(CHUNKED + b", chunked", status=501),
    "chunks in gzip": refused(b"Transfer-Encoding: gzip, chunked", status=501),
    "an unknown coding": refused(b"Transfer-Encoding: xchunked", status=501),
    "a coding by name only": refused(b"Transfer-Encoding: identity", status=501),
    "a space before the colon": refused(b"Transfer-Encoding : chunked"),
    "a vertical tab before the coding": refused(b"Transfer-Encoding: \x0bchunked"),
    "a name with a space": refused(b"X Y: z"),
    "a line without a colon": refused(b"nonsense"),
    "a NUL in a header": refused(b"X-Y: a\x00b"),
    "a bare CR in a header": refused(b"X-Y: a\rContent-Length: 2"),
    "two hosts": refused(b"Host: y"),
    "a second request in a body": Row(request(POST, JSON, body=SMUGGLED), 400),
}

SPACES = b" " * 30_000
FIELDS = [b"a: 1"] * 10_000


def in_chunks(framing: bytes, status: int = 400, type_: str | None = None) -> Row:
    """Return a row whose body is refused for what frames its chunks."""
    return Row(request(POST, JSON, CHUNKED) + framing + SMUGGLED, status, type_, closes=True)


# Inputs for which a backtracking expression takes quadratic time.
COSTLY = {
    "spaces and a NUL": refused(b"X:" + SPACES + b"\0"),
    "spaces, a letter and a NUL": refused(b"X:" + SPACES + b"a\0"),
    "spaces and a vertical tab": refused(b"X:" + SPACES + b"\v"),
    "spaces and a form feed": refused(b"X:" + SPACES + b"\f"),
    "spaces and a bare CR": refused(b"X:" + SPACES + b"\ra"),
    "tabs and a NUL": refused(b"X:" + b"\t" * 30_000 + b"\0"),
    "words and a NUL": refused(b"X:" + b" a" * 15_000 + b"\0"),
    "spaces and a NUL in a folded line": refused(b"X:" + SPACES, b" \0"),
    "spaces without a name": refused(SPACES + b"\0"),
    "a chunk's extension of spaces and a line feed": in_chunks(b"2;" + SPACES + b"\n\r\n{}\r\n"),
    "a chunk's size, spaces and a line feed": in_chunks(b"2" + SPACES + b"\n\r\n{}\r\n"),
    "spaces and a NUL in a trailer": in_chunks(b"0\r\nX:" + SPACES + b"\0\r\n\r\n"),
    "100 header fields": Row(request(b"GET /item", *FIELDS[:98]), 200, None),
    "101 header fields": Row(request(b"GET /item", *FIELDS[:99]), 431, closes=True),
    "101 header fields that begin a body": Row(
        request(POST, JSON, CHUNKED, *FIELDS[:97]) + chunked(b"[]") + SMUGGLED, 431, closes=True
    ),
    "10 000 header fields": Row(request(b"GET /item", *FIELDS), 431, closes=True),
    "10 000 lines of one header field": Row(
        request(b"GET /item", b"X:" + b"\r\n a" * 10_000), 431, closes=True
    ),
    "10 000 trailers": in_chunks(
        b"0\r\n" + b"\r\n".join(FIELDS) + b"\r\n\r\n", 431, "InvalidAPIRequest"
    ),
}

UPGRADE = (b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAAQAAP__")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WEBSOCKET = (
    *(b"Connection: Upgrade", b"Upgrade: websocket"),
    *(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
)

PROTOCOLS = {
    "an upgrade to h2c": Row(request(b"GET /item?q=x", *UPGRADE, b"Upgrade: h2c"), 200, None),
    "an upgrade to h2c with a body": Row(
        request(POST, JSON, *UPGRADE, b"Upgrade: h2c", body=b"[]"), 422
    ),
    "an upgrade to h2c with wrong settings": Row(
        request(b"GET /item", b"Upgrade: h2c", b"HTTP2-Settings: *"), 200, None
    ),
    "an upgrade to a WebSocket": Row(request(b"GET /item", *WEBSOCKET), 200, None),
    "an upgrade to a WebSocket with a body": Row(
        request(b"GET /item", JSON, *WEBSOCKET, body=b"{}"), 200, None
    ),
    "an upgrade to half a WebSocket": Row(request(b"GET /item", *WEBSOCKET[:2]), 200, None),
    "the preface of HTTP/2": Row(PREFACE, 400, None, closes=True),
    "the preface of HTTP/2 and a frame": Row(
        PREFACE + b"\0\0\0\4\0\0\0\0\0", 400, None, closes=True
    ),
    "a second preface": Row(PREFACE + PREFACE + SMUGGLED, 400, None, closes=True),
} | {
    f"a request of HTTP/{version.decode()}": Row(
        b"GET /item HTTP/%b\r\nHost: x\r\n\r\n" % version + SMUGGLED, 400, None, closes=True
    )
    for version in (b"0.9", b"2.0", b"3.7")
}

METHODS = {
    "TRACE": Row(request(b"TRACE /item"), 405),
    "TRACE to nothing": Row(request(b"TRACE /nope"), 404),
    "CONNECT": Row(request(b"CONNECT x:80"), 404),
    "CONNECT to a route": Row(request(b"CONNECT /item"), 405),
    "FOO": Row(request(b"FOO /item"), 405),
    "FOO with a body": Row(request(b"FOO /item/1", JSON, body=b"{}"), 405),
    "a method of 8 KiB": Row(request(b"F" * KIBIBYTES_8 + b" /item"), 405),
    "a method with a NUL": Row(request(b"G\x00T /item"), 400, None, closes=True),
    "a method with a space before": Row(b" " + request(b"GET /item"), 400, None, closes=True),
}

LINES = {
    "no request": Row(b"nonsense\r\n\r\n", 400, None, closes=True),
    "a TLS hello": Row(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, None, closes=True),
    "no host": Row(b"GET /item HTTP/1.1\r\n\r\n", 400, None, closes=True),
    "a target that is no ASCII": Row(request(b"GET /\xff"), 400, None, closes=True),
    "a target with a space": Row(request(b"GET /item/1 2"), 400, None, closes=True),
    "a target with a NUL": Row(request(b"GET /item\x00"), 400, None, closes=True),
    "a line of 16 KiB": Row(request(b"GET /item?q=" + b"x" * KIBIBYTES_16), 422),
    "a line of 16 KiB without a name": Row(request(b"GET /item?" + b"x" * KIBIBYTES_16), 422),
    "a head of 70 000 bytes": Row(
        b"GET /item HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70_000, 431, None, closes=True
    ),
    "a line of 70 000 bytes": Row(b"GET /" + b"x" * 70_000, 431, None, closes=True),
}

LONG = {
    f"8 KiB of {name.decode()}": Row(
        request(b"GET /item", name + b": " + b"x" * KIBIBYTES_8), 200, None
    )
    for name in (
        b"Accept",
        b"Accept-Encoding",
        b"Authorization",
        b"Content-Encoding",
        b"Content-Type",
        b"Cookie",
        b"Forwarded",
        b"Idempotency-Key",
        b"If-Match",
        b"If-None-Match",
        b"Origin",
        b"Prefer",
        b"Referer",
        b"User-Agent",
        b"X-Forwarded-For",
        b"X-Request-ID",
        b"X-Y",
        b"_secure_key",
    )
} | {
    "8 KiB of ranges in Accept": Row(
        request(
            b"GET /item/0",
            b"Accept: application/problem+json;q=0," + b"a/b;q=0.1," * (KIBIBYTES_8 // 10),
        ),
        404,
        "RecordNotFound",
    ),
    "8 KiB of quotes in If-None-Match": Row(
        request(b"GET /item/0", b"If-None-Match: " + b'"' * KIBIBYTES_8), 422
    ),
    "8 KiB of tags in If-Match": Row(
        request(b"DELETE /item/1", b"If-Match: " + b'"7",' * (KIBIBYTES_8 // 4)), 422
    ),
    "a tag of 8 KiB in If-Match": Row(
        request(b"DELETE /item/1", b'If-Match: "' + b"7" * KIBIBYTES_8 + b'"'),
        412,
        "PreconditionFailed",
    ),
    "a wrong key of 8 KiB": Row(
        request(b"GET /item").replace(b"X-API-Key: ", b"X-API-Key: " + b"\xff" * KIBIBYTES_8),
        401,
        "InvalidPermissions",
    ),
}

# None of them is stored.
REQUEST_IDS = {
    "over two lines": b"abc\r\n def",
    "over two lines, with a header": b"abc\r\n\tX-Evil: yes",
    "over three lines": b"\r\n abc\r\n def",
    "an escaped line break": b"abc%0d%0aX-Evil:yes",
    "a line break as text": rb"abc\r\nX-Evil: yes",
    "empty": b"",
    "65 characters": b"x" * 65,
    "8 KiB": b"x" * KIBIBYTES_8,
    "a space": b"a b",
    "a tab": b"a\tb",
    "a comma": b"a,b",
    "a semicolon": b"a;b",
    "a slash": b"../a",
    "a quote": b'a"b',
    "a brace": b"{a}",
    "markup": b"<script>",
    "an escape of the terminal": b"\x1b[31mred",
    "Latin-1": b"\xe4",
    "UTF-8": "ä🐘".encode(),
    "digits that are no ASCII": "٣".encode(),
    "no UTF-8": b"\xff\xfe",
    "a template": b"${jndi:ldap://x}",
}

HEADS = (
    SMUGGLING
    | COSTLY
    | PROTOCOLS
    | METHODS
    | LINES
    | LONG
    | {
        f"X-Request-ID {name}": Row(request(b"GET /item", b"X-Request-ID: " + id_), 200, None)
        for name, id_ in REQUEST_IDS.items()
    }
)
