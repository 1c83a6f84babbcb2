"""HTTP/1.1 parsed by h11 in linear time.

h11's regular expressions for a header field and a chunk header backtrack over a run of spaces if
what follows does not match: quadratic time, 6 s for a head of 30 KiB. Such lines are rejected
before h11 parses them. Except for the limits, nothing else is rejected that h11 accepts.

h11 takes 8 µs for a chunk of a body, and the code up to the view 15 µs for each part. So chunks
that have arrived completely are joined to one before h11 parses them.
"""

import re
from typing import NamedTuple

import h11
from h11._receivebuffer import ReceiveBuffer

from service.limits import HEAD_BYTES, HEADER_FIELDS, JOINED_CHUNKS, LONG_BYTES
from service.metrics import count_limit

BAD_REQUEST = 400
TOO_LARGE = 431
# A chunk header, as in h11, but matched in linear time: it has at most one line feed.
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,20})(?:;[^\n]*|[ \t]*)\r\n")
# Written by nginx: see nginx/nginx.conf.template.
PROXIED = b"\nX-Forwarded-Proto: "
# The beginning of the first line of trailers; a method has no colon.
FIELD_NAME = re.compile(rb"[^ :]+:")
REQUEST_ID_FIELD = re.compile(rb"(?i)\nX-Request-ID: ([A-Za-z0-9._-]{1,64})(?:\n|$)")


class Refusal(NamedTuple):
    """Why a head is rejected, and its own request id."""

    status: int
    message: str
    request_id: str
    # The one in service/limits.py that it reached.
    limit: str


class BoundedBuffer(ReceiveBuffer):
    """h11's buffer of received data that is not parsed yet."""

    # Set only if the response has a body: the one to what is not HTTP/1.1 is empty.
    refusal: Refusal | None = None

    def clear(self) -> None:
        """Discard everything."""
        self._extract(len(self))

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Return the lines of a head, or of trailers, once they are complete."""
        before = len(self)
        lines = super().maybe_extract_lines()
        if not lines:
            return lines
        if before - len(self) > HEAD_BYTES.value:
            raise h11.LocalProtocolError("The head is too large.", TOO_LARGE)
        text = b"\n".join(lines)
        # The first line is the request line.
        if len(lines) - 1 > HEADER_FIELDS.value:
            count_limit("HEADER_FIELDS")
            raise self._refuse(
                f"The request has more than {HEADER_FIELDS.value} header fields: send fewer.",
                text,
                TOO_LARGE,
                "HEADER_FIELDS",
            )
        if b"\0" in text or b"\r" in text or b"\v" in text or b"\f" in text:
            raise self._refuse("The request has a control character in a header field.", text)
        if not lines[0].isascii() and not FIELD_NAME.match(lines[0]):
            raise self._refuse("The URL is not ASCII: escape other characters with `%`.", text)
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        """Return a chunk header, once it is complete."""
        line = super().maybe_extract_next_line()
        if line is None:
            return None
        if line.index(b"\n") != len(line) - 1:
            raise h11.LocalProtocolError("There is a line feed in a chunk header.")
        return self._join(line)

    def _join(self, first: bytearray) -> bytearray:
        """Join the chunks that have arrived completely, and return the header of the joined one.

        Chunks that h11 would reject are left unchanged, and so is the last chunk.
        """
        data, start, rest = self._data, 0, 0
        contents: list[bytearray] = []
        found = CHUNK_LINE.match(first)
        while found and len(contents) < JOINED_CHUNKS.value:
            end = start + int(found[1], 16)
            if end == start or data[end : end + 2] != b"\r\n":
                break
            contents.append(data[start:end])
            rest = end + 2
            if found := CHUNK_LINE.match(data, rest):
                start = found.end()
        if len(contents) <= 1:
            return first
        content = b"".join(contents)
        data[:rest] = content + b"\r\n"
        return bytearray(b"%x\r\n" % len(content))

    def _refuse(
        self, message: str, text: bytes, status: int = BAD_REQUEST, limit: str = ""
    ) -> h11.LocalProtocolError:
        # A proxy would forward an empty response.
        if status == TOO_LARGE or PROXIED in text:
            found = REQUEST_ID_FIELD.search(text)
            self.refusal = Refusal(status, message, found[1].decode() if found else "", limit)
        return h11.LocalProtocolError(message, status)


class BoundedConnection(h11.Connection):
    """The server's side of a connection."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, HEAD_BYTES.value)
        # h11 has no parameter for it. Every line that h11 parses comes from this buffer.
        self._receive_buffer = self._bounded_buffer = BoundedBuffer()

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Parse received data; discard what follows the last request (RFC 9112, section 9.6)."""
        if self.their_state is h11.MUST_CLOSE:
            self.drop_received()
        return super().next_event()

    def is_idle(self) -> bool:
        """Return whether a request may begin, and no part of it has arrived."""
        return (
            self.their_state is h11.IDLE and self.our_state is h11.IDLE and not self._receive_buffer
        )

    def has_long_head(self) -> bool:
        """Return whether more than LONG_BYTES of a head, or of trailers, wait to be complete."""
        is_long = len(self._bounded_buffer) > LONG_BYTES.value
        return is_long and self.their_state in {h11.IDLE, h11.SEND_BODY}

    def drop_received(self) -> None:
        """Discard received data that is not parsed yet."""
        self._bounded_buffer.clear()

    @property
    def refusal(self) -> Refusal | None:
        """The reason why a head was rejected before h11 parsed it."""
        return self._bounded_buffer.refusal
