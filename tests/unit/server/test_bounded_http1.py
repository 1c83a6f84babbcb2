"""What h11 parses, and what is rejected before."""

import re
from typing import Any

import h11
import pytest
from h11 import _readers
from hypothesis import example, given
from hypothesis import strategies as st

from service.limits import HEAD_BYTES, HEADER_FIELDS, JOINED_CHUNKS
from service.server.bounded_http1 import CHUNK_LINE, BoundedConnection
from tests.counted import counted

HEAD = b"POST /item HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# Bytes with a meaning in h11's expressions.
PIECES = [b" ", b"\t", b"\r", b"\n", b"\r\n", b"\0", b"\v", b"\f", b"\x85", b":", b";", b"a", b"1"]
input_ = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
# Chunks, some of them with an extension, spaces or a fault.
LINES = [
    b"1\r\n",
    b"02;a=b\r\n",
    b"3 \t\r\n",
    b"A;\r\r\n",
    b"0\r\n",
    b"1\n\r\n",
    b"0x1\r\n",
    b"+1\r\n",
]
CONTENTS = [b"a", b"ab", b"\r\n1", b"0123456789", b""]
chunks = st.lists(
    st.tuples(
        st.sampled_from(LINES),
        st.sampled_from(CONTENTS),
        st.sampled_from([b"\r\n", b"\r\n", b"\n"]),
    ).map(b"".join),
    max_size=8,
).map(b"".join)
MANY = 1000


def events(connection: h11.Connection, *pieces: bytes) -> list[Any]:
    """Return what a connection makes of bytes, up to the status that answers a fault."""
    found: list[Any] = []
    # An empty piece would be the end of the connection.
    for piece in filter(None, pieces):
        connection.receive_data(piece)
        try:
            while not isinstance(event := connection.next_event(), type):
                found.append(event)
        except h11.RemoteProtocolError as error:
            return [*found, error.error_status_hint]
    return found


def joined(found: list[Any]) -> list[Any]:
    """Return events with the parts of a body in a row as one."""
    together: list[Any] = []
    for event in found:
        part = bytes(event.data) if isinstance(event, h11.Data) else event
        if isinstance(part, bytes) and together and isinstance(together[-1], bytes):
            together[-1] += part
        else:
            together.append(part)
    return together


@given(input_)
def test_every_head_is_taken_as_h11_takes_it(text: bytes) -> None:
    for head in (
        HEAD + text + b"\r\n\r\n",
        b"GET /" + text + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        text,
    ):
        assert events(BoundedConnection(), head) == events(h11.Connection(h11.SERVER), head)


@given(input_)
@example(b"\r\n \r\n1")  # Two chunks.
def test_every_frame_of_a_chunk_is_taken_as_h11_takes_it(text: bytes) -> None:
    for body in (b"1" + text + b"\r\n[\r\n0\r\n\r\n", b"0\r\n" + text + b"\r\n\r\n", text):
        sent = CHUNKED + body
        expected = joined(events(h11.Connection(h11.SERVER), sent))

        assert joined(events(BoundedConnection(), sent)) == expected


@given(chunks, st.integers(1, 20))
def test_chunks_are_taken_as_h11_takes_them_however_they_arrive(body: bytes, size: int) -> None:
    sent = CHUNKED + body + b"0\r\n\r\n"
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
    expected = joined(events(h11.Connection(h11.SERVER), *pieces))

    assert joined(events(BoundedConnection(), *pieces)) == expected
    assert joined(events(BoundedConnection(), sent)) == expected


@given(st.sampled_from([b"", b"1", b"aF0", b"0" * 21]), input_)
def test_a_chunk_header_is_parsed_as_by_h11(size: bytes, text: bytes) -> None:
    line = size + text.replace(b"\n", b"") + b"\r\n"
    expected = _readers.chunk_header_re.fullmatch(line)
    found = CHUNK_LINE.fullmatch(line)

    assert (found and found[1]) == (expected and expected["chunk_size"])


