"""How soon a cheap request, such as `/livez`, is answered on a new connection."""

import asyncio
import time
from contextlib import suppress

from benchmarks.clients import request


async def seconds_of_health(port: int, path: str, limit: float) -> float:
    """Return the seconds that a path takes on a new connection, at most `limit`."""
    began = time.perf_counter()
    writer = None
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(limit):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request("GET", path))
            if (await reader.readline()).split()[1:2] == [b"200"]:
                limit = time.perf_counter() - began
    if writer is not None:
        writer.transport.abort()
    return limit


async def watch(port: int, path: str, limit: float, found: list[float], pause: float) -> None:
    """Note how long a path takes, until cancelled."""
    while True:
        found.append(await seconds_of_health(port, path, limit))
        await asyncio.sleep(pause)


async def recovery(
    port: int, path: str, quick: float, longest: float, *, in_a_row: int = 3
) -> float:
    """Return after how many seconds a path is answered quickly, permanently."""
    began = time.perf_counter()
    since, answers = 0.0, 0
    while answers < in_a_row and time.perf_counter() < began + longest:
        asked = time.perf_counter() - began
        if await seconds_of_health(port, path, quick) < quick:
            since = since if answers else asked
            answers += 1
        else:
            answers = 0
    return since if answers == in_a_row else longest
