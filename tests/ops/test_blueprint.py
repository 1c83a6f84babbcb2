"""`just blueprint`: what it writes, what it refuses, and that it leaves nothing half done."""

import ast
import json
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from urllib.request import Request, urlopen

import pytest
from jsonschema_rs import Draft202012Validator

from ops.console import CommandError
from ops.generate import journal as journals
from ops.generate.blueprint import command, removal
from ops.generate.blueprint.fields import TYPES, read
from ops.generate.blueprint.files import Blueprint
from ops.generate.journal import Journal
from service.common.database import Base, RecordColumns
from service.common.resource import ListQuery
from service.settings import Settings
from tests.machines.checkout import git
from tests.ops.project import ROOT, Project, copy_repository, project_in

# A field of every type, with each option.
FIELDS = [
    "title:string(80):search:index",
    "note:text:optional",
    "email:email:unique",
    "homepage:url:optional",
    "count:integer:filter",
    "total:bigint:optional:index",
    "price:decimal(10,2):filter",
    "ratio:number:index",
    "active:boolean:filter",
    "day:date:optional:index",
    "moment:datetime:filter",
    "token:uuid:unique:optional",
    "extra:json",
    "state:enum(new,used):filter",
    "grade:enum(a,b,c):unique",
]
BLUEPRINTS = [
    ("gadget", [*FIELDS, "foss:ref(foss)"]),
    (
        # A long name, which comes before those that it refers to.
        "any_part_of_some_gadgets",
        [
            *("gadget:ref(gadget):cascade:unique", "foss:ref(foss):set-null:optional"),
            "version:string(40):index",
            # Statements have names of their own for such.
            *("ids:integer", "record:string:unique", "line:integer:index", "first:boolean"),
        ],
    ),
]
# The tests of the project that look at every blueprint.
TESTS = ["tests/test_resources.py", "tests/test_layers.py", "tests/migrations/test_migrations.py"]
OPTIONS = ["-q", "-p", "no:cacheprovider"]


def test_the_fields_of_these_tests_have_every_type() -> None:
    fields = [read(text) for _, texts in BLUEPRINTS for text in texts]

    assert {one.type for one in fields} == TYPES.keys()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title", "is not NAME:TYPE"),
        ("title:string(80", "is not NAME:TYPE"),
        ("Title:string", "can't be the name of a field: use lower-case letters"),
        ("class:string", "`class` can't be the name of a field: it is reserved"),
        ("id:integer", "it is reserved"),
        ("self:string", "it is reserved"),
        ("model_fields:string", "it is reserved"),
        ("title:varchar", "there is no type `varchar`. Types: string,"),
        ("title:string:indexed", "there is no option `indexed`. Options: unique,"),
        ("title:string(0)", "stores nothing"),
        ("title:string(x)", "must be numbers"),
        ("price:decimal", "write `price:decimal(10,2)`"),
        ("price:decimal(2,3)", "DECIMALS at most DIGITS"),
        ("state:enum", "write `state:enum(new,used)`"),
        ("state:enum(a,a)", "given twice"),
        ("state:enum(it's)", "can't be a value"),
        ("foss:ref", "write `foss:ref(foss)`"),
        ("foss:ref(foss):set-null", "`set-null` needs `optional`"),
        ("title:string:cascade", "a reference has one of restrict, cascade, set-null"),
        ("count:integer:search", "only texts can be searched"),
        ("note:text:index", "an index takes texts of at most 600 characters"),
        ("extra:json:unique", "an index takes texts"),
        ("state:enum(new):unique", "`unique` would allow one record at most"),
        ("active:boolean:unique", "`unique` would allow two records at most"),
    ],
)
def test_a_field_that_can_not_be_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        read(text)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_attribute_of_a_query_and_a_record_is_refused_as_a_field() -> None:
    names = {*dir(ListQuery), *dir(RecordColumns), *dir(Base)}
    public = sorted(name for name in names if not name.startswith("_"))
    accepted = []
    for name in public:
        with suppress(CommandError):
            read(f"{name}:string")
            accepted.append(name)

    assert "page_records" in public
    assert accepted == []


@pytest.mark.parametrize("options", ["string(1)", "string(3)", "string(6)", "string(7)", "email"])
def test_short_texts_of_different_numbers_differ(options: str) -> None:
    field = read(f"code:{options}:unique")
    samples = [field.sample(number) for number in (1, 2, 3)]

    assert len({*samples}) == len(samples)
    assert all(Draft202012Validator(field.schema()).is_valid(sample) for sample in samples)


