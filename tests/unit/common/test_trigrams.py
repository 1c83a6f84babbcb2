"""Which parts of a text are worth looking for."""

import pytest

from service.common.search.trigrams import rare_parts

SAMPLE = [f"Project {number} of {number * 7919:x}" for number in range(100)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("zzzqqq", ["zzzqqq"]),
        ("Project 77 ", [" 77 "]),
        ("PROJECT 77 of", [" 77 "]),
        ("project", []),
        ("x77 of project 78y", ["x77 ", " 78y"]),
        ("Project - of", []),
        ("Project - - 77", [" 77"]),
        ("\u0130 project", ["\u0130 project"]),
        ("ab", []),
        ("", []),
    ],
)
def test_what_is_common_is_left_out(text: str, parts: list[str]) -> None:
    assert rare_parts(text, SAMPLE) == parts


def test_without_a_sample_nothing_is_common() -> None:
    assert rare_parts("Project 77", []) == ["Project 77"]