@given(input_.map(lambda text: re.sub(rb"[\r\n\0\v\f]", b"", text)))
def test_h11_s_expression_for_a_field_matches_every_value_that_is_left(value: bytes) -> None:
    """So it never has to backtrack over a run of spaces."""
    assert _readers.header_field_re.fullmatch(b"X:" + value)


@given(input_.map(lambda text: text.replace(b"\n", b"")))
def test_h11_s_expression_for_a_chunk_matches_every_extension_that_is_left(text: bytes) -> None:
    assert _readers.chunk_header_re.fullmatch(b"1;" + text + b"\r\n")


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return what h11's expressions are asked to match."""
    asked: list[bytes] = []
    validate = vars(_readers)["validate"]

    def note(regex: re.Pattern[bytes], data: bytes, *rest: Any) -> Any:
        asked.append(bytes(data))
        return validate(regex, data, *rest)

    monkeypatch.setattr(_readers, "validate", note)
    return asked


SPACES = b" " * 1000
FAILING = {
    "a NUL": HEAD + b"X:" + SPACES + b"\0\r\n\r\n",
    "a vertical tab": HEAD + b"X:" + SPACES + b"\v\r\n\r\n",
    "a form feed": HEAD + b"X:" + SPACES + b"a\f\r\n\r\n",
    "a bare CR": HEAD + b"X:" + SPACES + b"\ra\r\n\r\n",
    "a folded line": HEAD + b"X:" + SPACES + b"\r\n \0\r\n\r\n",
    "a bare LF": HEAD + b"X:" + SPACES + b"\0\n\n",
    "a trailer": CHUNKED + b"0\r\nX:" + SPACES + b"\0\r\n\r\n",
    "the extension of a chunk": CHUNKED + b"1;" + SPACES + b"\n\r\n",
    "the size of a chunk": CHUNKED + b"1" + SPACES + b"\n\r\n",
    "too many fields": HEAD + b"X: 1\r\n" * HEADER_FIELDS.value + b"\r\n",
    "too many trailers": CHUNKED + b"0\r\n" + b"X: 1\r\n" * (HEADER_FIELDS.value + 2) + b"\r\n",
}


@pytest.mark.parametrize("sent", FAILING.values(), ids=FAILING.keys())
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_no_expression_gets_input_that_takes_quadratic_time(
    validated: list[bytes], sent: bytes, size: int
) -> None:
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
    *_, status = events(BoundedConnection(), *pieces)

    assert status in {400, 431}
    assert not any(SPACES in line for line in validated)
    assert len(validated) <= CHUNKED.count(b"\r\n")


def test_each_of_many_requests_in_one_piece_is_checked(validated: list[bytes]) -> None:
    connection = BoundedConnection()
    connection.receive_data(
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + HEAD + b"X:" + SPACES + b"\0\r\n\r\n"
    )
    for _ in range(2):
        assert isinstance(connection.next_event(), h11.Request)
        assert isinstance(connection.next_event(), h11.EndOfMessage)
        connection.send(h11.Response(status_code=204, headers=[]))
        connection.send(h11.EndOfMessage())
        connection.start_next_cycle()
    with pytest.raises(h11.RemoteProtocolError, match="control character"):
        connection.next_event()

    assert not any(SPACES in line for line in validated)


@pytest.mark.parametrize(
    "trailers", [b"X: \xe9", b"X:\xe9", b"X: GET /\xe9 HTTP/1.1", b"X: 1\r\nY: \xe9", b"X-\xe9: 1"]
)
def test_trailers_beyond_ascii_are_taken_as_h11_takes_them(trailers: bytes) -> None:
    sent = CHUNKED + b"0\r\n" + trailers + b"\r\n\r\n"

    assert events(BoundedConnection(), sent) == events(h11.Connection(h11.SERVER), sent)


@pytest.mark.parametrize("size", [1, 1 << 16])
@pytest.mark.parametrize("tail", [b"\r\n", b"\0", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 9])
@pytest.mark.parametrize(
    "head", [HEAD + b"Connection: close\r\n", b"POST / HTTP/1.0\r\n"], ids=["close", "HTTP/1.0"]
)
def test_data_after_the_last_request_are_discarded(head: bytes, tail: bytes, size: int) -> None:
    connection = BoundedConnection()
    sent = head + b"Content-Length: 1\r\n\r\nx" + tail
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
    request, data, end = events(connection, *pieces)

    assert isinstance(request, h11.Request)
    assert data.data == b"x"
    assert isinstance(end, h11.EndOfMessage)
    assert connection.trailing_data == (b"", False)


