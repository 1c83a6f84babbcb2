"""The fields of a blueprint, as they are typed: `version:string(40):unique`."""

import json
import keyword
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from jsonschema_rs import Draft202012Validator

from ops.console import CommandError
from service import limits
from service.common.contract import MOMENT_GIVEN

FIELD = re.compile(r"(?P<name>[^:]*):(?P<type>[a-z]+)(?:\((?P<arguments>[^()]*)\))?(?P<rest>.*)")
NAME = re.compile("[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
# With longer ones lines of the templates would be too long.
MAX_NAME = {"blueprint": 24, "field": 40}
DEFAULT = ":default="
OPTIONS = ("unique", "optional", "search", "filter", "index")
ON_DELETE = {"restrict": "RESTRICT", "cascade": "CASCADE", "set-null": "SET NULL"}
# PostgreSQL's limit of a declared precision.
MAX_DIGITS = 1000
# PostgreSQL's B-trees take up to 2704 bytes, and a character takes up to 4.
MAX_INDEXED = 600
BIGINT = 2**63 - 1
INTEGER = 2**31 - 1
# The names of a record's own columns, of query parameters, and of attributes of its classes.
# fmt: off
RESERVED = frozenset({
    "after", "allowed_records", "check", "construct", "contract", "copy", "created_at", "dict",
    "error", "exclude", "fields", "filters", "fingerprint", "from_orm", "id", "include",
    "json", "limit", "message", "metadata", "most_records", "only", "page_records",
    "parse_file", "parse_obj", "parse_raw", "q", "register", "registry", "row_version",
    "schema", "schema_directory", "schema_file", "schema_json", "self", "sort",
    "update_forward_refs", "updated_at", "validate", "whole",
})
# fmt: on
# The names of pydantic's own attributes begin with it.
RESERVED_BEGIN = "model_"
ANY_TEXT = "^[^\\u0000]*$"
# The first and the last date of Python are infinities for asyncpg.
DATE = "^(?!0000|0001-01-01|9999-12-31)[0-9]{4}-[0-9]{2}-[0-9]{2}$"
MOMENT = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z$"
# How a default is read, if it is not a text in JSON.
READERS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(("integer", "bigint"), int),
    "number": float,
    "boolean": {"true": True, "false": False}.__getitem__,
}
# How a default is written in Python, if it is not a literal.
WRITTEN = {
    "decimal": 'Decimal("{}")',
    "date": 'date.fromisoformat("{}")',
    "datetime": 'datetime.fromisoformat("{}")',
    "uuid": 'UUID("{}")',
}
# The keyword of a property that has the id of a record of another blueprint: see
# service/common/contract/derived.py.
REFERENCE = "x-reference"
JSON_TYPES = ["object", "array", "string", "number", "boolean"]


@dataclass(frozen=True)
class Type:
    """A type of fields: the type of its column, its Python type, and its form in JSON."""

    column: str
    python: str
    schema: dict[str, Any] = field(default_factory=dict)
    # The length of a text.
    least: int = 1
    most: int | None = None
    says: str = ""


TYPES = {
    "string": Type("Text", "str", {"type": "string", "pattern": ANY_TEXT}, most=200),
    "text": Type("Text", "str", {"type": "string", "pattern": ANY_TEXT}, most=10_000),
    "email": Type(
        "Text",
        "str",
        {"type": "string", "format": "email"},
        least=3,
        most=254,
        says="an e-mail address",
    ),
    "url": Type(
        "Text", "str", {"type": "string", "format": "uri"}, most=2000, says="a URL (RFC 3986)"
    ),
    "integer": Type(
        "Integer", "int", {"type": "integer", "minimum": -INTEGER - 1, "maximum": INTEGER}
    ),
    "bigint": Type(
        "BigInteger", "int", {"type": "integer", "minimum": -BIGINT - 1, "maximum": BIGINT}
    ),
    "decimal": Type("Numeric", "Decimal", {"type": "string", "format": "decimal"}),
    "number": Type("Double", "float", {"type": "number"}),
    "boolean": Type("Boolean", "bool", {"type": "boolean"}),
    "date": Type("Date", "date", {"type": "string", "format": "date", "pattern": DATE}),
    "datetime": Type(
        "DateTime(timezone=True)",
        "datetime",
        {"type": "string", "format": "date-time"},
    ),
    "uuid": Type("Uuid", "UUID", {"type": "string", "format": "uuid"}),
    # Not JSONB, which writes 1e300 with 301 digits.
    "json": Type(
        "JSON(none_as_null=True)",
        "Any",
        {"type": JSON_TYPES, "x-max-bytes": limits.JSON_VALUE_BYTES.value},
        says="any JSON value",
    ),
    "enum": Type("Text", "str", {"type": "string"}),
    "ref": Type("BigInteger", "int", {"type": "integer", "minimum": 0, "maximum": BIGINT}),
}


