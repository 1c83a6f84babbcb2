"""Hostile bodies: what is no JSON, what no schema takes, and what is framed or typed oddly."""

from tests.socket.exchange import JSON, Row, chunked, request

LIMIT = 300_000
DEEP = 100_000
FIELDS = b'"name": "Ada", "email": "ada@example.org"'

# 400, whatever the method.
MALFORMED = {
    "an empty body": b"",
    "only spaces": b" \t\r\n ",
    "a byte order mark": b"\xef\xbb\xbf{" + FIELDS + b"}",
    "UTF-16": '{"name": "Ada"}'.encode("utf-16"),
    "invalid UTF-8 in a value": b'{"name": "\xff", "email": "ada@example.org"}',
    "invalid UTF-8 in a key": b'{"\xc3\x28": 1, ' + FIELDS + b"}",
    "a surrogate in UTF-8": b'{"name": "\xed\xa0\x80"}',
    "a raw NUL in a value": b'{"name": "A\x00a"}',
    "a raw NUL in a key": b'{"na\x00me": "Ada"}',
    "a NUL behind the value": b"{" + FIELDS + b"}\x00",
    "NaN": b'{"name": NaN}',
    "Infinity": b'{"name": Infinity}',
    "-Infinity": b'{"name": -Infinity}',
    "1e400": b'{"name": 1e400}',
    "-1e400": b"-1e400",
    "an integer of 5000 digits": b'{"name": ' + b"7" * 5000 + b"}",
    "a nesting of 65": b"[" * 65 + b"]" * 65,
    "a nesting of 100 000": b"[" * DEEP + b"]" * DEEP,
    "a nesting of 100 000 that never closes": b"[" * DEEP,
    "a list of 100 000": b"[" + b"0," * DEEP + b"0]",
    "20 000 keys": b"{" + b",".join(b'"%d":0' % key for key in range(20_000)) + b"}",
    "a nesting of 50 000 objects": b'{"":' * 50_000 + b"1" + b"}" * 50_000,
    "a key twice": b'{"name": "Ada", "name": "Ada", "email": "ada@example.org"}',
    "a key twice, by an escape": b'{"name": "Ada", "n\\u0061me": "Zed"}',
    "a key twice, deep": b'{"name": [{"a": {"b": 1, "b": 1}}]}',
    "a lone surrogate twice": b'{"\\ud800": 1, "\\ud800": 2}',
    "a value cut off": b'{"name": "Ad',
    "two values": b"{} {}",
    "single quotes": b"{'name': 'Ada'}",
    "a trailing comma": b"{" + FIELDS + b",}",
    "a comment": b"{} // none",
}

# 422: JSON, but no Item.
UNFIT = {
    "null": b"null",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"0",
    "true": b"true",
    "1e308": b"1e308",
    "an integer of 20 digits": b'{"name": ' + b"7" * 20 + b', "email": "ada@example.org"}',
    "an integer of 100 digits": b'{"name": ' + b"7" * 100 + b', "email": "ada@example.org"}',
    "a NUL in a value": b'{"name": "A\\u0000a", "email": "ada@example.org"}',
    "a NUL in a key": b'{"name\\u0000": "Ada", ' + FIELDS + b"}",
    "a lone surrogate in a value": b'{"name": "A\\ud800", "email": "ada@example.org"}',
    "a surrogate pair the wrong way round": b'{"name": "\\udc18\\ud83d", "email": "a@b.co"}',
    "a lone surrogate in a key": b'{"\\udfff": 1, ' + FIELDS + b"}",
    "an unknown key": b'{"id": 7, ' + FIELDS + b"}",
    "another case": b'{"Name": "Ada", "email": "ada@example.org"}',
    "an empty key": b'{"": 1, ' + FIELDS + b"}",
    "a nesting of 64": b"[" * 64 + b"]" * 64,
    "a list of 4000": b"[" + b"0," * 3999 + b"0]",
    "4000 keys": b"{" + b",".join(b'"%d":0' % key for key in range(4000)) + b"}",
    "a text of 200 000": b'{"name": "' + b"x" * 200_000 + b'", "email": "ada@example.org"}',
    "a key of 200 000": b'{"' + b"x" * 200_000 + b'": 1}',
    "null for a text": b'{"name": null, "email": null}',
    "a name of one character": '{"name": "🐘", "email": "ada@example.org"}'.encode(),
    "a name of 201 characters": b'{"name": "%b", "email": "ada@example.org"}' % (b"x" * 201),
}

