"""JSON Schema files (draft 2020-12), compiled to validators, and the faults of a value."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Self

import pydantic
from jsonschema_rs import Draft202012Validator, EmailOptions, Registry, ValidationError, meta
from pydantic import BaseModel, ConfigDict

from service.common.contract.derived import COLLECTION, derived, without_collection
from service.common.contract.schema_references import broken
from service.common.contract.sizes import X_MAX_BYTES
from service.common.contract.strict_json import encode
from service.common.errors import (
    MAX_FAULTS,
    PLACEHOLDER,
    SIMPLE_KEYWORDS,
    Fault,
    InvalidAPIRequest,
    fault_of,
    faults_of,
    missing_sentence,
    pointer,
    quote,
    unknown_sentence,
)
from service.settings import ROOT

DIRECTORY = ROOT / "schemas"
BASE = "https://flusk.example/schemas/"


class SchemaError(Exception):
    """A schema file is invalid: the message names the file and the place in it."""


@dataclass(frozen=True)
class Schema:
    """A schema file, read; `registry` has those that it refers to."""

    document: dict[str, Any]
    registry: Registry

    @cached_property
    def validator(self) -> Draft202012Validator:
        """The validator, compiled at its first use. Raises ValueError if it can't be."""
        return self._compile(self.document)

    @cached_property
    def _of_values(self) -> Draft202012Validator:
        """The validator of the properties that are there."""
        return self._compile(
            {name: value for name, value in self.document.items() if name != "required"}
        )

    def _compile(self, document: dict[str, Any]) -> Draft202012Validator:
        return Draft202012Validator(
            document,
            registry=self.registry,
            validate_formats=True,
            # `Ada <ada@example.org>` is a mailbox with a display name, not an address.
            email_options=EmailOptions(allow_display_text=False),
            mask=PLACEHOLDER,
            keywords={X_MAX_BYTES: MaxBytes},
            base_uri=self.document["$id"],
        )

    def faults(self, value: object) -> list[Fault]:
        """Return the faults of `value`, at most 100."""
        if self.validator.is_valid(value):
            return []
        if self.document.keys() <= SIMPLE_KEYWORDS and self.document.get("type") == "object":
            return self._faults_of_object(value)
        errors = islice(self.validator.iter_errors(value), MAX_FAULTS)
        return faults_of(errors, self.document)

    def _faults_of_object(self, value: object) -> list[Fault]:
        """Return the faults of what must be an object, at most 100.

        The validator copies an object into each fault of its own, however large it is: into one
        for each missing property, and into one for the unknown ones.
        """
        if not isinstance(value, dict):
            return [Fault("", "type", f"{quote(value)} is not of type 'object'")]
        missing = [name for name in self.document.get("required", ()) if name not in value]
        faults = [Fault("", "required", missing_sentence(name)) for name in missing]
        unknown: list[str] = []
        if self.document.get("additionalProperties") is False:
            known = self.document.get("properties", {})
            unknown = [name for name in value if name not in known]
            value = {name: one for name, one in value.items() if name in known}
        errors = islice(self._of_values.iter_errors(value), MAX_FAULTS)
        faults += faults_of(errors, self.document)
        if unknown:
            faults.append(Fault("", "additionalProperties", unknown_sentence(unknown)))
        return faults[:MAX_FAULTS]


def load_schemas(directory: Path = DIRECTORY) -> dict[str, Schema]:
    """Return every file, by its path such as `foss/create_foss.json`, and derived schemas.

    Raises SchemaError if a file is not JSON, not a schema, or has a broken reference.
    """
    return _load(directory)


# Not of the function above: the default and the same folder by name would be two entries.
@cache
def _load(directory: Path) -> dict[str, Schema]:
    files = {
        path.relative_to(directory).as_posix(): _read(path)
        for path in sorted(directory.rglob("*.json"))
    }
    documents = dict(files)
    for name, document in files.items():
        if isinstance(document, dict) and COLLECTION in document:
            documents |= _derived(name, document, documents)
            documents[name] = without_collection(document)
    documents = dict(sorted(documents.items()))
    known = {BASE + name for name in documents}
    for name, document in documents.items():
        # A derived schema has the properties of a file, but not its definitions.
        others = known if name in files else known - {BASE + name}
        for place, fault in broken(document, BASE + name, others):
            raise SchemaError(f"schemas/{name}: at {pointer(place)}: {fault}.")
    try:
        registry = Registry([(BASE + name, document) for name, document in documents.items()])
    except ValueError as error:
        raise SchemaError(f"{directory}: {error}") from error
    schemas = {name: Schema(document, registry) for name, document in documents.items()}
    for name, schema in schemas.items():
        _check(name, schema, is_derived=name not in files)
    return schemas