@dataclass(frozen=True)
class Field:
    """A field of a record."""

    name: str
    type: str
    arguments: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()
    on_delete: str = "RESTRICT"
    # The value in JSON of a record that was created without the field.
    default: Any = None

    @property
    def column(self) -> str:
        """The name of the column, which is that of the field on the wire."""
        return f"{self.name}_id" if self.type == "ref" else self.name

    @property
    def target(self) -> str | None:
        """The blueprint that a reference refers to."""
        return self.arguments[0] if self.type == "ref" else None

    @property
    def is_unique(self) -> bool:
        """Whether no two records have the same value."""
        return "unique" in self.options

    @property
    def is_optional(self) -> bool:
        """Whether the value may be null."""
        return "optional" in self.options

    @property
    def is_filter(self) -> bool:
        """Whether clients can select records by the value."""
        return "filter" in self.options or self.type == "ref"

    @property
    def is_sorted(self) -> bool:
        """Whether an index has the order of the values."""
        return bool(self.options & {"index", "filter", "unique"}) or self.type == "ref"

    @property
    def has_index(self) -> bool:
        """Whether the order needs an index besides that of the unique constraint."""
        return self.is_sorted and (self.is_optional or not self.is_unique)

    @property
    def is_searched(self) -> bool:
        """Whether `q` searches the value."""
        return "search" in self.options

    @property
    def lengths(self) -> tuple[int, int] | None:
        """The lengths that a text may have."""
        known = TYPES[self.type]
        if known.most is None:
            return None
        most = int(self.arguments[0]) if self.arguments else known.most
        return min(known.least, most), most

    @property
    def python(self) -> str:
        """The annotation in Python."""
        return TYPES[self.type].python + (" | None" if self.is_optional else "")

    @property
    def base(self) -> str:
        """The annotation in Python of a value that is not null."""
        return TYPES[self.type].python

    @property
    def sql(self) -> str:
        """The arguments of `mapped_column`."""
        column = TYPES[self.type].column
        if self.type == "decimal":
            column = f"Numeric({', '.join(self.arguments)})"
        if self.type == "ref":
            return f'{column}, ForeignKey("{self.target}.id", ondelete="{self.on_delete}")'
        if self.default is not None:
            text = self.default if isinstance(self.default, str) else json.dumps(self.default)
            column += f", server_default={json.dumps(text, ensure_ascii=False)}"
        return column

    @property
    def given(self) -> str:
        """The annotation and the default of the field in a new record."""
        if self.default is None:
            return self.python + (" = None" if self.is_optional else "")
        if self.type in WRITTEN:
            return f"{self.python} = {WRITTEN[self.type].format(self.default)}"
        if isinstance(self.default, str):
            return f"{self.python} = {json.dumps(self.default, ensure_ascii=False)}"
        return f"{self.python} = {self.default!r}"

    @property
    def checks(self) -> list[tuple[str, str]]:
        """The conditions of CHECK constraints, and their names."""
        if self.lengths:
            least, most = self.lengths
            return [(f"char_length({self.name}) BETWEEN {least} AND {most}", f"{self.name}_length")]
        if self.type == "enum":
            values = ", ".join(f"'{value}'" for value in self.arguments)
            return [(f"{self.name} IN ({values})", f"{self.name}_known")]
        return []

    @property
    def query(self) -> str:
        """A value in a query string: a moment has another form than in a record."""
        value = self.sample(1)
        if self.type == "datetime":
            return str(value).replace("T03", "T05").replace("Z", "+02:00")
        return str(value).lower() if isinstance(value, bool) else str(value)

    @property
    def words(self) -> str:
        """The name in words."""
        return self.column.removesuffix("_id").replace("_", " ")

    def schema(self, *, stored: bool = False, new: bool = False) -> dict[str, Any]:
        """Return the JSON Schema of the value that clients send, or of a `stored` one.

        That of a `new` record says what the default is.
        """
        known = TYPES[self.type]
        schema: dict[str, Any] = {"description": self._description(), **known.schema}
        if self.lengths:
            schema["minLength"], schema["maxLength"] = self.lengths
        if self.type == "decimal":
            digits, scale = map(int, self.arguments)
            fraction = f"(?:\\.[0-9]{{1,{scale}}})?" if scale else ""
            whole = f"[1-9][0-9]{{0,{digits - scale - 1}}}|0" if digits > scale else "0"
            schema["pattern"] = f"^-?(?:{whole}){fraction}$"
            schema["x-pattern-message"] = (
                f"is not a number of {digits} digits, {scale} of them after the point"
            )
        if self.type == "datetime":
            schema["pattern"] = MOMENT if stored else MOMENT_GIVEN
        if self.type == "enum":
            schema["enum"] = [*self.arguments]
        if self.target:
            schema[REFERENCE] = self.target
        if self.is_optional:
            types = schema["type"]
            schema["type"] = [*([types] if isinstance(types, str) else types), "null"]
            if "enum" in schema:
                schema["enum"] = [*schema["enum"], None]
        if new and self.default is not None:
            schema["default"] = self.default
        schema["examples"] = [self.sample(1)]
        return schema

    def _description(self) -> str:
        known = TYPES[self.type]
        if self.target:
            sentence = f"The id of the {self.target.replace('_', ' ')} that it refers to"
        else:
            sentence = f"The {self.words}" + (f": {known.says}" if known.says else "")
        return sentence + ("; unique" if self.is_unique else "") + "."

    def sample(self, number: int) -> Any:
        """Return a valid value; those of different numbers differ if there are as many."""
        _, most = self.lengths or (1, 200)
        title = f"{self.words.capitalize()} {number}"
        values: dict[str, Any] = {
            "string": title if len(title) <= most else f"{number}{self.words}"[:most],
            "text": f"The {self.words} number {number}.",
            "email": f"{self.name}{number}@example.org",
            "url": f"https://example.org/{self.name}/{number}",
            "integer": 10 * number,
            "bigint": 10**10 * number,
            "number": 1.5 * number,
            "boolean": number % 2 == 1,
            "date": f"2026-01-{number:02}",
            "datetime": f"2026-01-{number:02}T03:04:05.678901Z",
            "uuid": f"6f9619ff-8b86-4011-b42d-{number:012}",
            "json": {"number": number},
            # Tests have as many records to refer to as they need: see `parents`.
            "ref": number if self.is_unique else 1,
        }
        if self.type == "decimal":
            digits, scale = map(int, self.arguments)
            whole = str(number % 10 if digits > scale else 0)
            return f"{whole}.{number % 10}".ljust(len(whole) + 1 + scale, "0") if scale else whole
        if self.type == "enum":
            return self.arguments[(number - 1) % len(self.arguments)]
        return values[self.type]


