"""Entity tags by RFC 9110: `If-None-Match` compares weakly, `If-Match` strongly."""

import pytest

from service.common.resource.entity_tags import Versions, entity_tag, matches, versions_of


@pytest.mark.parametrize(
    ("version", "tag"), [(1, '"1"'), (12, '"12"'), (2**63 - 1, f'"{2**63 - 1}"')]
)
def test_a_version_has_a_strong_tag(version: int, tag: str) -> None:
    assert entity_tag(version) == tag


@pytest.mark.parametrize(
    "condition",
    ['"3"', 'W/"3"', "*", " * ", '"1", "3"', '"1","3"', '"1", W/"3" , "4"', '"a,b", "3"', ' "3" '],
)
def test_if_none_match_names_the_tag(condition: str) -> None:
    assert matches('"3"', condition)


@pytest.mark.parametrize(
    "condition", ["", "3", '"33"', '"1", "2"', "'3'", '"3', '3"', '"*"', 'W/"*"', '" 3"', "W/3"]
)
def test_if_none_match_names_another_tag(condition: str) -> None:
    assert not matches('"3"', condition)


@pytest.mark.parametrize("if_match", [None, "*", " * "])
@pytest.mark.parametrize("if_none_match", [None, "nonsense", '"x"'])
def test_without_a_condition_every_version_is_admitted(
    if_match: str | None, if_none_match: str | None
) -> None:
    assert versions_of(if_match, if_none_match) is None


@pytest.mark.parametrize(
    ("condition", "versions"),
    [
        ('"3"', {3}),
        (' "3" ', {3}),
        ('"1", "3"', {1, 3}),
        ('"1","3","3"', {1, 3}),
        ('W/"1", "3"', {3}),
        ('"other", "3"', {3}),
        ('"999999999999999999"', {999_999_999_999_999_999}),
    ],
)
def test_if_match_accepts_the_versions_that_it_names(condition: str, versions: set[int]) -> None:
    assert versions_of(condition, None) == Versions(frozenset(versions))


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "3",
        'W/"3"',
        '"0"',
        '"03"',
        '"+3"',
        '"3.0"',
        '"three"',
        '"*"',
        '""',
        '"-1"',
        '"٣"',
        '"' + "9" * 19 + '"',
        '"' + "9" * 5000 + '"',
        '"3',
    ],
)
def test_if_match_accepts_nothing_that_is_no_version(condition: str) -> None:
    assert versions_of(condition, None) == Versions(frozenset())


@pytest.mark.parametrize("version", [1, 2, 10, 123_456_789, 10**18 - 1])
def test_the_tag_of_a_version_accepts_it(version: int) -> None:
    tag = entity_tag(version)

    assert versions_of(tag, None) == Versions(frozenset({version}))
    assert matches(tag, tag)
    assert matches(tag, f"W/{tag}")


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "admitted"),
    [
        (None, "*", set()),
        (None, " * ", set()),
        ("*", "*", set()),
        ('"3"', "*", set()),
        (None, '"3"', {1, 2, 4}),
        (None, 'W/"3", "4"', {1, 2}),
        ("*", '"3"', {1, 2, 4}),
        ('"3", "4"', '"3"', {4}),
        ('"3"', '"4"', {3}),
        ('"3"', 'W/"3"', set()),
    ],
)
def test_a_version_is_admitted_if_both_conditions_hold(
    if_match: str | None, if_none_match: str, admitted: set[int]
) -> None:
    versions = versions_of(if_match, if_none_match)

    assert versions is not None
    assert {version for version in range(1, 5) if version in versions} == admitted
