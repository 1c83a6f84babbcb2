"""Entity tags (RFC 9110, section 8.8.3): a record's version, as HTTP writes it."""

import re

ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
VERSION = re.compile("[1-9][0-9]{0,17}")


def entity_tag(version: int) -> str:
    """Return the strong tag of a version."""
    return f'"{version}"'


def matches(tag: str, condition: str) -> bool:
    """Return whether `If-None-Match` names the tag, by weak comparison."""
    if condition.strip() == "*":
        return True
    return tag.strip('"') in {opaque for _, opaque in ENTITY_TAG.findall(condition)}


def accepted_versions(condition: str | None) -> frozenset[int] | None:
    """Return the versions that `If-Match` accepts, by strong comparison; None: any.

    A weak tag, and one that no version has, accepts nothing.
    """
    if condition is None or condition.strip() == "*":
        return None
    tags = [opaque for weak, opaque in ENTITY_TAG.findall(condition) if not weak]
    return frozenset(int(tag) for tag in tags if VERSION.fullmatch(tag))
