"""Breaking changes of the contract: compares two documents, and lists the places."""

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

# Each limit, and whether raising it rejects requests of existing clients.
BOUNDS = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems"), 1),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems"), -1),
}
# Annotations, and keywords that are compared separately.
COMPARED = frozenset(
    {
        *(
            "title",
            "description",
            "example",
            "examples",
            "default",
            "x-pattern-message",
            "x-enum-varnames",
        ),
        *("$ref", "type", "enum", "required", "properties", "items", *BOUNDS),
    }
)


def breaks(old: Document, new: Document) -> list[str]:
    """Return the places where a client of `old` fails with `new`, such as `GET /foss 200`."""
    return list(dict.fromkeys(_breaks(_Pair(old, new))))


class _Pair:
    """Two documents, for resolving their references."""

    def __init__(self, old: Document, new: Document) -> None:
        self.old, self.new = old, new

    def resolve(self, old: Any, new: Any) -> tuple[Any, Any]:
        return _resolve(self.old, old), _resolve(self.new, new)


def _resolve(document: Document, part: Any) -> Any:
    while isinstance(part, dict) and "$ref" in part:
        target: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part


def _breaks(pair: _Pair) -> Iterator[str]:
    schemes = [document["components"].get("securitySchemes") for document in (pair.old, pair.new)]
    if schemes[0] != schemes[1] or pair.old.get("security") != pair.new.get("security"):
        yield "security"
    for path, operations in pair.old["paths"].items():
        for method, old in operations.items():
            place = f"{method.upper()} {path}"
            new = pair.new["paths"].get(path, {}).get(method)
            if new is None:
                yield place
                continue
            for fact in ("operationId", "security"):
                if old.get(fact) != new.get(fact):
                    yield f"{place} {fact}"
            yield from _parameters(pair, place, old, new)
            yield from _body(pair, place, old.get("requestBody"), new.get("requestBody"))
            yield from _responses(pair, place, old["responses"], new["responses"])


def _parameters(pair: _Pair, place: str, old: Document, new: Document) -> Iterator[str]:
    before = {one["name"]: one for one in (_resolve(pair.old, p) for p in old["parameters"])}
    after = {one["name"]: one for one in (_resolve(pair.new, p) for p in new["parameters"])}
    for name, parameter in after.items():
        if parameter.get("required") and not before.get(name, {}).get("required"):
            yield f"{place} {name}"
    for name, parameter in before.items():
        found = after.get(name, {})
        if any(found.get(fact) != parameter.get(fact) for fact in ("in", "style", "explode")):
            yield f"{place} {name}"
        else:
            yield from _narrowed(
                pair, f"{place} {name}", parameter["schema"], after[name]["schema"]
            )


def _body(pair: _Pair, place: str, old: Document | None, new: Document | None) -> Iterator[str]:
    if old is None:
        if new and new.get("required"):
            yield f"{place} body"
        return
    for media_type, content in old["content"].items():
        if new is None or media_type not in new["content"]:
            yield f"{place} {media_type}"
            continue
        schemas = content["schema"], new["content"][media_type]["schema"]
        yield from _narrowed(pair, f"{place} body", *schemas)


def _responses(pair: _Pair, place: str, old: Document, new: Document) -> Iterator[str]:
    for status, answer in old.items():
        if status not in new:
            yield f"{place} {status}"
            continue
        before, after = pair.resolve(answer, new[status])
        for name, header in before.get("headers", {}).items():
            known, found = pair.resolve(header, after.get("headers", {}).get(name))
            if found is None or (known.get("required") and not found.get("required")):
                yield f"{place} {status} {name}"
            elif "schema" in known:
                yield from _widened(
                    pair, f"{place} {status} {name}", known["schema"], found.get("schema", {})
                )
        for media_type, content in before.get("content", {}).items():
            if media_type not in after.get("content", {}):
                yield f"{place} {status} {media_type}"
                continue
            schemas = content["schema"], after["content"][media_type]["schema"]
            yield from _widened(pair, f"{place} {status}", *schemas)


def _narrowed(pair: _Pair, place: str, old: Any, new: Any) -> Iterator[str]:
    """Yield the places where a client's request may now be rejected."""
    old, new = pair.resolve(old, new)
    if not _types(old) <= _types(new) or _has_fewer_options(old, new):
        yield place
    for bound, sign in BOUNDS.items():
        if bound in new and (bound not in old or sign * new[bound] > sign * old[bound]):
            yield f"{place} {bound}"
    # Any change of another restriction (`pattern`, `not`, `oneOf`, …) may reject more.
    for keyword in sorted(new.keys() - COMPARED):
        if _rule(new[keyword]) != _rule(old.get(keyword)):
            yield f"{place} {keyword}"
    for name in set(new.get("required", ())) - set(old.get("required", ())):
        yield f"{place} {name}"
    yield from _children(pair, place, old, new, _narrowed)


def _widened(pair: _Pair, place: str, old: Any, new: Any) -> Iterator[str]:
    """Yield the places where a response may now be unexpected for a client."""
    old, new = pair.resolve(old, new)
    if not _types(new) <= _types(old) or _has_fewer_options(new, old):
        yield place
    for keyword in sorted(old.keys() - COMPARED):
        if _rule(old[keyword]) != _rule(new.get(keyword)):
            yield f"{place} {keyword}"
    for name in set(old.get("required", ())) - set(new.get("required", ())):
        yield f"{place} {name}"
    yield from _children(pair, place, old, new, _widened)


def _children(pair: _Pair, place: str, old: Any, new: Any, compare: Any) -> Iterator[str]:
    for name, schema in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{place} {name}"
        else:
            yield from compare(pair, f"{place} {name}", schema, new["properties"][name])
    if "items" in old and "items" in new:
        yield from compare(pair, f"{place} items", old["items"], new["items"])


def _rule(value: Any) -> Any:
    """Return the value of a keyword without its descriptions."""
    if isinstance(value, list):
        return [_rule(item) for item in value]
    if not isinstance(value, dict):
        return value
    # A property of this name is an object.
    is_text = isinstance(value.get("description"), str)
    return {
        name: _rule(item) for name, item in value.items() if name != "description" or not is_text
    }


def _types(schema: Any) -> set[str]:
    every = {"array", "boolean", "integer", "null", "number", "object", "string"}
    found = schema.get("type", every)
    types = {found} if isinstance(found, str) else set(found)
    return types | {"integer"} if "number" in types else types


def _has_fewer_options(old: Any, new: Any) -> bool:
    """Return whether `enum` leaves out what was allowed."""
    return "enum" in new and not set(map(repr, old.get("enum", [None]))) <= set(
        map(repr, new["enum"])
    )
