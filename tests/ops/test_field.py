"""`just field`: what it adds to a blueprint, what it refuses, and that a changed file survives."""

import ast
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.console import CommandError
from ops.generate.blueprint import addition, edits
from ops.generate.blueprint.edits import Edits
from ops.generate.blueprint.fields import TYPES, read_later
from service.settings import ROOT, Settings
from tests.machines.checkout import git
from tests.ops.project import Project, copy_repository, project_in

NEEDS_FOSS = pytest.mark.skipif(not (ROOT / "service/foss").exists(), reason="there is no foss")
# A field of every type, each option, and a default of every type that can have one.
FIELDS = [
    "homepage:url:optional:search",
    'summary:string(80):search:index:default=It\'s "new"',
    "note:text:optional",
    "contact:email:unique:optional",
    "stars:integer:index:default=0",
    "total:bigint:filter:default=-1",
    "price:decimal(10,2):filter:default=1.50",
    "ratio:number:default=0.5",
    "active:boolean:filter:default=true",
    "day:date:index:default=2026-01-31",
    "moment:datetime:default=2026-01-31T12:00:00Z",
    "token:uuid:default=6f9619ff-8b86-4011-b42d-000000000009",
    "extra:json:optional",
    "state:enum(new,used):filter:default=new",
]
MODELS = '''\
"""The tables."""
# Whatever a person writes stays.
from service.common.database import Base, RecordColumns


class Other(Base):
    kind: Mapped[str] = mapped_column(Text)


class Book(RecordColumns, Base):
    """A book."""

    {arguments}

    title: Mapped[str] = mapped_column(Text)  # As printed.

    def words(self) -> int: ...
'''


def test_the_fields_of_these_tests_have_every_type() -> None:
    assert {read_later(text).type for text in FIELDS} | {"ref"} == TYPES.keys()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pages:integer", "records that exist need a value: add `:default=10`"),
        ("pages:integer:default=x", "`x` is not a value of this field"),
        ("pages:integer:default=2147483648", "`2147483648` is not a value of this field"),
        ("pages:integer:optional:default=1", "leave out either `optional` or `default`"),
        ("active:boolean:default=yes", "`yes` is not a value"),
        ("state:enum(new,used):default=old", "`old` is not a value"),
        ("title:string(3):default=long", "`long` is not a value"),
        ("title:string:default=", "`` is not a value"),
        ("day:date:default=9999-12-31", "is not a value"),
        ("title:string:unique", "a unique field that is added later has no default"),
        ("extra:json", "a field of the type `json` that is added later has no default"),
        ("foss:ref(foss)", "a field of the type `ref` that is added later has no default"),
        ("title:varchar", "there is no type `varchar`"),
    ],
)
def test_a_field_that_can_not_be_added_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        read_later(text)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@NEEDS_FOSS
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing", "a:string:optional"], "There is no blueprint `nothing`"),
        (["health", "a:string:optional"], "There is no blueprint `health`"),
        (["foss"], "Give `foss` at least one field"),
        (["foss", "name:string:optional"], "has a field, column or reference `name` already"),
        (["foss", "version:string:optional"], "has a field, column or reference `version` already"),
        (
            ["foss", "a:string:optional", "a:text:optional"],
            "a field, column or reference `a` already",
        ),
        (["foss", "name:ref(other):optional"], "field, column or reference `name` already"),
        (["foss", "a:text:optional", "a:ref(foss):optional"], "or reference `a` already"),
        (["foss", "id:integer:optional"], "it is reserved"),
        (["foss", "other:ref(nothing):optional"], "There is no blueprint `nothing` to refer to"),
        (["foss", "fork:ref(foss):optional"], "A reference of `foss` to itself is not generated"),
        (["foss", f"{52 * 'a'}:string:optional"], "at most 40 characters"),
        (["foss", "a:string:optional", "--quick"], "There is no option `--quick`"),
    ],
)
def test_what_can_not_be_added_to_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError) as caught:
        addition.add(Settings(), arguments)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_arguments_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert addition.add(Settings(), []) == 0
    said = capsys.readouterr().out
    [example] = [line for line in said.splitlines() if line.startswith("    ")]
    _, _, name, *fields = shlex.split(example)

    assert "BLUEPRINT FIELD…` adds fields" in said
    assert (name, [read_later(text).name for text in fields]) == ("foss", ["homepage", "stars"])


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Edits]:
    """Return a function that reads models with these arguments of their table."""
    monkeypatch.setattr(edits, "ROOT", tmp_path)
    path = tmp_path / "models.py"

    def read(arguments: str) -> Edits:
        path.write_text(MODELS.format(arguments=arguments), encoding="utf-8")
        return Edits(path)

    return read


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("(Index(None, 'é'),)", "(NEW,\n{8}Index(None, 'é'),\n{8}MORE,)"),
        ('(Index("created_at"), A())', '(NEW,\n{8}MORE,\n{8}Index("created_at"), A())'),
        (
            '(XConstraint(),  # One.\n    Index("created_at"))',
            '(XConstraint(),\n{8}NEW,  # One.\n    MORE,\n{8}Index("created_at"))',
        ),
        ("(A(), XConstraint())", "(A(), XConstraint(),\n{8}NEW,\n{8}MORE)"),
    ],
)
def test_a_file_that_was_changed_by_hand_keeps_what_it_has(
    models: Callable[[str], Edits], arguments: str, expected: str
) -> None:
    file = models(f"__table_args__ = {arguments}")
    book = file.class_of("Book")
    file.add_attribute(book, "pages: Mapped[int] = mapped_column(Integer)")
    file.add_arguments(book, ["NEW"], ["MORE"])
    file.add_imports("from sqlalchemy import Integer")
    expected = expected.replace("{8}", 8 * " ")

    assert file.text() == MODELS.format(arguments=f"__table_args__ = {expected}").replace(
        "RecordColumns\n\n", "RecordColumns\nfrom sqlalchemy import Integer\n\n", 1
    ).replace(
        "  # As printed.\n",
        "  # As printed.\n    pages: Mapped[int] = mapped_column(Integer)\n",
    )


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ('Index(None, "origin")', '(Index(None, "origin"),\n{8}Index("created_at"), A())'),
        (
            'Index(postgresql_using="gin")',
            '(Index("created_at"), A(),\n{8}Index(postgresql_using="gin"))',
        ),
    ],
)
def test_an_index_of_an_order_is_before_those_of_the_timestamps(
    models: Callable[[str], Edits], index: str, expected: str
) -> None:
    file = models('__table_args__ = (Index("created_at"), A())')
    file.add_arguments(file.class_of("Book"), [], [index])

    assert expected.replace("{8}", 8 * " ") in file.text()


