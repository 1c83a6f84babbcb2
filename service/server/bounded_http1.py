"""HTTP/1.1 as h11 parses it, in a time that is linear in the size of the input.

h11's expressions for a header field and for the line before a chunk try every division of a run of
spaces if what follows it does not match: quadratic time, 6 s for a head of 30 KiB. What does not
match there is refused before they see it. Nothing else is refused that h11 accepts, but for the
limits.

h11 takes 8 µs for a chunk of a body, and what follows up to the view 15 µs for each part. So chunks
that have arrived whole are joined to one before h11 sees them.
"""

import re
from typing import NamedTuple

import h11
from h11._receivebuffer import ReceiveBuffer

from service.limits import HEAD_BYTES, HEADER_FIELDS, JOINED_CHUNKS

BAD_REQUEST = 400
TOO_LARGE = 431
# As h11 takes it, in linear time: it has one line feed at most.
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,20})(?:;[^\n]*|[ \t]*)\r\n")
# As nginx writes it: see nginx/nginx.conf.template.
PROXIED = b"\nX-Forwarded-Proto: "
# What the first line of trailers begins with; a method has no colon.
FIELD_NAME = re.compile(rb"[^ :]+:")
REQUEST_ID = re.compile(rb"(?i)\nX-Request-ID: ([A-Za-z0-9._-]{1,64})(?:\n|$)")


class Refusal(NamedTuple):
    """Why a head is refused, with the request id that it has itself."""

    status: int
    message: str
    request_id: str


class BoundedBuffer(ReceiveBuffer):
    """What h11 has received and not parsed yet."""

    # Only if the client is told: an answer to what is not HTTP/1.1 is empty.
    refusal: Refusal | None = None

    def clear(self) -> None:
        """Drop everything."""
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
        # The first line is that of the request.
        if len(lines) - 1 > HEADER_FIELDS.value:
            raise self._refuse(
                f"The request has more than {HEADER_FIELDS.value} header fields: send fewer.",
                text,
                TOO_LARGE,
            )
        if b"\0" in text or b"\r" in text or b"\v" in text or b"\f" in text:
            raise self._refuse("The request has a control character in a header field.", text)
        if not lines[0].isascii() and not FIELD_NAME.match(lines[0]):
            raise self._refuse("The URL is not ASCII: escape other characters with `%`.", text)
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        """Return the line before a chunk, once it is complete."""
        line = super().maybe_extract_next_line()
        if line is None:
            return None
        if line.index(b"\n") != len(line) - 1:
            raise h11.LocalProtocolError("There is a line feed in the line before a chunk.")
        return self._join(line)

    def _join(self, first: bytearray) -> bytearray:
        """Join the chunks that have arrived whole, and return the line before the joined one.

        What h11 would refuse stays as it is, and so does the last chunk.
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
        self, message: str, text: bytes, status: int = BAD_REQUEST
    ) -> h11.LocalProtocolError:
        # A proxy would pass on an empty answer.
        if status == TOO_LARGE or PROXIED in text:
            found = REQUEST_ID.search(text)
            self.refusal = Refusal(status, message, found[1].decode() if found else "")
        return h11.LocalProtocolError(message, status)


class BoundedConnection(h11.Connection):
    """The server's side of a connection."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, HEAD_BYTES.value)
        # h11 has no parameter for it. Every line that h11 parses comes from there.
        self._receive_buffer = self._bounded_buffer = BoundedBuffer()

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Parse what has arrived; drop what follows the last request (RFC 9112, section 9.6)."""
        if self.their_state is h11.MUST_CLOSE:
            self.drop_received()
        return super().next_event()

    def drop_received(self) -> None:
        """Drop what was received and is not parsed yet."""
        self._bounded_buffer.clear()

    @property
    def refusal(self) -> Refusal | None:
        """What the client is told about a head that h11 has not seen."""
        return self._bounded_buffer.refusal
