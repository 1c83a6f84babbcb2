"""Caches whose keys clients choose, by the names of fields, are bounded."""

import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from inspect import signature
from typing import Any

from service.common import bulk, resource, search

Cached = type(cache(len))
# Types of arguments that have many values.
CHOSEN = ("tuple", "Order", "Selection", "Target", "Table")


def caches() -> Iterator[tuple[str, Any]]:
    """Yield the cached functions that depend on what clients choose, with their names."""
    for package in (bulk, resource, search):
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, value in vars(import_module(info.name)).items():
                if isinstance(value, Cached) and any(
                    word in str(parameter.annotation)
                    for parameter in signature(value).parameters.values()
                    for word in CHOSEN
                ):
                    yield f"{info.name}.{name}", value


def test_such_caches_are_bounded() -> None:
    found = dict(caches())

    assert "service.common.resource.collection._json" in found
    assert [name for name, one in found.items() if one.cache_info().maxsize is None] == []
