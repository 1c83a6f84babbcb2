"""Hostile targets: ids, paths and query strings."""

from tests.socket.exchange import JSON, Row, request

# 404, for no URL has them. What is behind a `?` would be a query string.
NO_IDS = [
    b"-1",
    b"+1",
    b"01",
    b"00",
    b"1.0",
    b"1e3",
    b"0x1",
    b"1_0",
    b"NaN",
    b"null",
    b"1,2",
    b"1;2",
    b"1 ",
    b"1%20",
    b"1%0A",
    b"1%0D%0A",
    b"%00",
    b"1%00",
    b"%2500",
    b"%",
    b"%zz",
    b"%ff",
    b"%EF%BB%BF1",
    b"%ED%A0%80",
    b"%D9%A1",
    b"%EF%BC%91",
    b"",
    b"/1",
    b"1/",
    b"../",
    b"../item",
    b"..%2fitem",
    b"%2e%2e/livez",
    b"1%2F",
    b"1\\",
    b"1#2",
    b"[]",
    b"{}",
    b"'",
    b"1'--",
    b"0" * 10_000,
]

# 404 too, for no record has them.
NO_RECORDS = [b"0", b"9223372036854775807", b"9223372036854775808", b"7" * 400, b"7" * 10_000]

METHODS: dict[bytes, bytes | None] = {
    b"GET": None,
    b"PUT": b'{"name": "Zed"}',
    b"PATCH": b"{}",
    b"DELETE": None,
}


def named(target: bytes) -> str:
    """Return a target as the name of its row."""
    return repr(target[:60])[2:-1]


IDS = {
    f"{method.decode()} id {named(id_)} of {len(id_)}": Row(
        request(method + b" /item/" + id_, JSON, body=body), 404, type_
    )
    for type_, ids in (("InvalidAPIRequest", NO_IDS), ("RecordNotFound", NO_RECORDS))
    for id_ in ids
    for method, body in METHODS.items()
    # A space ends the target: that is no HTTP.
    if id_ != b"1 "
}

# 422 at the collection.
LIST_QUERIES = [
    b"limit",
    b"limit=",
    b"limit=0",
    b"limit=-1",
    b"limit=%2B5",
    b"limit=+5",
    b"limit=5+",
    b"limit=5%0A",
    b"limit=5%00",
    b"limit=%00",
    b"limit=%ff",
    b"limit=%ED%A0%80",
    b"limit=%EF%BB%BF5",
    b"limit=%D9%A3",
    b"limit=5.0",
    b"limit=1e1",
    b"limit=1e400",
    b"limit=NaN",
    b"limit=Infinity",
    b"limit=null",
    b"limit=[]",
    b"limit=%7B%7D",
    b"limit=0x5",
    b"limit=5;after=x",
    b"limit=1000000000",
    b"limit=0000000005",
    b"limit=" + b"7" * 20,
    b"limit=" + b"7" * 400,
    b"limit=" + b"7" * 10_000,
    b"limit=" + b"[" * 10_000,
    b"limit=5&limit=5",
    b"limit=5&limit=6",
    b"limit=5&%6cimit=5",
    b"LIMIT=5",
    b"limit[]=5",
    b"limit%00=5",
    b"limit%0A=5",
    b"%00=5",
    b"%ff=5",
    b"%ED%A0%80=5",
    b"%EF%BB%BFlimit=5",
    b"=5",
    b"unknown=1",
    b"unknown=%00",
    b"id=1",
    b"__proto__=1",
    b"x=1&" * 4000,
    b"%" * 12_000,
    b"=" * 12_000,
    b"&".join(b"%d" % name for name in range(2500)),
    b"after",
    b"after=%00",
    b"after=%ff",
    b"after=%C3%A4",
    b"after=..%2F..%2F",
    b"after=bnVsbA",  # null
    b"after=eyJpZCI6IC0xfQ",  # {"id": -1}
    b"after=eyJpZCI6IDF9Cg",  # {"id": 1} and a line break
    b"after=eyJpZCI6IDEuMH0",  # {"id": 1.0}
    b"after=eyJpZCI6IHRydWV9",  # {"id": true}
    b"after=eyJpZCI6IE5hTn0",  # {"id": NaN}
    b"after=eyJpZCI6IDkyMjMzNzIwMzY4NTQ3NzU4MDh9",  # {"id": 9223372036854775808}
    b"after=eyJpZCI6IDF9%0A",
    b"after=eyJpZCI6IDF9&after=eyJpZCI6IDF9",
    b"after=" + b"W1tb" * 125,  # A nesting of 375.
    b"after=" + b"x" * 501,
    b"after=" + b"x" * 10_000,
]

# 422 at a record, before it is looked for.
RECORD_QUERIES = [
    b"only",
    b"only=",
    b"only=,",
    b"only=id,id",
    b"only=id&only=name",
    b"only=id&exclude=name",
    b"only=version",
    b"only=ID",
    b"only=id%00",
    b"only=%ff",
    b"only=id,%ED%A0%80",
    b"only=id%0A",
    b"only=*",
    b"only=" + b"id," * 4000,
    b"only=" + b"," * 16_000,
    b"exclude=%00",
    b"exclude=__class__",
    b"limit=5",
    b"%00",
]

# 422 if the URL has no parameters.
NO_PARAMETERS: dict[bytes, bytes | None] = {
    b"POST /item": b'{"name": "Ada", "email": "ada@example.org"}',
    b"PUT /item/1": b'{"name": "Zed"}',
    b"PATCH /item/1": b'{"name": "Zed"}',
    b"DELETE /item/1": None,
}

QUERIES = (
    {
        f"?{named(query)} of {len(query)}": Row(request(b"GET /item?" + query), 422)
        for query in LIST_QUERIES
    }
    | {
        f"/1?{named(query)} of {len(query)}": Row(request(b"GET /item/1?" + query), 422)
        for query in RECORD_QUERIES
    }
    | {
        f"{line.decode()}?{named(query)}": Row(request(line + b"?" + query, JSON, body=body), 422)
        for line, body in NO_PARAMETERS.items()
        for query in (b"limit=5", b"%ff", b"%00=", b"x=%ED%A0%80", b"=", b"a=" + b"7" * 10_000)
    }
)

PATHS = {
    named(line): Row(request(line), 404)
    for line in (
        b"GET ?x",
        b"GET item",
        b"GET //item",
        b"GET /item%2F1",
        b"GET /item%2f1",
        b"GET /item%00",
        b"GET /ITEM",
        b"GET /item/1/../../livez",
        b"GET http://[/x",
        b"GET http://x/nope",
        b"OPTIONS *",
        b"GET /" + b"a" * 16_384,
        b"GET /" + b"%00" * 5000,
        b"GET /" + b"../" * 5000,
        b"GET /" + b"/" * 16_384,
    )
}