@pytest.mark.parametrize("name", ["date", "datetime"])
@pytest.mark.parametrize(
    ("day", "is_valid"),
    [("0000-01-01", False), ("0001-01-01", False), ("9999-12-31", False), ("9999-12-30", True)],
)
def test_days_that_can_not_be_stored_are_refused(name: str, day: str, is_valid: bool) -> None:
    value = day if name == "date" else f"{day}T00:00:00-23:59"
    schema = read(f"when:{name}").schema()

    assert Draft202012Validator(schema, validate_formats=True).is_valid(value) == is_valid


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["foss", "title:string"], "There is already a folder service/foss"),
        (["order", "title:string"], "it is reserved"),
        (["json", "title:string"], "it is reserved"),
        (["Release", "title:string"], "use lower-case letters"),
        (["release"], "Give `release` at least one field"),
        (["release", "a:string", "a:text"], "The field `a` is given twice"),
        (["release", "a:ref(foss)", "a:text"], "`a` is the name of a reference and of another"),
        (["release", "a:ref(nothing)"], "There is no blueprint `nothing` to refer to"),
        (["release", "a:string", "--quick"], "There is no option `--quick`"),
    ],
)
def test_a_blueprint_that_can_not_be_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError) as caught:
        command.write(Settings(), arguments)

    assert said in str(caught.value)


def generated(path: str, *fields: str) -> str:
    """Return a file of the blueprint `thing` with these fields."""
    return dict(Blueprint("thing", [read(text) for text in fields]).files())[path]


def test_a_unique_reference_is_tested_with_three_records_that_differ() -> None:
    parents = [*command.parents([read("foss:ref(foss):unique"), read("other:ref(foss)")])]
    schema = json.loads((ROOT / "schemas/foss/create_foss.json").read_bytes())
    examples = [example for _, example in parents]
    is_valid = Draft202012Validator(schema, validate_formats=True).is_valid

    assert [name for name, _ in parents] == ["foss"] * 3
    assert len({example["email"] for example in examples}) == len(examples)
    assert all(is_valid(example) for example in examples)
    assert len([*command.parents([read("other:ref(foss)")])]) == 1


@pytest.mark.parametrize(
    ("fields", "tested"),
    [
        (["extra:json"], "test_an_empty_body_is_a_422"),
        (["extra:json:optional"], "test_an_empty_body_is_a_201"),
        (["extra:json", "day:date"], "test_a_body_that_is_empty_or_of_other_types_is_a_422"),
    ],
)
def test_other_types_are_tested_if_a_field_is_not_json(fields: list[str], tested: str) -> None:
    text = generated("tests/thing/test_thing.py", *fields)

    assert f"\n\n\nasync def {tested}(client: Client) -> None:\n    empty =" in text
    assert ("json={name: [] for name in ONE}" in text) == ("other_types" in tested)
    ast.parse(text)


@pytest.mark.parametrize(
    ("fields", "raised"),
    [
        (["title:string"], []),
        (["title:string:unique"], ["RecordAlreadyExists"]),
        (["title:string:unique", "foss:ref(foss)"], ["RecordAlreadyExists", "InvalidAPIRequest"]),
    ],
)
def test_the_operations_say_what_they_raise(fields: list[str], raised: list[str]) -> None:
    module = ast.parse(generated("service/thing/domain.py", *fields))
    docs = {
        node.name: ast.get_docstring(node) or ""
        for node in module.body
        if isinstance(node, ast.AsyncFunctionDef)
    }
    found = {name: doc.partition("Raises ")[2].rstrip(".") for name, doc in docs.items()}
    common = ["RecordNotFound", "PreconditionFailed"]

    assert found["create_thing"] == ", ".join(raised)
    assert found["update_thing"] == ", ".join([*common, *raised])
    assert found["delete_thing"] == ", ".join([*common, "Conflict"])


@pytest.mark.parametrize("name", ["nothing", "common/idempotency", "health"])
def test_what_is_no_blueprint_is_not_removed(name: str) -> None:
    with pytest.raises(CommandError) as caught:
        removal.remove(Settings(), [name])

    assert str(caught.value) == f"There is no blueprint `{name}` in service/."


