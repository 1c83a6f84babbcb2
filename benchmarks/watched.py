"""The service with a watchdog on its event loop: `python -m benchmarks.watched DESCRIPTOR`.

The watchdog runs every two milliseconds, and records the processor time of the loop's thread since
its last run. Other processes of the machine do not change that. For each line that it receives on a
socket it returns the results since the previous line.
"""

import asyncio
import json
import socket
import sys
import threading
import time
from typing import Any

from service.server import accepting
from service.server import run as program

TURN_SECONDS = 0.002


class Watchdog:
    """The longest time between two turns of a loop, by its thread's processor time."""

    def __init__(self) -> None:
        self._last = 0.0
        self._longest = 0.0
        self._turns = 0

    def new_event_loop(self, *arguments: Any) -> asyncio.AbstractEventLoop:
        """Return the service's loop, which is watched from its first turn on."""
        loop = accepting.new_event_loop(*arguments)
        loop.call_soon(self._begin, loop)
        return loop

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._last = time.thread_time()
        self._turn(loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.thread_time()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        self._turns += 1
        loop.call_later(TURN_SECONDS, self._turn, loop)

    def answer(self, channel: socket.socket) -> None:
        """Answer each line with processor time, the longest stall, and the number of turns."""
        with channel.makefile("rw", encoding="ascii") as lines:
            while lines.readline():
                found = (time.process_time(), self._longest, self._turns)
                self._longest = 0.0
                lines.write(f"{json.dumps(found)}\n")
                lines.flush()


def main() -> int:
    """Serve, as `python -m service` does."""
    watchdog = Watchdog()
    channel = socket.socket(fileno=int(sys.argv[1]))
    threading.Thread(target=watchdog.answer, args=(channel,), daemon=True).start()
    vars(program)["new_event_loop"] = watchdog.new_event_loop
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
