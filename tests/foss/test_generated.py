"""`foss` is what `just blueprint` writes for its fields, apart from what is named here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ops.generate.blueprint.fields import read
from ops.generate.blueprint.files import Blueprint
from service.foss.models import Foss
from service.settings import ROOT

pytestmark = pytest.mark.skipif(
    Foss.fields() != ("id", "name", "email", "created_at", "updated_at"),
    reason="this project's foss has other fields",
)
FIELDS = ("name:string(200):search:filter:index", "email:email:search:filter:unique")
# What a person writes after the generator: sentences and examples.
PROSE = {"description", "examples"}


class Difference(NamedTuple):
    """A part of a generated file of Python, what `foss` has in its place, and why."""

    file: str
    generated: str
    own: str
    reason: str


DIFFERENCES = [
    Difference(
        "service/foss/__init__.py",
        "The records of `foss`.",
        "Free and open-source software projects: the example blueprint.",
        "prose",
    ),
    Difference(
        "service/foss/models.py",
        '"""A record of the collection `foss`."""\n',
        '"""A free and open-source software project."""\n',
        "prose",
    ),
    Difference(
        "service/foss/models.py",
        "    __table_args__ =",
        "    # The table is older than the name `row_version`.\n"
        '    __row_version__ = "version"\n'
        "    __table_args__ =",
        "the running release has the column `version`",
    ),
    Difference(
        "service/foss/models.py",
        "char_length(name) BETWEEN 1 AND 200",
        "char_length(name) BETWEEN 2 AND 200",
        "a name has two characters that are not white space: a rule of its own",
    ),
]
# The same rule; the pattern that follows from it has tests of its own.
RULE = {"minLength": 2}
RULE_OF_CLIENTS = ("pattern", "x-pattern-message")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the files that the generator writes, formatted, by their paths."""
    folder = tmp_path_factory.mktemp("generated")
    paths = []
    for name, text in Blueprint("foss", [read(field) for field in FIELDS]).files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    python = [path for path in paths if path.suffix == ".py"]
    for command in (["format"], ["check", "--select=I,F401", "--fix"], ["format"]):
        ruff(*command, *map(str, python))
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in paths}


def ruff(*arguments: str) -> None:
    config = f"--config={ROOT / 'pyproject.toml'}"
    subprocess.run([sys.executable, "-m", "ruff", *arguments, "--quiet", config], check=True)


def test_every_file_of_the_blueprint_is_generated(generated: dict[str, str]) -> None:
    own = [*(ROOT / "service/foss").glob("*.py"), *(ROOT / "schemas/foss").glob("*.json")]

    assert {path.relative_to(ROOT).as_posix() for path in own} <= generated.keys()


def test_the_modules_and_tests_are_as_generated(generated: dict[str, str]) -> None:
    expected = {name: text for name, text in generated.items() if name.endswith(".py")}
    for file, old, new, reason in DIFFERENCES:
        assert expected[file].count(old) == 1, reason
        expected[file] = expected[file].replace(old, new)

    assert {name: (ROOT / name).read_text("utf-8") for name in expected} == expected


def test_the_schema_files_are_as_generated(generated: dict[str, str]) -> None:
    names = [name for name in generated if name.endswith(".json")]
    for name in names:
        own = without_prose(json.loads((ROOT / name).read_bytes()))
        expected = without_prose(json.loads(generated[name]))
        expected["properties"]["name"] |= RULE
        if Path(name).name != "foss.json":
            for key in RULE_OF_CLIENTS:
                expected["properties"]["name"][key] = own["properties"]["name"][key]

        assert own == expected, name


def without_prose(value: Any, parent: str = "") -> Any:
    """Return a schema without sentences and examples."""
    if isinstance(value, dict):
        if parent == "x-collection":
            return value | {"part": "", "equal": [*value["equal"]]}
        return {key: without_prose(one, key) for key, one in value.items() if key not in PROSE}
    return value


def test_the_example_is_short() -> None:
    """Imports included: what a second resource would repeat belongs in `service/common`."""
    modules = [path.read_text() for path in (ROOT / "service/foss").glob("*.py")]
    files = [path.read_text() for path in (ROOT / "schemas/foss").glob("*.json")]

    assert 0 < sum(len(text.splitlines()) for text in modules) <= 230
    assert 0 < sum(len(text.splitlines()) for text in files) <= 200
