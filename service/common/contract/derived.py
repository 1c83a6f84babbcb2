"""The schemas of a collection that follow from that of its record.

The file of a record, such as `foss/foss.json`, has under `x-collection` what a client may ask for:

    "x-collection": {
        "equal": {"name": "Only records with exactly this name."},
        "part": "Only records whose name contains this text."
    }

From it come the query strings of a page and of a record, and what `only` and `exclude` leave.
"""

from collections.abc import Iterator
from typing import Any

from service import limits

COLLECTION = "x-collection"
PAGE_RECORDS = limits.PAGE_RECORDS.value
Document = dict[str, Any]


def derived(name: str, record: Document, base: str) -> Iterator[tuple[str, Document]]:
    """Yield the derived schemas by their names, of the record's file `name` at the address `base`.

    They are named as the files that a person would write: `foss/list_foss.json`.
    """
    folder, _, file = name.rpartition("/")
    stem = file.removesuffix(".json")
    title, schema = record["title"], record["$schema"]
    documents = {
        f"list_{stem}": ({"title": f"List{title}"}, _list(record)),
        f"get_{stem}": ({"title": f"Get{title}"}, _get(record)),
        f"{stem}_fields": ({"title": f"{title}Fields"}, _fields(record)),
        f"{stem}_list": ({"title": f"{title}List"}, _page(record, f"{stem}_fields.json")),
    }
    for key, (head, document) in documents.items():
        path = f"{folder}/{key}.json"
        yield path, {"$schema": schema, "$id": base + path} | head | document


def without_collection(document: Document) -> Document:
    """Return the schema of a record without what clients may ask for."""
    return {name: value for name, value in document.items() if name != COLLECTION}


def _list(record: Document) -> Document:
    properties, collection = record["properties"], record[COLLECTION]
    names = list(properties)
    equal = collection.get("equal", {})
    filters = {name: _text(sentence, properties[name]) for name, sentence in equal.items()}
    if "part" in collection:
        filters["q"] = _text(collection["part"], {"maxLength": 200, "examples": ["post"]})
    under = ", ".join(f"`{name}`" for name in ("sort", *filters))
    return {
        "description": "Which records of the collection, in which order, and which of their "
        "fields.",
        "examples": [{"limit": 50}, {"sort": [f"-{names[-1]}"], "only": names[:2]}],
        "type": "object",
        "additionalProperties": False,
        "not": {"required": ["only", "exclude"]},
        "properties": {
            "limit": {
                "description": "How many records at most. A page has 50 unless it is asked for, "
                f"and never more than {PAGE_RECORDS}; lines have no end of their own.",
                "type": "integer",
                "minimum": 1,
                "maximum": 999_999_999,
                "default": 50,
                "examples": [50],
            },
            "after": {
                "description": "The cursor at which the page begins, from a `Link` header; it is "
                f"valid for the {under} that it was made under.",
                "type": "string",
                "minLength": 1,
                "maxLength": 3000,
                "pattern": "^[A-Za-z0-9_-]+$",
                "examples": ["WyI1ZmVjZWI2NmZmYzg2ZjM4IixbN10sMF0"],
            },
            "sort": {
                "description": "The order: fields with commas between them, each with a `-` before "
                "it if the largest comes first. Records that are equal in all of them are in the "
                "order of `id`, in the direction of the last field. The default is `id`.",
                "type": "array",
                "minItems": 1,
                "maxItems": len(names),
                "uniqueItems": True,
                "items": {
                    "type": "string",
                    "enum": [key for name in names for key in (name, f"-{name}")],
                },
                "examples": [[f"-{names[-2]}", names[1]]],
            },
            **filters,
            **_choice(names),
        },
    }


def _get(record: Document) -> Document:
    names = list(record["properties"])
    return {
        "description": "Which fields of the record; all without `only` and `exclude`, which can't "
        "be used together.",
        "examples": [{"only": names[:2]}],
        "type": "object",
        "additionalProperties": False,
        "not": {"required": ["only", "exclude"]},
        "properties": _choice(names),
    }


def _fields(record: Document) -> Document:
    properties = record["properties"]
    [example, *_] = record["examples"]
    part = {name: example[name] for name in list(properties)[:2]}
    return {
        "description": f"A {record['title']}: all of its fields, or those that `only` and "
        "`exclude` left.",
        "examples": [example, part],
        "type": "object",
        "additionalProperties": False,
        # Copies: many generators of clients can't follow a reference into another schema.
        "properties": properties,
    }


def _page(record: Document, fields: str) -> Document:
    [example, *_] = record["examples"]
    part = {name: example[name] for name in list(record["properties"])[:2]}
    return {
        "description": "A page of the collection.",
        "examples": [[example], [part]],
        "type": "array",
        "maxItems": PAGE_RECORDS,
        "items": {"$ref": fields},
    }


def _text(sentence: str, like: Document) -> Document:
    return {
        "description": sentence,
        "type": "string",
        "minLength": 1,
        "maxLength": like["maxLength"],
        "examples": like["examples"],
    }


def _choice(names: list[str]) -> Document:
    sentences = {
        "only": "The fields to return, with commas between them.",
        "exclude": "The fields to leave out, with commas between them.",
    }
    return {
        name: {
            "description": sentence,
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"type": "string", "enum": names},
            "examples": [names[:2]],
        }
        for name, sentence in sentences.items()
    }
