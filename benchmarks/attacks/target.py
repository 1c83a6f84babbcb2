"""Where inputs are sent to, and how."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

HOST = b"Host: x\r\n"
JSON = b"Content-Type: application/json"
# Longer than the service lets anybody wait.
ANSWER_SECONDS = 40
PIECE = 1 << 16
# Ethernet, IP and TCP in front of each packet, which a client sends too.
PACKET_BYTES = 66
# The kernel of a client that reads nothing takes next to nothing for it.
SMALL_BUFFER = 4096


@dataclass(frozen=True)
class Target:
    """The service itself or nginx in front of it, for a client with a key or without."""

    name: str
    port: int
    key: bytes | None
    is_nginx: bool = False

    def signed(self, data: bytes) -> bytes:
        """Return requests of HTTP/1.1 with the key in each, if there is one."""
        if self.key is None:
            return data
        return data.replace(HOST, HOST + b"X-API-Key: " + self.key + b"\r\n")

    def exchange(self, data: bytes, piece: int = 1 << 30) -> int:
        """Send bytes piece by piece, read until the connection is closed; return their number."""
        data = self.signed(data)
        address = ("127.0.0.1", self.port)
        with socket.create_connection(address, timeout=ANSWER_SECONDS) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def send() -> None:
                # The answer may come, and the connection be closed, before all is sent.
                with suppress(OSError):
                    for begin in range(0, len(data), piece):
                        connection.sendall(data[begin : begin + piece])

            # A server that waits for its answers to be read takes no more requests.
            sender = threading.Thread(target=send)
            sender.start()
            with suppress(ConnectionError, TimeoutError):
                while connection.recv(PIECE):
                    pass
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            sender.join()
        return len(data) + PACKET_BYTES * (len(data) // piece)

    def flood(self, packets: Sequence[bytes], seconds: float, *, reads: bool = False) -> int:
        """Send each packet on a separate connection, all together, then disconnect.

        Return how many bytes were sent.
        """
        sent, deadline = 0, time.monotonic() + seconds
        with ExitStack() as held, DefaultSelector() as selector:
            for packet in packets:
                connection = held.enter_context(socket.socket())
                connection.setblocking(False)
                if not reads:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
                connection.connect_ex(("127.0.0.1", self.port))
                selector.register(connection, EVENT_WRITE, (connection, memoryview(packet)))
            while (left := deadline - time.monotonic()) > 0:
                if not selector.get_map():
                    time.sleep(left)
                for key, events in selector.select(left):
                    connection, rest = key.data
                    try:
                        if events & EVENT_READ:
                            done, rest = not connection.recv(PIECE), b""
                        else:
                            count = connection.send(rest)
                            sent, rest = sent + count, rest[count:]
                            done = not rest and not reads
                    except BlockingIOError:
                        continue
                    except OSError:  # Refused, or closed by the other side.
                        done = True
                    if done:
                        selector.unregister(connection)
                    else:
                        event = EVENT_WRITE if rest else EVENT_READ
                        selector.modify(connection, event, (connection, rest))
        return sent


@dataclass(frozen=True)
class Input:
    """What is sent: `attack` does it once, and returns the number of bytes."""

    name: str
    attack: Callable[[Target], int]
    # How many requests that is: so many cheap ones would cost as many times what one does.
    requests: int = 1
    # Many concurrent clients: once, with requests for `/livez` meanwhile.
    is_crowd: bool = False


def request(line: bytes, *headers: bytes, body: bytes | None = None, last: bool = True) -> bytes:
    """Return a request without a key, by default the last one of its connection."""
    lines = [line + b" HTTP/1.1", b"Host: x", *headers]
    if last:
        lines.append(b"Connection: close")
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def single(name: str, sent: bytes, *, requests: int = 1, piece: int = 1 << 30) -> Input:
    """Return an input that is one connection."""
    return Input(name, lambda target: target.exchange(sent, piece), requests)


def sized(name: str, long: bytes, short: bytes) -> Input:
    """Return an input that is one connection: the long one, or what nginx takes too."""
    return Input(name, lambda target: target.exchange(short if target.is_nginx else long))
