"""The memory budget for unread responses."""

from contextlib import ExitStack

import pytest

from service import limits
from service.server.unread_responses import UnreadResponses
from tests.counted import counted

LIMIT = limits.UNREAD_BYTES.value


class Connection:
    """It keeps why it was aborted."""

    def __init__(self) -> None:
        self.causes: list[str] = []

    def abort(self, cause: str) -> None:
        self.causes.append(cause)


@pytest.fixture
def unread() -> UnreadResponses:
    return UnreadResponses(LIMIT)


def aborted(*connections: Connection) -> list[bool]:
    return [bool(connection.causes) for connection in connections]


@pytest.mark.limit("UNREAD_BYTES")
def test_one_byte_beyond_the_limit_ends_the_response_that_waits_longest(
    unread: UnreadResponses,
) -> None:
    first, second, third = (Connection() for _ in range(3))
    with unread.waiting(first, 10), unread.waiting(second, LIMIT - 10):
        before = aborted(first, second)
        with counted("UNREAD_BYTES"), unread.waiting(third, 1):
            after = aborted(first, second, third)

    assert before == [False, False]
    assert after == [True, False, False]


def test_a_client_that_reads_a_piece_begins_to_wait_anew(unread: UnreadResponses) -> None:
    first, second, third = (Connection() for _ in range(3))
    with unread.waiting(first, LIMIT // 2):
        pass
    with (
        unread.waiting(second, LIMIT // 2),
        unread.waiting(first, LIMIT // 2),
        unread.waiting(third, 1),
    ):
        assert aborted(first, second, third) == [False, True, False]


def test_as_many_are_ended_as_it_takes_but_not_the_last(unread: UnreadResponses) -> None:
    small, large = [Connection() for _ in range(10)], Connection()
    with ExitStack() as waiting:
        for connection in small:
            waiting.enter_context(unread.waiting(connection, LIMIT // 10))
        waiting.enter_context(unread.waiting(large, LIMIT + 1))

        assert aborted(*small, large) == [True] * 10 + [False]


def test_those_that_have_ended_are_not_counted(unread: UnreadResponses) -> None:
    first, second = Connection(), Connection()
    for connection in (first, second):
        for _ in range(10):
            with unread.waiting(connection, LIMIT):
                pass

    assert aborted(first, second) == [False, False]
