"""`just blueprint NAME FIELD…`: writes a blueprint, its tests and its migration."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from jsonschema_rs import Draft202012Validator
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from ops.console import CommandError, just
from ops.generate.blueprint.fields import REFERENCE, Field, read, require_name
from ops.generate.blueprint.files import Blueprint
from ops.generate.git import require_clean
from ops.generate.journal import Journal
from service.settings import ROOT, Settings

FOLDERS = ("service", "schemas", "tests")
VERSIONS = ROOT / "migrations" / "versions"
REGISTRY = ROOT / "service" / "__init__.py"
# What a person may have changed, and this command writes.
WRITTEN = ("service", "schemas", "tests", "migrations", "docs")
# Names that a view uses.
# fmt: off
OF_VIEWS = frozenset({
    "blueprint", "common", "docs", "domain", "error", "exports", "failures", "headers",
    "health", "imports", "limits", "logs", "maintenance", "message", "name", "page", "payload",
    "query", "reader", "server", "settings", "single_write",
})
# fmt: on
# What alembic writes around its operations.
COMMENT = re.compile(r"^ *# ### .*\n", re.MULTILINE)
HELP = """\
`{blueprint} NAME FIELD…` writes a resource with its tests and its migration. For example:

    {blueprint} release 'foss:ref(foss):cascade' 'number:string(40):search' 'day:date:index'

