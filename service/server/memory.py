"""Free memory goes back to the system.

glibc keeps free memory below what is still in use: after large bodies, for as long as the process
runs.
"""

import asyncio
import ctypes

SECONDS = 5
# Only glibc has it (malloc_trim(3)).
TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back(loop: asyncio.AbstractEventLoop) -> None:
    """Give free memory back now, and then every few seconds.

    This takes 0.2 ms if there is little, and 13 ms for 100 MiB.
    """
    if TRIM is not None:
        TRIM(0)
        loop.call_later(SECONDS, give_back, loop)
