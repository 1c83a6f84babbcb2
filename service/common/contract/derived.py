"""The schemas of a collection, derived from the schema of its record.

The file of a record, such as `foss/foss.json`, declares filters and search under `x-collection`:

    "x-collection": {
        "sort": ["id", "name"],
        "equal": {"name": "Only records with exactly this name."},
        "part": "Only records whose name contains this text."
    }

Without `sort`, clients can sort by every field.

The query strings of a page and of a record, a page, a record's subset, and the names that `only`,
`exclude` and `sort` take are derived from it.
"""

import json
from collections.abc import Iterator
from typing import Any

from service import limits

COLLECTION = "x-collection"
# The largest number of bytes of a value, written without spaces.
MAX_BYTES = "x-max-bytes"
# The records of a page, in the schema of `limit`.
PAGE_RECORDS = "x-page-records"
DEFAULT_LIMIT = 50
# A control character is escaped, as `\u0001`.
ESCAPED_BYTES = 6
# Numbers, moments, UUIDs and the like.
OTHER_BYTES = 40
LONG = frozenset({"string", "object", "array"})
FORMATS = frozenset({"date", "date-time", "decimal", "uuid"})
Document = dict[str, Any]


def derived(name: str, record: Document, base: str) -> Iterator[tuple[str, Document]]:
    """Yield the names and schemas derived from the record's file `name`; `base` is their base URI.

    The names are those of schema files written by hand: `foss/list_foss.json`.
    """
    folder, _, file = name.rpartition("/")
    stem = file.removesuffix(".json")
    title, schema = record["title"], record["$schema"]
    documents = {
        f"list_{stem}": ({"title": f"List{title}"}, _list(record, stem)),
        f"get_{stem}": ({"title": f"Get{title}"}, _get(record, stem)),
        f"{stem}_field": ({"title": f"{title}Field"}, _field(record)),
        f"{stem}_sort": ({"title": f"{title}Sort"}, _sort(record)),
        f"{stem}_fields": ({"title": f"{title}Fields"}, _fields(record)),
        f"{stem}_list": ({"title": f"{title}List"}, _page(record, f"{stem}_fields.json")),
    }
    for key, (head, document) in documents.items():
        path = f"{folder}/{key}.json"
        yield path, {"$schema": schema, "$id": base + path} | head | document


def without_collection(document: Document) -> Document:
    """Return the schema of a record without `x-collection`."""
    return {name: value for name, value in document.items() if name != COLLECTION}