FIELD is NAME:TYPE, followed by any of :unique :optional :search :filter :index.
TYPE is string (up to 200 characters), string(N), text, email, url, integer, bigint,
decimal(DIGITS,DECIMALS), number, boolean, date, datetime, uuid, json, enum(a,b) or ref(BLUEPRINT).
A reference may have :restrict (the default: a record that is referred to can't be deleted),
:cascade or :set-null.
`--dry-run` shows what would be written; `--force` writes although there are uncommitted changes.
"""
DONE = """\
{what}:

{files}
Next: read the migration, then `{check}`, `{test} tests/{name}`, `{migrate}`.
"""


def read_arguments(command: str, arguments: list[str]) -> tuple[set[str], str, list[str]]:
    """Return the options, the name (empty if there is none) and the fields of a command.

    Raises CommandError if an option is unknown.
    """
    options = {one for one in arguments if one.startswith("--")}
    if unknown := options - {"--dry-run", "--force"}:
        raise CommandError(f"There is no option `{min(unknown)}`: see `{just(command)}`.")
    name, *texts = [one for one in arguments if one not in options] or [""]
    return options, name, texts


def write(_settings: Settings, arguments: list[str]) -> int:
    """Write a blueprint, or nothing at all."""
    options, name, texts = read_arguments("blueprint", arguments)
    if not name:
        print(HELP.format(blueprint=just("blueprint")), end="")
        return 0
    with Journal() as journal:
        blueprint = _read(name, texts)
        if "--force" not in options:
            require_clean(*WRITTEN)
        paths = _write(blueprint, journal)
        if "--dry-run" in options:
            show(paths)
            journal.revert()
            return 0
    say_done(f"Wrote the blueprint `{name}`", name, paths)
    return 0


def say_done(what: str, name: str, paths: Sequence[str]) -> None:
    """Print what was written, and what to do next."""
    files = "".join(f"    {path}\n" for path in paths)
    commands = {"check": just("check"), "test": just("test"), "migrate": just("migrate")}
    print(DONE.format(what=what, name=name, files=files, **commands), end="")


def _read(name: str, texts: Sequence[str]) -> Blueprint:
    require_name(name, "blueprint")
    if name in OF_VIEWS or name in RESERVED_WORDS or name in sys.stdlib_module_names:
        raise CommandError(
            f"`{name}` can't be the name of a blueprint: it is reserved. Choose another."
        )
    for folder in FOLDERS:
        if any(one.suffix != ".pyc" for one in (ROOT / folder / name).rglob("*.*")):
            raise CommandError(f"There is already a folder {folder}/{name}: choose another name.")
    if not texts:
        raise CommandError(f"Give `{name}` at least one field, such as `title:string`.")
    fields = [read(text) for text in texts]
    columns = [one.column for one in fields]
    for column in columns:
        if columns.count(column) > 1:
            raise CommandError(f"The field `{column}` is given twice: choose another name.")
    return Blueprint(name, fields, tuple(parents(fields)))


def parents(
    fields: Iterable[Field], more: Iterable[str] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the blueprints that fields refer to, and `more`, each after those that it refers to.

    Each has an example of a record, or three if a reference is unique.
    """
    references = [one for one in fields if one.target]
    numbers = (1, 2, 3) if any(one.is_unique for one in references) else (1,)
    seen = set()
    for target in (*more, *(one.arguments[0] for one in references)):
        for name, document in _with_parents(target):
            if name not in seen:
                seen.add(name)
                for number in numbers:
                    yield name, _example(document, number)


def _example(document: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the example of a new record, with other values in those of other numbers."""
    properties = document["properties"]
    return {
        name: _varied(value, properties.get(name, {}), number)
        for name, value in document["examples"][0].items()
    }


def _varied(value: Any, schema: dict[str, Any], number: int) -> Any:
    if number == 1 or isinstance(value, bool):
        return value
    if REFERENCE in schema:
        return number
    text = str(value)
    # The last one is another microsecond.
    others: list[Any] = [
        f"{text}{number}",
        f"{number}{text}",
        f"{text[:-1]}{number}",
        f"{text[:-2]}{number}{text[-1:]}",
    ]
    if isinstance(value, int | float):
        others = [value + number]
    is_valid = Draft202012Validator(schema, validate_formats=True).is_valid
    candidates = [*schema.get("enum", [])[number - 1 :], *others]
    return next((one for one in candidates if is_valid(one)), value)


def _with_parents(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    file = ROOT / "schemas" / name / f"create_{name}.json"
    if not (ROOT / "service" / name / "models.py").exists() or not file.exists():
        raise CommandError(f"There is no blueprint `{name}` to refer to.")
    document = json.loads(file.read_bytes())
    for schema in document["properties"].values():
        if REFERENCE in schema:
            yield from _with_parents(schema[REFERENCE])
    yield name, document


def _write(blueprint: Blueprint, journal: Journal) -> list[str]:
    """Write every file, and return their paths."""
    for path, text in blueprint.files():
        journal.write(ROOT / path, text)
    journal.write(REGISTRY, _registered(REGISTRY.read_text("utf-8"), blueprint.name))
    folders = [str(ROOT / folder / blueprint.name) for folder in ("service", "tests")]
    format_python(journal, *folders, str(REGISTRY))
    write_migration(journal, f"Create the table `{blueprint.name}`")
    write_documents(journal)
    return journal.paths()


def format_python(journal: Journal, *paths: str) -> None:
    """Sort and drop imports, and format."""
    for arguments in (["format"], ["check", "--fix"], ["format"]):
        run("ruff", *arguments, "--quiet", *paths)
        journal.note()


def write_migration(
    journal: Journal, message: str, change: Callable[[str], str] = lambda text: text
) -> None:
    """Write the migration that the models ask for, changed by a function."""
    journal.watch(VERSIONS, message)
    run("ops", "revision", message)
    for migration in journal.new():
        # alembic asks for a review in comments, and this command does so too.
        text = change(COMMENT.sub("", migration.read_text("utf-8")))
        migration.write_text(text, encoding="utf-8")
        run("ruff", "format", "--quiet", str(migration))
    journal.note()


def write_documents(journal: Journal) -> None:
    """Write the documents that follow from the code."""
    for command, name in (("contract", "openapi.json"), ("picture", "architecture.md")):
        journal.keep(ROOT / "docs" / name, is_generated=command == "contract")
        run("ops", f"write-{command}")
        journal.note()


def _registered(text: str, name: str) -> str:
    """Return `service/__init__.py` with the blueprint."""
    imports = "    from service import (\n"
    head, found, rest = text.partition(imports)
    names, close, rest = rest.partition("    )\n")
    own, opened, tail = rest.partition("    own = (\n")
    listed, end, after = tail.partition("    )\n")
    if not (found and close and opened and end):
        raise CommandError(
            "service/__init__.py has no list of imports from `service`, or no `own = (…)` with the "
            "blueprints. Write them as in the first commit."
        )
    names = "".join(sorted([*names.splitlines(keepends=True), f"        {name},\n"]))
    listed += f"        {name}.blueprint,\n"
    return head + found + names + close + own + opened + listed + end + after


def run(module: str, *arguments: str) -> None:
    """Run a program of the environment. Raises CommandError with its output."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        # The lock of the journal.
        close_fds=False,
    )
    if done.returncode:
        raise CommandError(
            f"`{module} {arguments[0]}` failed, so nothing was changed:\n{done.stdout}"
        )


def show(paths: Sequence[str]) -> None:
    """Print files that were written."""
    for path in paths:
        print(f"==> {path}")
        if not path.endswith("openapi.json"):
            print((ROOT / path).read_text("utf-8"))
