"""Notes for the log on an error that ends a wait: what for, and how long."""

from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic


def note(error: BaseException, awaited: str, since: float) -> None:
    """Add a note about a wait to an error; `since` is a time of `monotonic`."""
    error.add_note(f"waited {monotonic() - since:.1f} s for {awaited}")


@contextmanager
def waiting_for(awaited: str) -> Iterator[None]:
    """Add a note about the wait to a time-out or cancellation inside this context."""
    since = monotonic()
    try:
        yield
    except (CancelledError, TimeoutError) as error:
        note(error, awaited, since)
        raise
