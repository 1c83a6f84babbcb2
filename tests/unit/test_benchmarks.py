"""The conclusions of the benchmarks from their measurements."""

import random
from collections.abc import Sequence

import pytest

from benchmarks.against import ratio_of
from benchmarks.attacks import INPUTS
from benchmarks.attacks.target import Target
from benchmarks.clients import Answer
from benchmarks.victim import KEY
from service.limits import HEAD_BYTES

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


class Recorder(Target):
    """A target that sends nothing: it returns the size of the longest head."""

    def exchange(self, data: bytes, piece: int = 1) -> int:
        del piece
        return len(self.signed(data).partition(b"\r\n\r\n")[0])

    def flood(self, packets: Sequence[bytes], seconds: float, *, reads: bool = False) -> int:
        del seconds, reads
        return max(len(packet.partition(b"\r\n\r\n")[0]) for packet in packets)


@pytest.mark.parametrize("is_nginx", [False, True])
def test_hostile_inputs_have_names_of_their_own_and_heads_of_legal_size(is_nginx: bool) -> None:
    target = Recorder("", 0, KEY.encode(), is_nginx)
    sizes = {one.name: one.attack(target) for one in INPUTS}

    assert len(sizes) == len(INPUTS)
    assert {name for name, size in sizes.items() if size > HEAD_BYTES.value} == set()
