"""Names of classes and constants: one has one meaning in the whole service."""

import ast
import importlib
import inspect
from collections import defaultdict
from collections.abc import Iterator

from service.limits import Limit
from tests.test_layers import sources


def defined_names(source: str) -> Iterator[str]:
    """Yield the classes and constants that the body of a module defines, or imports as another."""
    for node in ast.parse(source).body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=targets):
                for target in targets:
                    yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.ImportFrom(names=names):
                yield from (one.asname for one in names if one.asname)


def meaning(module: str, name: str) -> str:
    """Describe what a name is in a module, so that the same is described by the same text."""
    value = getattr(importlib.import_module(module), name)
    if isinstance(value, Limit):
        value = value.value
    return f"{value.__module__}.{value.__name__}" if inspect.isclass(value) else repr(value)


def ambiguous(meanings: dict[str, dict[str, str]]) -> dict[str, list[str]]:
    """Return the names with several meanings, each with the modules that define it."""
    return {name: sorted(of) for name, of in meanings.items() if len(set(of.values())) > 1}


def test_a_name_of_a_class_or_constant_has_one_meaning() -> None:
    meanings: dict[str, dict[str, str]] = defaultdict(dict)
    for module, source in sources().items():
        for name in defined_names(source):
            # Blueprints, logs and fronts have the names that they have in every package.
            if not name.islower():
                meanings[name][module] = meaning(module, name)

    assert len(meanings) > 500
    assert ambiguous(meanings) == {}


def test_a_name_with_two_meanings_would_be_reported() -> None:
    source = "class A: ...\nB = C = 1\nD, E = 1, 2\nF: int = 1\nprint(B)\ndef G(): ..."
    source += "\nfrom m import H, I as J"

    assert list(defined_names(source)) == ["A", "B", "C", "D", "E", "F", "J"]
    assert ambiguous({"A": {"m": "1", "n": "2"}, "B": {"m": "1", "n": "1"}}) == {"A": ["m", "n"]}