def test_data_after_the_head_of_the_last_response_are_discarded() -> None:
    connection = BoundedConnection()
    events(connection, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    connection.send(h11.Response(status_code=200, headers=[("Connection", "close")]))

    assert events(connection, b"GET / HTTP/1.1\r\n") == []
    assert connection.send(h11.Data(data=b"the rest"))


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
def test_the_bytes_of_a_body_are_not_looked_at(framing: bytes) -> None:
    body = b"\0\r\n\v\n\f\r\r\n"
    sent = body if framing.startswith(b"C") else b"9\r\n" + body + b"\r\n0\r\n\r\n"
    _, *data, end = events(BoundedConnection(), HEAD + framing + b"\r\n\r\n" + sent)

    assert b"".join(one.data for one in data) == body
    assert isinstance(end, h11.EndOfMessage)


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("pieces", [1, 2])
def test_the_size_of_a_head_is_bounded_however_it_arrives(more: int, pieces: int) -> None:
    head = HEAD + b"X: " + b"x" * (HEAD_BYTES.value - len(HEAD) - 7 + more) + b"\r\n\r\n"
    middle = len(head) // pieces
    [event, *_] = events(BoundedConnection(), head[:middle], head[middle:])

    assert len(head) == HEAD_BYTES.value + more
    assert event == 431 if more else isinstance(event, h11.Request)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (b"X-Request-ID: abc\r\nX: \v\r\n", None),
        (b"X-Request-ID: abc\r\nX-Forwarded-Proto: http\r\nX: \v\r\n", (400, "abc")),
        (b"X: \v\r\nX-Forwarded-Proto: http\r\nx-request-id: abc\r\n", (400, "abc")),
        (b"X-Forwarded-Proto: http\r\nX-Request-ID: a b\r\nX: \v\r\n", (400, "")),
        (b"X-Request-ID: abc\r\n" + b"X: 1\r\n" * 100, (431, "abc")),
    ],
)
def test_a_rejected_head_gets_the_reason_if_it_is_http_or_from_a_proxy(
    lines: bytes, told: tuple[int, str] | None
) -> None:
    connection = BoundedConnection()
    with counted("HEADER_FIELDS", told == (431, "abc")):
        events(connection, HEAD + lines + b"\r\n")
    refusal = connection.refusal

    assert (refusal and (refusal.status, refusal.request_id)) == told


def parts(sent: bytes, pieces: int = 1) -> list[bytes]:
    """Return the parts of a chunked body that a connection hands on."""
    connection = BoundedConnection()
    size = -(-len(sent) // pieces)
    found = events(connection, CHUNKED, *(sent[at : at + size] for at in range(0, len(sent), size)))
    return [bytes(event.data) for event in found if isinstance(event, h11.Data)]


@pytest.mark.limit("JOINED_CHUNKS")
def test_so_many_chunks_that_arrive_together_are_one_part() -> None:
    most, chunk = JOINED_CHUNKS.value, b"1\r\nx\r\n"

    assert parts(chunk * most) == [b"x" * most]
    assert parts(chunk * (most + 1)) == [b"x" * most, b"x"]


@pytest.mark.parametrize("extension", [b"", b";", b";a=b", b";\r", b" "])
@pytest.mark.parametrize("size", [1, 16, 100])
def test_the_parts_of_a_body_of_short_chunks_are_few(size: int, extension: bytes) -> None:
    """The code after this, up to the view, takes time for each part."""
    chunk = b"%x%b\r\n%b\r\n" % (size, extension, b"x" * size)
    found = parts(chunk * MANY, pieces=4)

    assert b"".join(found) == b"x" * size * MANY
    # Each piece may have the end of a chunk, joined chunks, and the beginning of another.
    assert len(found) <= MANY / JOINED_CHUNKS.value + 4 * 3