def test_without_arguments_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.write(Settings(), []) == 0
    said = capsys.readouterr().out
    [example] = [line for line in said.splitlines() if line.startswith("    ")]
    _, _, _, *fields = shlex.split(example)

    assert "NAME FIELD…` writes a resource" in said
    assert [read(text).name for text in fields] == ["foss", "number", "day"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is the project for a journal."""
    monkeypatch.setattr(journals, "ROOT", tmp_path)
    monkeypatch.setattr(journals, "FOLDER", tmp_path / "journal")
    monkeypatch.setattr(journals, "LIST", tmp_path / "journal" / "files.json")
    monkeypatch.setattr(journals, "LOCK", tmp_path / "journal.lock")
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "zero.py").touch()
    (tmp_path / "old").write_text("before")
    return tmp_path


def change(folder: Path, journal: Journal) -> None:
    journal.write(folder / "old", "after")
    journal.write(folder / "new" / "one.py", "new")
    journal.watch(folder / "versions", "another program")
    (folder / "versions" / "one.py").write_text("by another program")


def failed(folder: Path) -> None:
    with suppress(KeyboardInterrupt), Journal() as journal:
        change(folder, journal)
        raise KeyboardInterrupt


def killed(folder: Path) -> None:
    change(folder, Journal())
    with Journal():
        pass  # The next command.


@pytest.mark.parametrize("end", [failed, killed])
def test_what_was_not_finished_is_taken_back(folder: Path, end: Callable[[Path], None]) -> None:
    end(folder)

    assert (folder / "old").read_text() == "before"
    assert {path.name for path in folder.iterdir()} - {"journal.lock"} == {"old", "versions"}
    assert [path.name for path in (folder / "versions").iterdir()] == ["zero.py"]


@pytest.mark.parametrize("name", ["old", "new/one.py", "versions/one.py"])
def test_what_a_person_has_changed_since_is_not_taken_back(folder: Path, name: str) -> None:
    journal = Journal()
    change(folder, journal)
    journal.note()
    (folder / name).write_text("by a person, not another program")
    with pytest.raises(CommandError) as caught, Journal():
        pass

    assert f"{name} changed after the command that wrote it was killed" in str(caught.value)
    assert "delete journal, then run this again" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (folder / name).read_text() == "by a person, not another program"


def test_a_command_that_is_killed_after_it_succeeded_takes_nothing_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", kill)
        with suppress(KeyboardInterrupt), Journal() as journal:
            journal.write(folder / "old", "after")
    with Journal():
        pass

    assert (folder / "old").read_text() == "after"


def test_what_programs_have_written_is_taken_back_without_a_question(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = folder / "docs" / "architecture.md"

    def run(module: str, *arguments: str) -> None:
        if module == "ruff":
            (folder / "old").write_text("formatted")
        elif arguments == ("write-picture",):
            picture.write_text("drawn")

    monkeypatch.setattr(command, "ROOT", folder)
    monkeypatch.setattr(command, "run", run)
    picture.parent.mkdir()
    picture.write_text("before")
    journal = Journal()
    journal.write(folder / "old", "after")
    command.format_python(journal, str(folder / "old"))
    command.write_documents(journal)
    written = (folder / "old").read_text(), picture.read_text()
    with Journal():
        pass  # The next command, after this one was killed.

    assert written == ("formatted", "drawn")
    assert (folder / "old").read_text() == picture.read_text() == "before"


def test_a_migration_of_a_person_stays(folder: Path) -> None:
    change(folder, Journal())
    (folder / "versions" / "two.py").write_text("by a person")
    with Journal():
        pass

    assert {path.name for path in (folder / "versions").iterdir()} == {"zero.py", "two.py"}


MIGRATION = (
    '"""Any.\n\nRevises: {parent}\n"""\n\nrevision: str = "{name}"\ndown_revision: X = "{parent}"\n'
)


def test_a_chain_of_migrations_stays_whole_without_those_of_a_blueprint(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = folder / "versions"
    monkeypatch.setattr(removal, "VERSIONS", versions)
    for name, parent in [("one", "base"), ("two", "one"), ("three", "two"), ("four", "three")]:
        text = MIGRATION.format(name=name, parent=parent)
        (versions / f"{name}.py").write_text(text, encoding="utf-8")
    last = (versions / "four.py").read_text("utf-8")
    with Journal() as journal:
        removal.delete_migrations([versions / "two.py", versions / "one.py"], journal)
        paths = journal.paths()

    assert paths == ["versions/one.py", "versions/three.py", "versions/two.py"]
    assert (versions / "three.py").read_text("utf-8") == MIGRATION.format(
        name="three", parent="base"
    )
    assert (versions / "four.py").read_text("utf-8") == last


def test_a_migration_that_would_be_the_first_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = folder / "versions"
    monkeypatch.setattr(removal, "VERSIONS", versions)
    (versions / "one.py").write_text('revision = "one"\ndown_revision = None\n')
    (versions / "two.py").write_text(MIGRATION.format(name="two", parent="one"))
    with pytest.raises(CommandError, match=r"two\.py revises a migration"), Journal() as journal:
        removal.delete_migrations([versions / "one.py"], journal)

    assert (versions / "one.py").exists()


def test_a_second_command_at_once_is_refused(folder: Path) -> None:
    with Journal() as journal:
        change(folder, journal)
        with (
            pytest.raises(CommandError, match="Another command writes files of this project"),
            Journal(),
        ):
            pass

        assert (folder / "old").read_text() == "after"


def test_what_was_finished_stays(folder: Path) -> None:
    with Journal() as journal:
        change(folder, journal)
        paths = journal.paths()
    with Journal():
        pass

    assert paths == ["new/one.py", "old", "versions/one.py"]
    assert (folder / "old").read_text() == "after"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a clone of the working tree."""
    directory = tmp_path_factory.mktemp("blueprint") / "clone"
    copy_repository(directory)
    return project_in(directory)


def status(project: Project) -> str:
    return git("status", "--porcelain", cwd=project.directory)


def example(project: Project, name: str) -> Any:
    """Return the example of a new record."""
    file = project.directory / f"schemas/{name}/create_{name}.json"
    return json.loads(file.read_bytes())["examples"][0]


def stored(project: Project, name: str) -> tuple[Any, Any]:
    """Store the example of a blueprint by the stack, and return the record as created and read."""
    # Not by httpx, which holds every answer against this project's contract.
    body = json.dumps(example(project, name)).encode()
    headers = {"Content-Type": "application/json"}
    request = Request(f"{project.url}/{name}", body, headers)  # noqa: S310
    with urlopen(request) as created:  # noqa: S310
        location = urljoin(project.url, created.headers["Location"])
        with urlopen(location) as read:  # noqa: S310
            return json.load(created), json.load(read)


def served(project: Project, names: Sequence[str]) -> list[tuple[Any, Any]]:
    """Start the stack of a copy, store a record of each blueprint, and revert the migrations."""
    try:
        succeeded(project.just("up", "local"))
        found = [stored(project, name) for name in ("foss", *names)]
        for _ in names:
            succeeded(project.just("downgrade"))
    finally:
        project.just("down")
    return found[1:]


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command printed that ended well."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def generate(clone: Project) -> list[str]:
    """Generate the blueprints in a copy; return their names."""
    for name, fields in BLUEPRINTS:
        succeeded(clone.just("blueprint", name, *fields, "--force"))
    return [name for name, _ in BLUEPRINTS]


@pytest.mark.copies
def test_two_related_blueprints_are_written_tested_served_and_removed(clone: Project) -> None:
    before = status(clone)
    names = generate(clone)
    refused = clone.just("blueprint-remove", "gadget")
    # Both wait a lot, so they run at the same time.
    with ThreadPoolExecutor() as threads:
        checking = threads.submit(clone.just, "check")
        tested = clone.just("test", *OPTIONS, *TESTS, *(f"tests/{name}" for name in names))
        records = served(clone, names)
        checked = checking.result()
    document = json.loads((clone.directory / "docs/openapi.json").read_bytes())
    for name in reversed(names):
        succeeded(clone.just("blueprint-remove", name))

    assert f"`{names[1]}` refers to `{names[0]}`" in refused.stderr
    assert succeeded(checked)
    assert succeeded(tested)
    assert all(created == read for created, read in records)
    assert {f"/{name}" for name in names} <= document["paths"].keys()
    assert status(clone) == before


@pytest.mark.copies
@pytest.mark.long
def test_generated_operations_answer_as_documented(clone: Project) -> None:
    names = generate(clone)
    fuzzed = clone.just("test", *OPTIONS, "tests/fuzz/test_blueprints.py")
    for name in reversed(names):
        succeeded(clone.just("blueprint-remove", name))

    assert "1 passed" in succeeded(fuzzed)


@pytest.mark.copies
def test_a_committed_blueprint_is_removed_by_a_migration(clone: Project) -> None:
    [created] = [clone.just("blueprint", "widget", "title:string", "--force")]
    git("add", "--all", cwd=clone.directory)
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    git(*author, "commit", "--quiet", "--message", "Add widgets", cwd=clone.directory)
    removed = clone.just("blueprint-remove", "widget")
    left = [line for line in status(clone).splitlines() if line.startswith("??")]
    chain = "head or forwards or undone or constraints or squawk_finds"
    migrations = clone.just("test", *OPTIONS, "tests/migrations/test_migrations.py", "-k", chain)

    assert (created.returncode, removed.returncode) == (0, 0), created.stderr + removed.stderr
    assert len(left) == 1
    assert "drop_the_table_widget" in left[0]
    assert migrations.returncode == 0, migrations.stdout + migrations.stderr


@pytest.mark.copies
def test_a_dry_run_shows_the_files_and_writes_none(clone: Project) -> None:
    before = status(clone)
    done = clone.just("blueprint", "thing", "title:string", "--dry-run", "--force")

    assert done.returncode == 0, done.stderr
    assert "==> service/thing/models.py" in done.stdout
    assert status(clone) == before