def read(text: str) -> Field:
    """Return the field that a person typed. Raises CommandError."""
    found = FIELD.fullmatch(text)
    if not found or (found["rest"] and not found["rest"].startswith(":")):
        raise CommandError(f"`{text}` is not NAME:TYPE, such as `title:string:search`.")
    require_name(found["name"], "field")
    options = [option for option in found["rest"].split(":") if option]
    arguments = tuple(one.strip() for one in (found["arguments"] or "").split(",") if one.strip())
    on_delete = [ON_DELETE[option] for option in options if option in ON_DELETE]
    one = Field(
        found["name"],
        found["type"],
        arguments,
        frozenset(options) - ON_DELETE.keys(),
        *on_delete[:1],
    )
    _require_type(one, text)
    _require_options(one, text, len(on_delete))
    return one


def read_later(text: str) -> Field:
    """Return a field that is added to records that exist. Raises CommandError."""
    declared, given, value = text.partition(DEFAULT)
    one = read(declared)
    if given and one.is_optional:
        raise CommandError(f"`{text}`: leave out either `optional` or `default`.")
    if one.is_optional:
        return one
    if one.is_unique or one.type in {"json", "ref"}:
        kind = "a unique field" if one.is_unique else f"a field of the type `{one.type}`"
        raise CommandError(f"`{text}`: {kind} that is added later has no default: add `:optional`.")
    if not given:
        raise CommandError(
            f"`{text}`: records that exist need a value: add `{DEFAULT}{one.query}` or another "
            "value at the end, or `:optional`."
        )
    try:
        default = READERS.get(one.type, str)(value)
    except (KeyError, ValueError):
        default = None
    if not Draft202012Validator(one.schema(), validate_formats=True).is_valid(default):
        raise CommandError(f"`{text}`: `{value}` is not a value of this field.")
    return replace(one, default=_as_stored(one, default))


