"""What was waited for, and how long: notes of an error that ends a wait, for the log."""

from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic


def note(error: BaseException, awaited: str, since: float) -> None:
    """Add to an error what was awaited; `since` is by the clock `monotonic`."""
    error.add_note(f"waited {monotonic() - since:.1f} s for {awaited}")


@contextmanager
def waiting_for(awaited: str) -> Iterator[None]:
    """Add a note to the timeout or the cancellation that ends what is done meanwhile."""
    since = monotonic()
    try:
        yield
    except (CancelledError, TimeoutError) as error:
        note(error, awaited, since)
        raise
