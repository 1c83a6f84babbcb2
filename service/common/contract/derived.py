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

A property `foss_id` with `"x-reference": "foss"` has the id of a record that `foss/foss.json`
describes. `include` takes `foss`, which is then a property of the record.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from service.common.contract.parts import Document
from service.common.contract.sizes import (
    X_PAGE_RECORDS,
    cursor_characters,
    json_types,
    page_records,
)

COLLECTION = "x-collection"
REFERENCE = "x-reference"
DEFAULT_LIMIT = 50
# A moment in a request (RFC 3339): with any offset, and up to the six decimals that are stored. In
# UTC the first and the last day might be outside of Python's years.
MOMENT_GIVEN = (
    "^(?!0000|0001-01-01|9999-12-31)[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-5][0-9](?:\\.[0-9]{1,6})?"
    "(?:[Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
NO_FILES: Mapping[str, Document] = MappingProxyType({})


def derived(
    name: str, record: Document, base: str, files: Mapping[str, Document] = NO_FILES
) -> Iterator[tuple[str, Document]]:
    """Yield the names and schemas derived from the record's file `name`; `base` is their base URI.

    `files` are those of the records that it refers to.

    The names are those of schema files written by hand: `foss/list_foss.json`.
    """
    folder, _, file = name.rpartition("/")
    stem = file.removesuffix(".json")
    title, schema = record["title"], record["$schema"]
    documents = {
        f"list_{stem}": ({"title": f"List{title}"}, _list(record, stem, files)),
        f"get_{stem}": ({"title": f"Get{title}"}, _get(record, stem)),
        f"{stem}_field": ({"title": f"{title}Field"}, _field(record)),
        f"{stem}_sort": ({"title": f"{title}Sort"}, _sort(record)),
        f"{stem}_fields": ({"title": f"{title}Fields"}, _fields(record)),
        f"{stem}_list": ({"title": f"{title}List"}, _page(record, f"{stem}_fields.json")),
    }
    if references(record):
        documents[f"{stem}_reference"] = ({"title": f"{title}Reference"}, _reference(record))
    for key, (head, document) in documents.items():
        path = f"{folder}/{key}.json"
        yield path, {"$schema": schema, "$id": base + path} | head | document


def without_collection(document: Document) -> Document:
    """Return the schema of a record without `x-collection`."""
    return {name: value for name, value in document.items() if name != COLLECTION}


def references(record: Document) -> Mapping[str, tuple[str, str]]:
    """Return the properties that refer to a record, and its folder, by the names for `include`."""
    found = {
        name.removesuffix("_id"): (name, schema[REFERENCE])
        for name, schema in record["properties"].items()
        if REFERENCE in schema and name.endswith("_id")
    }
    if taken := sorted(found.keys() & record["properties"].keys()):
        raise ValueError(f"`{taken[0]}` is both a property and the name of a reference")
    return found


def _list(record: Document, stem: str, files: Mapping[str, Document]) -> Document:
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
                X_PAGE_RECORDS: most,
            },
            "after": {
                "description": "The cursor at which the page begins, from a `Link` header; it is "
                f"valid only with the {under} that it was created with.",
                "type": "string",
                "minLength": 1,
                "maxLength": cursor_characters(properties[name] for name in sorts),
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
                "examples": [[f"-{sorts[-2]}", sorts[1]] if sorts[1:] else sorts],
            },
            **filters,
            **_choice(record, stem),
            **_include(record, stem, files),
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
        "properties": _choice(record, stem) | _include(record, stem),
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
        "properties": {**properties, **dict(_included(record))},
    }


def _reference(record: Document) -> Document:
    names = list(references(record))
    return {
        "description": f"The name of a reference of {record['title']}.",
        "examples": names[:1],
        "type": "string",
        "enum": names,
    }


def _included(record: Document) -> Iterator[tuple[str, Document]]:
    for name, (column, target) in references(record).items():
        sentence = f"The record that `{column}` refers to, if `include` names it."
        whole: Document = {"$ref": f"../{target}/{target}.json"}
        if "null" in json_types(record["properties"][column]):
            whole = {"oneOf": [whole, {"type": "null"}]}
        yield name, {"description": sentence} | whole


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
    if copied.get("format") == "date-time":
        copied["pattern"] = MOMENT_GIVEN
    if "enum" in copied:
        copied["enum"] = [value for value in copied["enum"] if value is not None]
    return copied | {"description": sentence, "type": type_}


def _text(sentence: str, like: Document) -> Document:
    return {
        "description": sentence,
        "type": "string",
        "minLength": 1,
        "maxLength": like["maxLength"],
        "examples": like["examples"],
    }


def _choice(record: Document, stem: str) -> Document:
    names = list(record["properties"])
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


def _include(
    record: Document, stem: str, files: Mapping[str, Document] | None = None
) -> dict[str, Document]:
    """Return the parameter of a record, or of a page if the `files` of references are given."""
    known = references(record)
    if not known:
        return {}
    bound: Document = {}
    if files is not None:
        included = [files[f"{target}/{target}.json"] for _, target in known.values()]
        bound = {X_PAGE_RECORDS: page_records(record, included)}
    return {
        "include": {
            "description": "The references to include, separated by commas. Each is returned as "
            "a complete record; the response then has no `ETag`"
            + (
                f", and a page at most {bound[X_PAGE_RECORDS]} records. An export takes none."
                if bound
                else "."
            ),
            "type": "array",
            "minItems": 1,
            "items": {"$ref": f"{stem}_reference.json"},
            "examples": [[*known][:1]],
            **bound,
        }
    }
