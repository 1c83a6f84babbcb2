"""What each resource's model and schema files must say alike: indexes, lengths, references.

A test applies each rule to every resource; another feeds it a model that breaks it.
"""

import pkgutil
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import CheckConstraint, Index, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

import service
from service import limits
from service.common.contract.parts import Document
from service.common.contract.sizes import page_records
from service.common.contract.validation import DIRECTORY, load_schemas
from service.common.database.models import Base, RecordColumns
from service.common.resource.inclusion import includable
from service.common.resource.indexes import is_indexed, is_unique
from service.common.resource.ordering import Key, order_of
from service.common.resource.payloads import ListQuery
from service.common.resource.resource import Resource
from service.common.resource.searching import Searching
from service.common.resource.values import NUMBER_TYPES, TEXTS
from tests import blueprints
from tests.blueprints.account.backend import ACCOUNT
from tests.blueprints.aside import SCHEMAS
from tests.blueprints.item.backend import ITEM
from tests.blueprints.note.backend import NOTE

Lengths = tuple[int, int | None]
# The files that have the texts of a record, by their titles.
FILES = ("{}", "Create{}", "Update{}")
BETWEEN = re.compile(r"char_length\((\w+)\) BETWEEN (\d+) AND (\d+)")
BOUND = re.compile(r"char_length\((\w+)\) (<=|>=) (\d+)")


@cache
def resources() -> list[tuple[Resource[Any], Path]]:
    """Return every resource of a blueprint, and the folder of its schema files."""
    found = []
    for package, directory in ((service, DIRECTORY), (blueprints, SCHEMAS)):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if module.ispkg and find_spec(f"{module.name}.backend"):
                backend = import_module(f"{module.name}.backend")
                mine = [one for one in vars(backend).values() if isinstance(one, Resource)]
                found += [(one, directory) for one in mine]
    return found


def files_of(model: type[Base], directory: Path, *titles: str) -> dict[str, Document]:
    """Return those of some files that there are, by their paths; `{}` is the model's name."""
    wanted = {title.format(model.__name__) for title in titles}
    files = load_schemas(directory).items()
    return {name: file.document for name, file in files if file.document["title"] in wanted}


def missing_indexes(resource: Resource[Any], query: Document, sort: Document) -> Iterator[str]:
    """Yield the columns that clients sort, filter or search by and no index has, with an index."""
    model: type[Base] = resource.model
    properties = query["properties"]
    tree = '{} by `{}` needs Index(None, "{}", "id")'
    sorts = [key for key in sort["enum"] if not key.startswith("-")]
    for name in sorts:
        column = getattr(model, name)
        if column.type.python_type not in NUMBER_TYPES | TEXTS.keys():
            yield f"`{name}` can't be sorted by: its values have no order"
        if not is_indexed(model, order_of([name], resource.keys)):
            yield tree.format("to sort", name, name)
    for name in properties.keys() - ListQuery.model_fields.keys() - {"q", *sorts}:
        if not is_unique(model, name) and not is_indexed(model, (Key(name),)):
            yield tree.format("to filter", name, name)
    search = resource.search if "q" in properties else None
    for name in search.names if search else ():
        if not any(has_trigrams(index, name) for index in indexes_of(model)):
            yield f"to search `{name}` needs a GIN index with gin_trgm_ops"
    if "q" in properties and not search:
        yield "`q` is in the schema, but the resource has no `search`"


def indexes_of(model: type[Base]) -> set[Index]:
    table: Any = model.__table__
    indexes: set[Index] = table.indexes
    return indexes


def has_trigrams(index: Index, name: str) -> bool:
    options = index.dialect_options["postgresql"]
    return (options["using"], options["ops"].get(name)) == ("gin", "gin_trgm_ops")


def wrong_lengths(model: type[Base], files: Mapping[str, Document]) -> Iterator[str]:
    """Yield each text whose length a file bounds otherwise than the model, naming both."""
    table: Any = model.__table__
    for file, document in files.items():
        for name, schema in document["properties"].items():
            column = table.columns.get(name)
            if column is None or not isinstance(column.type, String) or "enum" in schema:
                continue
            given = (schema.get("minLength", 0), schema.get("maxLength"))
            place, stored = lengths_of(model, name)
            if given != stored:
                yield f"{file}: `{name}` has {said(given)}, {place} {said(stored)}"


