"""The garbage collector, paused where a value of many parts is made or walked through."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Keep the collector from looking through a value again and again while it grows.

    A JSON value has no cycles, so there is nothing to find; on a body of a megabyte the search
    takes ten times as long as the decoding. Nothing may be awaited meanwhile.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