@pytest.mark.parametrize("arguments", ["", "__table_args__ = {}", "__table_args__ = ARGUMENTS"])
def test_a_place_that_is_not_there_is_named(models: Callable[[str], Edits], arguments: str) -> None:
    file = models(arguments)
    with pytest.raises(CommandError) as caught:
        file.add_arguments(file.class_of("Book"), ["NEW"], [])

    assert "models.py does not have a tuple `__table_args__` in `Book`" in str(caught.value)
    assert "docs/blueprint.md" in str(caught.value)


@pytest.mark.parametrize("text", ["shelf:string:optional", "shelf_id:integer:optional"])
def test_the_name_of_a_reference_can_not_be_added(
    models: Callable[[str], Edits], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    models("")
    monkeypatch.setattr(addition, "ROOT", tmp_path)
    for folder in ("service", "schemas"):
        (tmp_path / folder / "book").mkdir(parents=True)
    (tmp_path / "models.py").rename(tmp_path / "service/book/models.py")
    schema = {"properties": {"shelf_id": {"x-reference": "shelf"}}}
    (tmp_path / "schemas/book/book.json").write_text(json.dumps(schema), encoding="utf-8")
    with pytest.raises(CommandError, match=f"reference `{text.partition(':')[0]}` already"):
        addition.add(Settings(), ["book", text])


ADDED = """\
def upgrade():
    op.add_column(
        "book",
        sa.Column("pages", sa.Integer(), nullable=True),
    )
    op.create_index("ix_book_pages_id", "book", ["pages", "id"])
    op.add_column("book", sa.Column("year", sa.Integer()))
"""


def upgrade(text: str) -> ast.FunctionDef:
    [function] = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    return function


def test_a_migration_adds_the_columns_that_were_asked_for() -> None:
    added = addition.additions(upgrade(ADDED), "book", ["year", "pages"])

    assert [ast.unparse(call) for call in added] == [
        "op.add_column('book', sa.Column('pages', sa.Integer(), nullable=True))",
        "op.add_column('book', sa.Column('year', sa.Integer()))",
    ]


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("book", ["pages"]),
        ("book", ["pages", "date"]),
        ("book", ["pages", "year", "date"]),
        ("shelf", ["pages", "year"]),
    ],
)
def test_a_migration_that_adds_other_columns_is_refused(table: str, columns: list[str]) -> None:
    with pytest.raises(CommandError, match="other changes of the models than the new columns"):
        addition.additions(upgrade(ADDED), table, columns)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a clone of the working tree, with a blueprint of its own, committed."""
    directory = tmp_path_factory.mktemp("field") / "clone"
    copy_repository(directory)
    clone = project_in(directory)
    done = clone.just("blueprint", "gadget", "title:string", "foss:ref(foss)", "--force")
    assert done.returncode == 0, done.stderr
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    git("add", "--all", cwd=directory)
    git(*author, "commit", "--quiet", "--message", "Add gadgets", cwd=directory)
    return clone


def status(project: Project) -> list[str]:
    lines = git("status", "--porcelain", "--untracked-files=all", cwd=project.directory)
    return sorted(line[3:] for line in lines.splitlines())


@NEEDS_FOSS
@pytest.mark.long
@pytest.mark.copies
def test_fields_of_every_type_are_added_to_two_blueprints(clone: Project) -> None:
    dry = clone.just("field", "foss", *FIELDS, "--dry-run")
    nothing = status(clone)
    added = clone.just("field", "foss", *FIELDS)
    own = clone.just("blueprint", "maker", "label:string", "--force")
    refused = clone.just("field", "gadget", "size:integer:optional")
    more = clone.just(
        *("field", "gadget", "maker:ref(maker):set-null:optional:unique", "size:integer:optional"),
        *("code:string(9):filter:search:optional", "--force"),
    )
    checked = clone.just("check")
    tested = clone.just(
        *("test", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist=loadfile"),
        *("tests/test_resources.py", "tests/migrations/test_migrations.py"),
        *("tests/foss", "tests/gadget", "tests/maker"),
    )
    changed = status(clone)
    document = json.loads((clone.directory / "docs/openapi.json").read_bytes())
    foss = document["components"]["schemas"]["CreateFoss"]

    assert dry.returncode == 0, dry.stderr
    assert ("==> service/foss/models.py" in dry.stdout, nothing) == (True, [])
    for done in (added, own, more):
        assert done.returncode == 0, done.stderr
    assert "changes that are not committed" in refused.stderr
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert foss["required"] == ["name", "email"]
    assert foss["properties"]["stars"]["default"] == 0
    places = ("foss/", "gadget/", "maker/", "migrations/versions/", "docs/", "service/__init__.py")
    assert [path for path in changed if not any(place in path for place in places)] == []