def lengths_of(model: type[Base], name: str) -> tuple[str, Lengths]:
    """Return what bounds the length of a column, and its bounds."""
    table: Any = model.__table__
    longest = table.columns[name].type.length
    places = [f"the type of {table.name}.{name}"] if longest else []
    least, most = [0], [longest] if longest else []
    for constraint in table.constraints:
        if not isinstance(constraint, CheckConstraint):
            continue
        condition = " ".join(str(constraint.sqltext).split())
        low = [int(low) for column, low, _ in BETWEEN.findall(condition) if column == name]
        high = [int(high) for column, _, high in BETWEEN.findall(condition) if column == name]
        for column, sign, bound in BOUND.findall(condition):
            if column == name:
                (low if sign == ">=" else high).append(int(bound))
        if low or high:
            places.append(str(constraint.name))
            least += low
            most += high
    place = " and ".join(sorted(places)) or f"{table.name}.{name} without a CHECK constraint"
    return place, (max(least), min(most, default=None))


def unbounded(record: Document) -> list[str]:
    """Return the properties that no keyword keeps from being as long as a body."""
    return [
        name
        for name, schema in record["properties"].items()
        if page_records({"properties": {name: schema}})
        <= limits.PAGE_BYTES.value // limits.BODY_BYTES.value
        and "x-max-bytes" not in schema
    ]


def said(lengths: Lengths) -> str:
    least, most = lengths
    return f"{least} to {most} characters" if most is not None else f"{least} characters or more"


def wrong_references(model: type[Base], files: Mapping[str, Document]) -> Iterator[str]:
    """Yield each property that refers to another table than the column of the model."""
    known = {column: target.__tablename__ for column, target in includable(model).values()}
    for file, document in files.items():
        for name, schema in document["properties"].items():
            target, stored = schema.get("x-reference"), known.get(name)
            if target not in {None, stored}:
                yield f"{file}: `{name}` refers to `{target}`, the column to `{stored}`"


def test_the_resources_of_all_blueprints_are_looked_at() -> None:
    assert {(ITEM, SCHEMAS), (ACCOUNT, SCHEMAS), (NOTE, SCHEMAS)} <= set(resources())


@pytest.mark.parametrize(("resource", "directory"), resources())
def test_every_column_that_clients_read_by_has_an_index(
    resource: Resource[Any], directory: Path
) -> None:
    queries = files_of(resource.model, directory, "List{}").values()
    sorts = files_of(resource.model, directory, "{}Sort").values()

    assert queries, f"No schema file has the title {resource.model.__name__} and `x-collection`."
    for query, sort in zip(queries, sorts, strict=True):
        missing = [*missing_indexes(resource, query, sort)]
        assert missing == [], f"{resource.model.__module__}: {'; '.join(missing)}"


@pytest.mark.parametrize(("resource", "directory"), resources())
def test_texts_are_as_long_in_the_schema_files_as_in_the_model(
    resource: Resource[Any], directory: Path
) -> None:
    files = files_of(resource.model, directory, *FILES)

    assert len(files) == len(FILES)
    assert [*wrong_lengths(resource.model, files)] == []


@pytest.mark.parametrize(("resource", "directory"), resources())
def test_references_are_the_same_in_the_schema_files_and_in_the_model(
    resource: Resource[Any], directory: Path
) -> None:
    files = files_of(resource.model, directory, *FILES)

    assert [*wrong_references(resource.model, files)] == []


@pytest.mark.parametrize(("resource", "directory"), resources())
def test_every_property_of_a_record_has_a_bound(resource: Resource[Any], directory: Path) -> None:
    [record] = files_of(resource.model, directory, "{}").values()

    assert unbounded(record) == [], "Give it `maxLength`, `maxItems` or `x-max-bytes`."


