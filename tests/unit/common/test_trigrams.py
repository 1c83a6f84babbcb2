"""Which parts of a text the index is asked for, and how many records it is likely to name."""

import pytest

from service.common.search.trigrams import LENGTH, MAX_TRIGRAMS, Narrowed, narrow

SAMPLE = [(f"Project {number} of {number * 7919:x}", 0.01) for number in range(100)]


@pytest.mark.parametrize(
    ("text", "parts", "share"),
    [
        ("zzzqqq", ["zzzqqq"], 0),
        ("Project 77 ", [" 77 "], 0.01),
        ("PROJECT 77 of", [" 77 "], 0.01),
        ("x77 of project 78y", ["x77 ", " 78y"], 0),
        ("Project - - 77", [" 77"], 0.02),
        ("project", ["project"], 1),
        ("Project - of", ["Project - of"], 1),
        ("ject-of", ["ject-of"], 1),
        ("\u0130 project", ["\u0130 project"], 1),
        ("проект", ["проект"], 0),
        ("ab", [], 1),
        ("- a.b", [], 1),
        ("", [], 1),
    ],
)
def test_the_index_is_used_for_rare_trigrams(text: str, parts: list[str], share: float) -> None:
    narrowed = narrow(text, SAMPLE)

    assert list(narrowed.parts) == parts
    assert narrowed.share == pytest.approx(share)


def test_a_trigram_twice_as_common_as_the_rarest_is_not_used() -> None:
    sample = [("one", 0.3), ("one more", 0.1), ("others", 0.6)]

    assert narrow("one more", sample).parts == (" more",)
    assert narrow("one more", [*sample[1:], ("one thing", 0.1)]).parts == ("one more",)


def test_without_a_sample_nothing_is_common() -> None:
    assert narrow("Project 77", []).parts == ("Project 77",)
    assert narrow("Project 77", []).share == 0


def test_a_common_value_counts_for_all_records_that_have_it() -> None:
    assert narrow("postgres", [("PostgreSQL", 0.7), ("KeyDB", 0.3)]).share == 0.7


def test_letters_beyond_ascii_separate_words_if_postgresql_does_not_know_them() -> None:
    sample = [("Größe проект", 1.0)]

    assert narrow("проект", sample, is_ascii=True).parts == ()
    assert narrow("\u212a\u212a\u212a", sample, is_ascii=True).parts == ()
    assert narrow("größe", sample, is_ascii=True) == Narrowed(("größe",), 1, 1)
    assert narrow("größen", sample, is_ascii=True).share == 0


def test_of_many_trigrams_few_are_asked_for() -> None:
    words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot"]
    sample = [(f"{one} {other}", 1 / 36) for one in words for other in words]
    narrowed = narrow(" ".join(words), sample)

    assert narrowed.share == 0
    assert sum(len(part) - LENGTH + 1 for part in narrowed.parts) <= LENGTH * MAX_TRIGRAMS
    assert narrowed.entries <= MAX_TRIGRAMS * 11 / 36 + 1e-9


def test_the_entries_that_the_index_reads_are_the_sum_over_the_trigrams() -> None:
    sample = [("one two", 0.02), ("one", 0.01), ("others", 0.97)]

    assert narrow("two", sample).entries == pytest.approx(0.02)
    assert narrow("one", sample).entries == pytest.approx(0.03)
    assert narrow("ne tw", sample).entries == pytest.approx(0.03 + 0.02)