# 422 too: no e-mail address.
ADDRESSES = [
    rb"a@b.co\n",
    rb"\na@b.co",
    rb"a\n@b.co",
    rb"a@b.co\r\nBcc: c@d.co",
    rb"\"a\nb\"@c.co",
    rb"\"a\r\nb\"@c.co",
    rb"a@b.co\u0000",
    rb"a@b.co\u2028",
    rb"\"a@b.co",
    rb"\"a\"b@c.co",
    rb"a\"b@c.co",
    rb"\"\"a\"\"@c.co",
    rb"a b@c.co",
    rb"a@b.co, c@d.co",
    rb"Ada <ada@example.org>",
    rb"\"Ada\" <ada@example.org>",
    rb"<ada@example.org>",
    rb"mailto:ada@example.org?subject=x",
    rb"a@b@c.co",
    rb"a@",
    rb"@b.co",
    rb"a@-b.co",
    rb"a@b..co",
    rb"a@b.co.",
    rb".a@b.co",
    rb"a..b@c.co",
    "ä@example.org".encode(),
    rb"\u00e4@example.org",
    "ada@exämple.org".encode(),
    "ada@example\N{FULLWIDTH FULL STOP}org".encode(),
    "ada\N{FULLWIDTH COMMERCIAL AT}example.org".encode(),
    "\N{RIGHT-TO-LEFT OVERRIDE}ada@example.org".encode(),
    b"a" * 65 + b"@example.org",
    b"a@" + b"b" * 253,
]

LINES = {"POST": b"POST /item", "PUT": b"PUT /item/1", "PATCH": b"PATCH /item/1"}

BODIES = {
    f"{method} {name}": Row(request(line, JSON, body=body), status)
    for status, bodies in ((400, MALFORMED), (422, UNFIT))
    for name, body in bodies.items()
    for method, line in LINES.items()
} | {
    f"{method} e-mail {address[:40]!r}": Row(
        request(line, JSON, body=b'{"name": "Ada", "email": "%b"}' % address), 422
    )
    for address in ADDRESSES
    for method, line in LINES.items()
}

TYPE = "InvalidContentType"
POST = b"POST /item"
CHUNKED = b"Transfer-Encoding: chunked"


def typed(*headers: bytes, method: str = "POST", status: int = 415) -> Row:
    """Return a row whose body is no JSON, so that none of them is ever stored."""
    row = request(LINES[method], *headers, body=b"x")
    return Row(row, status, TYPE if status == 415 else "InvalidAPIRequest")


TYPES = {
    "no content type": typed(),
    "an empty content type": typed(b"Content-Type:"),
    "the content type twice": typed(JSON, JSON),
    "two content types": typed(JSON, b"Content-Type: text/plain"),
    "two content types in a line": typed(JSON + b", text/plain"),
    "application/jsonx": typed(JSON + b"x"),
    "application/json-seq": typed(JSON + b"-seq"),
    "text/json": typed(b"Content-Type: text/json"),
    "no slash": typed(b"Content-Type: json"),
    "a content type of 8 KiB": typed(JSON + b"x" * 8192),
    "a merge patch by POST": typed(b"Content-Type: application/merge-patch+json"),
    "a merge patch by PUT": typed(b"Content-Type: application/merge-patch+json", method="PUT"),
    "a merge patch": typed(
        b"Content-Type: application/merge-patch+json", method="PATCH", status=400
    ),
    "parameters": typed(JSON + b'; charset=utf-8; x="y;z"', status=400),
    "a parameter without an end": typed(JSON + b'; x="y', status=400),
    "a type in capitals": typed(JSON.upper(), status=400),
    "gzip": typed(JSON, b"Content-Encoding: gzip"),
    "two encodings": typed(JSON, b"Content-Encoding: identity, gzip"),
    "two encodings in two lines": typed(
        JSON, b"Content-Encoding: identity", b"Content-Encoding: gzip"
    ),
    "no encoding by name": typed(JSON, b"Content-Encoding: identity", status=400),
}

FRAMES = {
    "chunks": Row(request(POST, JSON, CHUNKED) + chunked(b'{"na', b"m", b'e": 1}'), 422),
    "chunks without a byte": Row(request(POST, JSON, CHUNKED) + chunked(), 400),
    "chunks with extensions and trailers": Row(
        request(POST, JSON, CHUNKED) + b"2;a=b\r\n[]\r\n0;c\r\nX-Request-ID: trailer\r\n\r\n", 422
    ),
    "chunks to a URL without a body": Row(
        request(b"GET /item", CHUNKED) + chunked(b"x"), 415, TYPE
    ),
    "a body to a URL that is not there": Row(request(b"POST /nope", body=b"[" * DEEP), 404),
    "a body that a route does not read": Row(
        request(b"DELETE /item/99", JSON, body=b"[" * DEEP), 404, "RecordNotFound"
    ),
    "a body over the limit": Row(request(POST, JSON, body=b" " * (LIMIT + 1)), 413),
    "a body over the limit without a length": Row(
        request(POST, JSON, CHUNKED) + chunked(b" " * LIMIT, b" "), 413
    ),
    "a body at the limit": Row(request(POST, JSON, body=b" " * LIMIT), 400),
    "a chunk without a size": Row(request(POST, JSON, CHUNKED) + b"\r\n[]\r\n", 400, None, True),
    "a chunk of a negative size": Row(
        request(POST, JSON, CHUNKED) + b"-2\r\n[]\r\n", 400, None, True
    ),
    "a chunk of 0x2": Row(request(POST, JSON, CHUNKED) + b"0x2\r\n[]\r\n", 400, None, True),
    "a chunk of 2**84": Row(request(POST, JSON, CHUNKED) + b"f" * 21 + b"\r\n", 400, None, True),
    "a chunk longer than it says": Row(
        request(POST, JSON, CHUNKED) + b"1\r\n[]\r\n0\r\n\r\n", 400, None, True
    ),
}