def test_a_property_without_a_bound_would_be_named() -> None:
    properties = {
        "name": {"type": "string", "maxLength": 200},
        "email": {"type": "string", "format": "email"},
        "extra": {"type": "object", "x-max-bytes": 2 << 20},
        "tags": {"type": "array", "items": {"type": "string"}},
    }

    assert unbounded({"properties": properties}) == ["email", "tags"]


class Aside(Base):
    """A base with tables of its own, which are in no database."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Bare(RecordColumns, Aside):
    """Without any index of its own."""

    __table_args__ = (UniqueConstraint("code"),)

    code: Mapped[str] = mapped_column(String(9))
    title: Mapped[str] = mapped_column(Text)


class Bounded(RecordColumns, Aside):
    """With every form of a bound."""

    __table_args__ = (
        CheckConstraint("char_length(title) >= 2 AND char_length(title) <= 50", name="title"),
        CheckConstraint("char_length(code)\n BETWEEN 3 AND 8", name="code"),
    )

    code: Mapped[str] = mapped_column(String(9))
    title: Mapped[str] = mapped_column(Text)


def test_a_missing_index_would_be_named() -> None:
    names = ["id", "code", "title", "created_at", "updated_at"]
    query: Document = {"properties": {"sort": {}, "created_at": {}, "q": {}, "limit": {}}}
    sort: Document = {"enum": names[:3]}
    search = cast("Searching", SimpleNamespace(names=("title",)))

    assert [*missing_indexes(Resource(Bare, search=search), query, sort)] == [
        'to sort by `title` needs Index(None, "title", "id")',
        'to filter by `created_at` needs Index(None, "created_at", "id")',
        "to search `title` needs a GIN index with gin_trgm_ops",
    ]
    assert [*missing_indexes(Resource(Bare), query, sort)][-1].startswith("`q` is in the schema")


@pytest.mark.parametrize(
    ("model", "name", "schema", "told"),
    [
        (
            Bounded,
            "title",
            {"minLength": 1, "maxLength": 50},
            "`title` has 1 to 50 characters, ck_bounded_title 2 to 50 characters",
        ),
        (
            Bounded,
            "code",
            {"minLength": 3},
            (
                "`code` has 3 characters or more, ck_bounded_code and the type of bounded.code 3 "
                "to 8 characters"
            ),
        ),
        (
            Bare,
            "code",
            {"maxLength": 10},
            "`code` has 0 to 10 characters, the type of bare.code 0 to 9 characters",
        ),
        (
            Bare,
            "title",
            {"minLength": 1, "maxLength": 50},
            (
                "`title` has 1 to 50 characters, bare.title without a CHECK constraint 0 "
                "characters or more"
            ),
        ),
        (Bounded, "title", {"minLength": 2, "maxLength": 50}, None),
        (Bounded, "code", {"minLength": 3, "maxLength": 8}, None),
        (Bounded, "code", {"enum": ["abc"]}, None),
        (Bounded, "pages", {"maxLength": 5}, None),
    ],
)
def test_a_length_that_differs_would_be_told_with_both_places(
    model: type[Base], name: str, schema: Document, told: str | None
) -> None:
    files: dict[str, Document] = {"a/b.json": {"properties": {name: schema}}}

    assert [*wrong_lengths(model, files)] == ([f"a/b.json: {told}"] if told else [])


def test_a_length_of_an_item_that_differs_would_be_told() -> None:
    files = deepcopy(files_of(ITEM.model, SCHEMAS, *FILES))
    files["item/create_item.json"]["properties"]["name"]["maxLength"] = 300

    assert [*wrong_lengths(ITEM.model, files)] == [
        (
            "item/create_item.json: `name` has 2 to 300 characters, ck_item_name_length 2 to 200 "
            "characters"
        )
    ]


def test_a_reference_that_differs_would_be_told() -> None:
    document = {
        "properties": {
            "account_id": {"x-reference": "account"},
            "witness_id": {"x-reference": "item"},
            "text": {"x-reference": "note"},
        }
    }

    assert [*wrong_references(NOTE.model, {"note.json": document})] == [
        "note.json: `witness_id` refers to `item`, the column to `account`",
        "note.json: `text` refers to `note`, the column to `None`",
    ]
