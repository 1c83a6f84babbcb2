"""The files of a blueprint, rendered from templates and from its fields."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ops.console import CommandError
from ops.generate.blueprint.fields import MOMENT, Field

TEMPLATES = Path(__file__).parent / "templates"
BASE = "https://flusk.example/schemas"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
MODULES = ("__init__", "models", "payloads", "backend", "domain", "views")
# The module of each name that a model or a payload may need.
FROM = {
    "Decimal": "decimal",
    "date": "datetime",
    "datetime": "datetime",
    "UUID": "uuid",
    "Any": "typing",
}


@dataclass(frozen=True)
class Blueprint:
    """A blueprint, by its name and the fields of its records."""

    name: str
    fields: Sequence[Field]
    # The blueprints that it refers to, themselves after theirs, with an example of a record.
    parents: Sequence[tuple[str, dict[str, Any]]] = ()

    @property
    def title(self) -> str:
        """The name of the model's class."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    @property
    def owners(self) -> list[dict[str, Any]]:
        """What has a nested collection of these records: the target of its first reference."""
        first = {one.target: one for one in reversed(self.fields) if one.target}
        return [
            {"name": name, "column": one.column, "reference": one.name, "has_one": one.is_unique}
            for name, one in reversed(first.items())
        ]

    def __post_init__(self) -> None:
        columns = [one.column for one in self.fields]
        for one in self.fields:
            if one.target and one.name in columns:
                raise CommandError(
                    f"`{one.name}` is the name of a reference and of another field: choose "
                    "another name for one of them."
                )

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield the paths and texts of all files but the migration."""
        values = self._values()
        for module in MODULES:
            yield f"service/{self.name}/{module}.py", rendered(f"{module}.py", values)
        for file in ("conftest.py", f"test_{self.name}.py"):
            source = file.replace(self.name, "blueprint")
            yield f"tests/{self.name}/{file}", rendered(f"tests/{source}", values)
        for stem, schema in self._schemas().items():
            head = {"$schema": DRAFT, "$id": f"{BASE}/{self.name}/{stem}.json"}
            yield f"schemas/{self.name}/{stem}.json", json_text(head | schema)

    def _values(self) -> dict[str, Any]:
        searched = [one.column for one in self.fields if one.is_searched]
        columns = {one.sql.partition("(")[0].partition(",")[0] for one in self.fields}
        names = columns | {"CheckConstraint", "ForeignKey", "Index", "UniqueConstraint"}
        optional = [one.column for one in self.fields if one.is_optional]
        annotations = {one.base for one in self.fields} - {"str", "int", "float", "bool"}
        return {
            "name": self.name,
            "class": self.title,
            "constant": self.name.upper(),
            "title": f"A record of the collection `{self.name}`",
            "fields": self.fields,
            "searched": [f'"{name}"' for name in searched],
            "searched_names": searched,
            "imports": imports(names | annotations),
            "payload_imports": imports(annotations),
            "raised": [*self._raised()],
            "samples": [self._sample(number) for number in (1, 2)],
            "required": any(not one.is_optional for one in self.fields),
            "optional": optional,
            "unfilled": self._unfilled(),
            "sorts": [f"{sign}{name}" for name in self._sorts() for sign in ("", "-")],
            "parents": self.parents,
            # Nested collections are at the URLs of other blueprints.
            "root": f"/{self.name}" if self.owners else "",
            "owners": self.owners,
            "tables": [self.name, *dict.fromkeys(name for name, _ in self.parents)],
        }

    def _raised(self) -> Iterator[str]:
        """Yield the exceptions that the values of a record may cause when it is stored."""
        if any(one.is_unique for one in self.fields):
            yield "RecordAlreadyExists"
        if any(one.target for one in self.fields):
            yield "InvalidAPIRequest"

    def _sample(self, number: int) -> dict[str, Any]:
        return {one.column: one.sample(number) for one in self.fields}

    def _unfilled(self) -> dict[str, Any] | None:
        """Return a third record, without optional values, if it differs from others in the rest."""
        needed = [one for one in self.fields if not one.is_optional]
        is_taken = any(
            one.is_unique and one.sample(3) in {one.sample(1), one.sample(2)} for one in needed
        )
        if is_taken or len(needed) == len(self.fields):
            return None
        return {one.column: one.sample(3) for one in needed}

    def _sorts(self) -> list[str]:
        own = [one.column for one in self.fields if one.is_sorted]
        return ["id", *own, "created_at", "updated_at"]

    def _schemas(self) -> dict[str, dict[str, Any]]:
        words = self.name.replace("_", " ")
        given = {one.column: one.schema() for one in self.fields}
        required = [one.column for one in self.fields if not one.is_optional]
        stored = {one.column: one.schema(stored=True) for one in self.fields}
        moment = {"readOnly": True, "type": "string", "format": "date-time", "pattern": MOMENT}
        example = "2026-01-02T03:04:05.678901Z"
        times = {
            name: {"description": f"When the record was {verb}, in UTC."}
            | moment
            | {"examples": [example]}
            for name, verb in (("created_at", "created"), ("updated_at", "last updated"))
        }
        identity = {
            "description": "The id, assigned by the service.",
            "readOnly": True,
            "type": "integer",
            "minimum": 0,
            "maximum": 2**63 - 1,
            "examples": [7],
        }
        properties = {"id": identity, **stored, **times}
        record = {"id": 7, **self._sample(1), "created_at": example, "updated_at": example}
        collection: dict[str, Any] = {"sort": self._sorts()}
        if any(one.is_searched for one in self.fields):
            names = " or ".join(one.words for one in self.fields if one.is_searched)
            collection["part"] = f"Only records whose {names} contains this text, ignoring case."
        if filters := [one for one in self.fields if one.is_filter]:
            collection["equal"] = {
                one.column: f"Only records with exactly this {one.words}." for one in filters
            }
        return {
            self.name: {
                "title": self.title,
                "description": f"A record of the collection `{self.name}`.",
                "examples": [record],
                "x-collection": collection,
                "type": "object",
                "additionalProperties": False,
                "required": [*properties],
                "properties": properties,
            },
            f"create_{self.name}": {
                "title": f"Create{self.title}",
                "description": f"A new {words}.",
                "examples": [self._sample(1)],
                "type": "object",
                "additionalProperties": False,
                **({"required": required} if required else {}),
                "properties": given,
            },
            f"update_{self.name}": {
                "title": f"Update{self.title}",
                "description": "The fields to change; other fields keep their values.",
                "examples": [dict([*self._sample(2).items()][:1]), {}],
                "type": "object",
                "additionalProperties": False,
                "properties": given,
            },
        }


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """Return the text of a template of Python."""
    loader = FileSystemLoader(TEMPLATES)
    # In Python nothing is to be escaped.
    environment = Environment(  # noqa: S701
        loader=loader, undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template(f"{template}.jinja").render(values)


def json_text(document: Any) -> str:
    """Return the text of a schema file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def imports(names: Iterable[str]) -> str:
    """Return the lines that import the names; `ruff` sorts them and drops what is not used."""
    lines = [f"from {FROM.get(name, 'sqlalchemy')} import {name}" for name in sorted(names)]
    return "\n".join(lines)
