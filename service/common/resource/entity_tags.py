"""Entity tags (RFC 9110, section 8.8.3): the version of a record in HTTP."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from service import limits

MAX_TAGS = limits.ENTITY_TAGS.value
ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
VERSION = re.compile("[1-9][0-9]{0,17}")


def entity_tag(version: int) -> str:
    """Return the strong tag of a version."""
    return f'"{version}"'


def matches(tag: str, condition: str) -> bool:
    """Return whether `If-None-Match` contains the tag, by weak comparison."""
    if condition.strip() == "*":
        return True
    return tag.strip('"') in {opaque for _, opaque in ENTITY_TAG.findall(condition)}


def has_too_many_tags(condition: str) -> bool:
    """Return whether a precondition has more than MAX_TAGS tags."""
    return any(islice(ENTITY_TAG.finditer(condition), MAX_TAGS, None))


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of a record that may be changed: those `accepted`, except those `refused`.

    None is every version.
    """

    accepted: frozenset[int] | None = None
    refused: frozenset[int] | None = frozenset()

    def __contains__(self, version: int) -> bool:
        return self.accepts(version) and self.refused is not None and version not in self.refused

    def accepts(self, version: int) -> bool:
        """Return whether the version is accepted, without regard to `refused`."""
        return self.accepted is None or version in self.accepted


EVERY_VERSION = Versions()


def versions_of(if_match: str | None, if_none_match: str | None) -> Versions | None:
    """Return the versions that the preconditions of a change allow; None is every version.

    Both conditions must hold (RFC 9110, section 13.2.2). `If-Match` compares strongly: a weak tag,
    or one that is not a version, accepts nothing. `If-None-Match` compares weakly.
    """
    versions = Versions(_accepted(if_match), _refused(if_none_match))
    return None if versions == EVERY_VERSION else versions


def _accepted(condition: str | None) -> frozenset[int] | None:
    if condition is None or condition.strip() == "*":
        return None
    return _versions(opaque for weak, opaque in ENTITY_TAG.findall(condition) if not weak)


def _refused(condition: str | None) -> frozenset[int] | None:
    if condition is None:
        return frozenset()
    if condition.strip() == "*":
        return None
    return _versions(opaque for _, opaque in ENTITY_TAG.findall(condition))


def _versions(tags: Iterable[str]) -> frozenset[int]:
    return frozenset(int(tag) for tag in tags if VERSION.fullmatch(tag))
