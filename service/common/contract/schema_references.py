"""Checks of a schema file before it is compiled: its `$id`, and no broken references."""

from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import urljoin

Place = tuple[str | int, ...]


def broken(document: object, address: str, known: Collection[str]) -> Iterator[tuple[Place, str]]:
    """Yield each wrong place of a file, and why; `known` are the URIs of all files."""
    if not isinstance(document, dict):
        yield (), "must be an object"
        return
    if document.get("$id") != address:
        yield ("$id",), f"must be {address}"
    for place, reference in _references(document, ()):
        target = urljoin(address, reference).partition("#")[0]
        if target not in known:
            yield place, f"there is no {target}"


def _references(value: dict[str, Any] | list[Any], path: Place) -> Iterator[tuple[Place, str]]:
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        if key == "$ref" and isinstance(child, str):
            yield (*path, key), child
        elif isinstance(child, dict | list):
            yield from _references(child, (*path, key))