def page_records(record: Document) -> int:
    """Return how many records a page may have, by the lengths in the schema of a record."""
    names = sum(len(name) + len('"":,') for name in record["properties"])
    largest = names + sum(map(_most_bytes, record["properties"].values()))
    return max(1, min(limits.PAGE_RECORDS.value, limits.PAGE_BYTES.value // largest))


def _most_bytes(schema: Document) -> int:
    """Return how long a value can be as JSON; without a bound, as long as a body."""
    if MAX_BYTES in schema:
        most: int = schema[MAX_BYTES]
        return most
    if "enum" in schema:
        return max(len(json.dumps(value)) for value in schema["enum"])
    if "maxLength" in schema:
        return ESCAPED_BYTES * int(schema["maxLength"])
    is_long = json_types(schema) & {"string", "object", "array"}
    return (
        limits.BODY_BYTES.value if is_long and schema.get("format") not in FORMATS else OTHER_BYTES
    )


def _list(record: Document, stem: str) -> Document:
    most = page_records(record)
    default = min(DEFAULT_LIMIT, most)
    properties, collection = record["properties"], record[COLLECTION]
    names, sorts = list(properties), _sorts(record)
    equal = collection.get("equal", {})
    filters = {name: _filter(sentence, properties[name]) for name, sentence in equal.items()}
    if "part" in collection:
        filters["q"] = _text(collection["part"], {"maxLength": 200, "examples": ["post"]})
    under = ", ".join(f"`{name}`" for name in ("sort", *filters))
    return {
        "description": "The selection of records, their order, and the fields to return.",
        "examples": [{"limit": default}, {"sort": [f"-{sorts[-1]}"], "only": names[:2]}],
        "type": "object",
        "additionalProperties": False,
        "not": {"required": ["only", "exclude"]},
        "properties": {
            "limit": {
                "description": f"The maximum number of records. A page has {default} by default "
                f"and at most {most}; an export has no limit by default.",
                "type": "integer",
                "minimum": 1,
                "maximum": 999_999_999,
                "default": default,
                "examples": [default],
                PAGE_RECORDS: most,
            },
            "after": {
                "description": "The cursor at which the page begins, from a `Link` header; it is "
                f"valid only with the {under} that it was created with.",
                "type": "string",
                "minLength": 1,
                "maxLength": 3000,
                "pattern": "^[A-Za-z0-9_-]+$",
                "examples": ["WyI1ZmVjZWI2NmZmYzg2ZjM4IixbN10sMF0"],
            },
            "sort": {
                "description": "The order: a comma-separated list of fields, each with a `-` "
                "before it for descending order. Records that are equal in all of them are in the "
                "order of `id`, in the direction of the last field. The default is `id`.",
                "type": "array",
                "minItems": 1,
                "maxItems": len(sorts),
                "uniqueItems": True,
                "items": {"$ref": f"{stem}_sort.json"},
                "examples": [[f"-{sorts[-2]}", sorts[1]]],
            },
            **filters,
            **_choice(names, stem),
        },
    }


def _sorts(record: Document) -> list[str]:
    return record[COLLECTION].get("sort") or list(record["properties"])


def _get(record: Document, stem: str) -> Document:
    names = list(record["properties"])
    return {
        "description": "The fields to return: all without `only` and `exclude`, which can't be "
        "used together.",
        "examples": [{"only": names[:2]}],
        "type": "object",
        "additionalProperties": False,
        "not": {"required": ["only", "exclude"]},
        "properties": _choice(names, stem),
    }


def _field(record: Document) -> Document:
    names = list(record["properties"])
    return {
        "description": f"The name of a field of {record['title']}.",
        "examples": names[:1],
        "type": "string",
        "enum": names,
    }


def _sort(record: Document) -> Document:
    names = _sorts(record)
    return {
        "description": "A field to sort by, with a `-` before it for descending order.",
        "examples": [f"-{names[0]}"],
        "type": "string",
        "enum": [key for name in names for key in (name, f"-{name}")],
        # Generators of clients name the values so.
        "x-enum-varnames": [f"{name.upper()}{end}" for name in names for end in ("", "_DESC")],
    }


def _fields(record: Document) -> Document:
    properties = record["properties"]
    [example, *_] = record["examples"]
    part = {name: example[name] for name in list(properties)[:2]}
    return {
        "description": f"A {record['title']}: all of its fields, or those selected by `only` or "
        "`exclude`.",
        "examples": [example, part],
        "type": "object",
        "additionalProperties": False,
        # Copies: many client generators can't follow a reference into another schema.
        "properties": properties,
    }


def _page(record: Document, fields: str) -> Document:
    [example, *_] = record["examples"]
    part = {name: example[name] for name in list(record["properties"])[:2]}
    return {
        "description": "A page of the collection.",
        "examples": [[example], [part]],
        "type": "array",
        "maxItems": page_records(record),
        "items": {"$ref": fields},
    }


def _filter(sentence: str, like: Document) -> Document:
    if "maxLength" in like:
        return _text(sentence, like)
    copied = {name: value for name, value in like.items() if name != "readOnly"}
    [type_] = json_types(like) - {"null"}
    if "enum" in copied:
        copied["enum"] = [value for value in copied["enum"] if value is not None]
    return copied | {"description": sentence, "type": type_}


def json_types(schema: Document) -> frozenset[str]:
    """Return the JSON types of a property: `type` is one or a list."""
    types = schema["type"]
    return frozenset([types] if isinstance(types, str) else types)


def _text(sentence: str, like: Document) -> Document:
    return {
        "description": sentence,
        "type": "string",
        "minLength": 1,
        "maxLength": like["maxLength"],
        "examples": like["examples"],
    }


def _choice(names: list[str], stem: str) -> Document:
    sentences = {
        "only": "The fields to return, separated by commas; not together with `exclude`.",
        "exclude": "The fields to omit, separated by commas; not together with `only`.",
    }
    return {
        name: {
            "description": sentence,
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"$ref": f"{stem}_field.json"},
            "examples": [names[:2]],
        }
        for name, sentence in sentences.items()
    }