def _as_stored(one: Field, value: Any) -> Any:
    """Return a value as a record has it."""
    if one.type == "decimal":
        return f"{Decimal(value):.{one.arguments[1]}f}"
    if one.type == "datetime":
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value.lower() if one.type == "uuid" else value


def require_name(name: str, what: str) -> None:
    """Raise CommandError if a blueprint or field can't have this name."""
    if not NAME.fullmatch(name) or len(name) > MAX_NAME[what]:
        raise CommandError(
            f"`{name}` can't be the name of a {what}: use lower-case letters, digits and single "
            f"underscores, at most {MAX_NAME[what]} characters, such as `release_note`."
        )
    is_keyword = keyword.iskeyword(name) or keyword.issoftkeyword(name)
    if is_keyword or name in RESERVED or name.startswith(RESERVED_BEGIN):
        raise CommandError(
            f"`{name}` can't be the name of a {what}: it is reserved. Choose another."
        )


def _require_type(one: Field, text: str) -> None:
    if one.type not in TYPES:
        raise CommandError(f"`{text}`: there is no type `{one.type}`. Types: {', '.join(TYPES)}.")
    counts = {"string": (0, 1), "decimal": (2, 2), "enum": (1, 100), "ref": (1, 1)}
    least, most = counts.get(one.type, (0, 0))
    if not least <= len(one.arguments) <= most:
        example = {"decimal": "decimal(10,2)", "enum": "enum(new,used)", "ref": "ref(foss)"}
        hint = example.get(one.type, one.type)
        raise CommandError(f"`{text}`: write `{one.name}:{hint}`.")
    numbers = one.arguments if one.type in {"string", "decimal"} else ()
    if not all(re.fullmatch("[0-9]{1,4}", number) for number in numbers):
        raise CommandError(f"`{text}`: `{', '.join(one.arguments)}` must be numbers below 10000.")
    if one.type == "string" and numbers and not int(numbers[0]):
        raise CommandError(f"`{text}`: a text of no characters stores nothing.")
    if one.type == "decimal" and not (
        0 < int(numbers[0]) <= MAX_DIGITS and int(numbers[1]) <= int(numbers[0])
    ):
        raise CommandError(f"`{text}`: write `decimal(DIGITS,DECIMALS)`, DECIMALS at most DIGITS.")
    if one.type == "enum":
        for value in one.arguments:
            if not re.fullmatch("[A-Za-z0-9_-]{1,40}", value):
                raise CommandError(f"`{text}`: `{value}` can't be a value: use letters and digits.")
        if len(set(one.arguments)) < len(one.arguments):
            raise CommandError(f"`{text}`: a value is given twice.")


def _require_options(one: Field, text: str, on_delete: int) -> None:
    if any(option.startswith("default=") for option in one.options):
        raise CommandError(f"`{text}`: a field of a new blueprint has no default: leave it out.")
    if unknown := sorted(one.options - {*OPTIONS}):
        known = ", ".join(OPTIONS)
        raise CommandError(f"`{text}`: there is no option `{unknown[0]}`. Options: {known}.")
    if on_delete and (one.type != "ref" or on_delete > 1):
        raise CommandError(f"`{text}`: a reference has one of {', '.join(ON_DELETE)}.")
    if one.on_delete == "SET NULL" and not one.is_optional:
        raise CommandError(f"`{text}`: `set-null` needs `optional`.")
    if one.is_searched and not one.lengths:
        raise CommandError(f"`{text}`: only texts can be searched: string, text, email and url.")
    if one.is_unique and (one.type == "boolean" or (one.type == "enum" and not one.arguments[1:])):
        count = "two records" if one.type == "boolean" else "one record"
        raise CommandError(f"`{text}`: `unique` would allow {count} at most: leave it out.")
    sorts = one.options & {"unique", "filter", "index"}
    if sorts and (one.type == "json" or (one.lengths and one.lengths[1] > MAX_INDEXED)):
        raise CommandError(
            f"`{text}`: an index takes texts of at most {MAX_INDEXED} characters and no JSON: "
            f"leave out `{min(sorts)}`, or use `string({MAX_INDEXED})`."
        )
