"""One write for the head and the beginning of the body of an answer, where hypercorn makes two.

Between the two a client, or nginx, may see half an answer: of a replica that is killed just then
it could not be told from a whole one, nor asked of another replica. It also saves a system call.
"""

from typing import Any

import h11
import hypercorn.protocol
from hypercorn.events import RawData
from hypercorn.protocol.h11 import H11Protocol

LARGE = 1 << 14


class SingleWriteProtocol(H11Protocol):
    """HTTP/1.1, as hypercorn speaks it, with a head that waits for what follows it."""

    _head = b""

    async def _send_h11_event(self, event: Any) -> None:
        try:
            data = self.connection.send(event) or b""
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response):
            # The body, or the end of the message, follows at once, or as soon as it is made.
            self._head = data
            return
        head, self._head = self._head, b""
        if len(data) > LARGE:
            # A large body is not copied: the rest of it follows its beginning.
            await self.send(RawData(data=head + data[:LARGE]))
            await self.send(RawData(data=memoryview(data)[LARGE:]))  # type: ignore[arg-type]
        elif head or data:
            await self.send(RawData(data=head + data))


def register() -> None:
    """Have hypercorn answer so, from the next connection on."""
    # It has no setting for this.
    vars(hypercorn.protocol)["H11Protocol"] = SingleWriteProtocol