def _derived(
    name: str, document: dict[str, Any], files: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    try:
        found = dict(derived(name, document, BASE, files))
    except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        sentence = f"schemas/{name}: at /{COLLECTION}: {type(error).__name__}: {error}."
        raise SchemaError(f"{sentence} See service/common/contract/derived.py.") from error
    if taken := sorted(found.keys() & set(files)):
        raise SchemaError(
            f"schemas/{taken[0]}: also derived from `{COLLECTION}` of schemas/{name}: delete one."
        )
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise SchemaError(f"{path}: not JSON: {error}") from error
    return document


def _check(name: str, schema: Schema, *, is_derived: bool) -> None:
    try:
        if is_derived:
            # It consists of parts of a file, which is compiled.
            meta.validate(schema.document)
        else:
            _ = schema.validator
    except ValueError as error:
        sentence = str(error)
        if isinstance(error, ValidationError):
            sentence = f"at {pointer(error.instance_path)}: {fault_of(error).message}"
        raise SchemaError(f"schemas/{name}: {sentence}") from error


class MaxBytes:
    """The keyword `x-max-bytes`: the length of a value that has no other bound, without spaces."""

    def __init__(self, schema: dict[str, Any], value: int, path: list[str | int]) -> None:
        del schema, path
        self._most = value

    def validate(self, instance: object) -> None:
        """Raise ValueError if a value is longer."""
        size = len(encode(instance).encode())
        if size > self._most:
            raise ValueError(f"The value has {size} bytes: at most {self._most} are allowed")


class StreamedPayload(ABC):
    """A payload that is read from the client while the view runs."""

    @abstractmethod
    async def read_first(self) -> None:
        """Wait for the first part, or the end."""

    @abstractmethod
    async def fingerprint(self) -> bytes:
        """Read the rest, and return a digest of the whole."""


class Described:
    """What a schema file describes: a response, or the headers of one.

    class FossDocument(Described, schema="foss/foss.json"): ...

    `directory` is where the file is, if not in `schemas/`: such a folder is also added to the
    application, by `App.add_schemas`.
    """

    schema_directory: ClassVar[Path] = DIRECTORY
    schema_file: ClassVar[str]

    def __init_subclass__(
        cls, *, schema: str | None = None, directory: Path | None = None, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if directory is not None:
            cls.schema_directory = directory
        # A class without a schema is a base class.
        if schema is not None:
            cls.schema_file = schema

    @classmethod
    def contract(cls) -> Schema:
        """Return the schema file."""
        return _load(cls.schema_directory)[cls.schema_file]


class Payload(Described, BaseModel):
    """A frozen value that a schema file describes, checks and documents.

    class CreateFoss(Payload, schema="foss/create_foss.json"): ...
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    async def fingerprint(self) -> bytes:
        """Return a hash of the values, which does not depend on how they were written."""
        values = json.dumps(
            self.model_dump(),
            ensure_ascii=False,
            separators=(",", ":"),
            sort_keys=True,
            default=str,
        )
        return sha256(values.encode()).digest()

    @classmethod
    def check(cls, value: object, faults: Iterable[Fault] = ()) -> Self:
        """Validate a value and return the payload; `faults` are those already found.

        Raises InvalidAPIRequest (422) with all faults if there are any.
        """
        found = [*faults] or cls.contract().faults(value)
        if found:
            raise InvalidAPIRequest(status_code=422, faults=found)
        try:
            return cls.model_validate(value)
        except pydantic.ValidationError as error:
            # Valid by the schema file, but no value of the class: a moment after the year 9999.
            found = [Fault(pointer(one["loc"]), "format", one["msg"]) for one in error.errors()]
            raise InvalidAPIRequest(status_code=422, faults=found) from error
