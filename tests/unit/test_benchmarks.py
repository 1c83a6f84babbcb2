"""What the benchmarks conclude from what they measure."""

import random

import pytest

from benchmarks.against import ratio_of
from benchmarks.clients import Answer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 503 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_answer_is_complete_with_its_last_byte(size: int) -> None:
    for whole, status, closes in ((HEAD + b"12345", 200, True), (CHUNKED, 503, False)):
        answer = Answer()
        pieces = [whole[place : place + size] for place in range(0, len(whole), size)]
        complete = [answer.feed(piece) for piece in pieces]

        assert complete == [*[False] * (len(pieces) - 1), True]
        assert (answer.status, answer.closes) == (status, closes)


def test_the_interval_of_a_ratio_contains_the_true_one_and_not_much_else() -> None:
    chance = random.Random(0)  # noqa: S311  # It keeps no secret.
    logarithms = [[0.05 + chance.gauss(0, 0.1) for _ in range(40)] for _ in range(8)]
    found = ratio_of(logarithms)

    assert found.low < found.value < found.high
    assert found.low < 1.0513 < found.high
    assert found.high - found.low < 0.06


def test_an_outlier_does_not_move_a_ratio() -> None:
    found = ratio_of([[0.0, 0.0, 5.0], [0.0, 0.0, 0.0], [0.0, -5.0, 0.0]])

    assert found.value == 1
