"""The decoder: how deep a text nests, told from its brackets, and the collector meanwhile."""

import gc
import json
from collections.abc import Iterator

import pytest

from service.common.collector import paused_collector
from service.common.strict_json import SMALL, decode, nests_too_deep

# Texts that look as if they closed, opened or ended something.
TEXTS = [
    b'"]"',
    b'"["',
    b'"}{"',
    b'""',
    rb'"\"]"',
    rb'"]\""',
    rb'"\\"',
    rb'"\\\"]"',
    rb'"\\\\"',
    rb'"]\\"',
    rb'"\u005d]"',
    '"ä]\N{ELEPHANT}"'.encode(),
]


@pytest.fixture
def collector() -> Iterator[None]:
    """Leave the collector as it was."""
    yield
    gc.enable()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("depth", [1, 32, 64, 65, 100])
@pytest.mark.parametrize(
    ("opening", "closing"),
    [(b"[%b, ", b"]"), (b'{%b: 1, "next": ', b"}"), (b'{"a": [%b], "next": ', b"}")],
    ids=["lists", "names", "values"],
)
def test_what_stands_in_texts_is_no_nesting(
    text: bytes, depth: int, opening: bytes, closing: bytes
) -> None:
    body = opening % text * depth + b"[]" + closing * depth
    json.loads(body)

    assert nests_too_deep(body) == (depth > 63)


@pytest.mark.parametrize(
    "body", [b"{}", b"1", b'"' + b"[" * 100 + b'"', b"[" + b"[], " * 99 + b"[]]"]
)
def test_many_brackets_are_no_nesting(body: bytes) -> None:
    assert not nests_too_deep(body)


@pytest.mark.parametrize("end", [b"]", b",]", b""], ids=["well-formed", "malformed", "cut off"])
@pytest.mark.parametrize("items", [1, SMALL])
def test_the_collector_runs_again_behind_every_text(
    collector: None, end: bytes, items: int
) -> None:
    body = b"[" + b"1," * items + b"1" + end
    if end == b"]":
        decode(body)
    else:
        with pytest.raises(ValueError, match=r"Expecting|delimiter"):
            decode(body)

    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off(collector: None) -> None:
    gc.disable()
    with paused_collector():
        pass

    assert not gc.isenabled()


def test_a_paused_collector_does_not_run(collector: None) -> None:
    with paused_collector():
        paused = not gc.isenabled()

    assert paused
    assert gc.isenabled()
