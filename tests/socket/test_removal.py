"""Each feature of docs/remove.md goes by what its list says: in a copy, which then starts."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from service.settings import ROOT
from tests.factories import item
from tests.socket.conftest import KEY, Service, running

DOCUMENT = ROOT / "docs" / "remove.md"
LIST = re.compile(r"```text\n(.*?)```", re.DOTALL)
NEEDED = (
    *("benchmarks", "docs", "migrations", "nginx", "observe", "ops", "schemas", "service"),
    "tests",
)
# What decorators precede: a function, a class, a recipe of the justfile.
DECORATED = re.compile(r"\s*(?:async def|def|class) |.*: setup$")
ENDS = (")", "]", "}", "esac")
ORIGIN = {"Origin": "http://localhost:8080"}
PROBLEM = "application/problem+json"
# A test in the copy: it imports every module, renders nginx's configuration, and compares the
# models with the database. It runs beside the tests of layers, because imports take longest.
CHECK = """
import importlib
import json
import os
import pkgutil

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import ops
import service
from ops.local import nginx
from service.common.database import Base, create_engine
from service.settings import Settings
from tests.app import create_app
from tests.blueprints.aside import Aside


def test_every_module_can_be_imported():
    for package in (service, ops):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def test_the_configuration_of_nginx_has_a_value_for_each_name():
    nginx.render(nginx.values(Settings()) | dict.fromkeys(nginx.PLACES, ""))


create_app(Settings())
tables = [Base.metadata, Aside.metadata]


def compare(connection):
    return compare_metadata(MigrationContext.configure(connection), tables)


async def test_a_migration_would_change_what_the_list_says():
    engine = create_engine(os.environ["REMOVAL_DATABASE"], statement_timeout=0)
    async with engine.connect() as connection:
        found = await connection.run_sync(compare)
    await engine.dispose()
    # Other tests have tables in this database, too.
    tables = os.environ["REMOVAL_TABLES"].split()
    mine = [(kind, what) for kind, what in found if getattr(what, "table", what).name in tables]

    changes = {f"{kind} {what.name}" for kind, what in mine}
    assert changes == set(json.loads(os.environ["REMOVAL_CHANGES"]))
"""
# The blueprint that may have been removed.
EXAMPLE = "The example: `foss`"
HAS_EXAMPLE = (ROOT / "service" / "foss").exists()
TABLES = ("item", "idempotencykey", *(["foss"] if HAS_EXAMPLE else []))
# What `./just revision` would write after a removal, but for the blueprint of the tests.
MIGRATIONS = {
    "Idempotency keys": {
        "remove_index ix_idempotencykey_created_at",
        "remove_table idempotencykey",
    },
    "Search": {
        f"remove_index ix_{table}_name_email_trigrams"
        for table in TABLES
        if table != "idempotencykey"
    },
    EXAMPLE: {
        "remove_table foss",
        "remove_index ix_foss_name_email_trigrams",
        *(f"remove_index ix_foss_{name}_id" for name in ("name", "created_at", "updated_at")),
    },
}


def lists() -> dict[str, list[str]]:
    """Return the list of each feature, by the heading of its section."""
    _, *sections = DOCUMENT.read_text(encoding="utf-8").split("\n## ")
    found = {text.partition("\n")[0]: LIST.search(text) for text in sections}
    return {name: entries[1].splitlines() for name, entries in found.items() if entries}


def remove(directory: Path, entry: str) -> None:
    """Do what one entry of a list says."""
    name, is_line, line = entry.partition(": ")
    if not HAS_EXAMPLE and name.startswith(("service/foss/", "schemas/foss/")):
        return
    path = directory / name
    if not is_line:
        assert path.is_dir() == name.endswith("/"), entry
        (shutil.rmtree if path.is_dir() else Path.unlink)(path)
        return
    line, _, other = line.partition(" => ")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    found = [at for at, text in enumerate(lines) if text.strip() == line]
    assert found, entry
    for at in reversed(found):
        if other:
            lines[at] = lines[at].replace(line, other)
        else:
            del lines[slice(*block(lines, at))]
    path.write_text("".join(lines), encoding="utf-8")


def block(lines: list[str], at: int) -> tuple[int, int]:
    """Return the first line of what the line begins, decorators included, and the line after it."""

    def depth(line: str) -> int:
        return len(line) - len(line.lstrip())

    first, last = at, at
    while DECORATED.match(lines[at]) and (
        depth(lines[first - 1]) == depth(lines[at])
        and lines[first - 1].lstrip().startswith(("@", "["))
    ):
        first -= 1
    for number, line in enumerate(lines[at + 1 :], at + 1):
        if not line.strip():
            continue
        inside = depth(line) > depth(lines[at])
        if not inside and not (depth(line) == depth(lines[at]) and line.strip().startswith(ENDS)):
            break
        last = number
    return first, last + 1


def run(directory: Path, *command: str, **variables: str) -> None:
    """Run a program in the copy; its output is shown if it fails."""
    environment = os.environ | {"PYTHONPATH": str(directory)} | variables
    done = subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def check(copy: Path, database_url: str, feature: str, *tests: str) -> None:
    """Run tests in the copy; `tests/test_removed.py` is one of them."""
    (copy / "tests" / "test_removed.py").write_text(CHECK, encoding="utf-8")
    run(
        copy,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests),
        REMOVAL_DATABASE=database_url,
        REMOVAL_CHANGES=json.dumps(sorted(MIGRATIONS.get(feature, ()))),
        REMOVAL_TABLES=" ".join(TABLES),
    )


def without_problems(http: httpx.Client) -> None:
    response = http.get("/item/99", headers={"Accept": PROBLEM})

    assert response.headers["Content-Type"] == "application/json"
    assert "Problem" not in http.get("/openapi.json").text
    assert PROBLEM not in http.get("/openapi.json").text


def without_cors(http: httpx.Client) -> None:
    preflight = ORIGIN | {"Access-Control-Request-Method": "POST"}
    for response in (http.get("/item", headers=ORIGIN), http.options("/item", headers=preflight)):
        assert response.is_success or response.status_code == 401
        assert [name for name in response.headers if name.startswith("access-control")] == []
        assert "Origin" not in response.headers.get("Vary", "")


def without_idempotency(http: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k"}
    one = item(email="again@example.org")
    answers = [http.post("/item", json=one, headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 409]
    assert answers[1].json()["error"]["type"] == "RecordAlreadyExists"
    for name in ("Idempotency", "RequestInProgress"):
        assert name not in http.get("/openapi.json").text


def without_docs(http: httpx.Client) -> None:
    assert http.get("/docs").status_code == http.get("/docs/errors").status_code == 404
    assert "one shape" not in http.get("/openapi.json").json()["info"]["description"]


def without_guard(http: httpx.Client) -> None:
    del http.headers["X-API-Key"]
    contract = http.get("/openapi.json")

    assert http.get("/item").status_code == 200
    for name in ("InvalidPermissions", "WWW-Authenticate", "security"):
        assert name not in contract.text


def without_search(http: httpx.Client) -> None:
    response = http.get("/item?q=project")

    assert response.status_code == 422
    assert response.json()["error"]["errors"][0]["keyword"] == "additionalProperties"
    assert http.get("/item?name=none").json() == []
    assert '"q"' not in http.get("/openapi.json").text


def without_exports(http: httpx.Client) -> None:
    for media_type in ("text/csv", "application/x-ndjson"):
        page = http.get("/item", headers={"Accept": media_type})

        assert page.headers["Content-Type"] == "application/json"
        assert len(page.json()) == 1
    list_of = http.get("/openapi.json").json()["paths"]["/item"]["get"]["responses"]["200"]
    lines = b'{"name": "One", "email": "one@example.org"}\n'
    headers = {"Content-Type": "application/x-ndjson"}

    assert list(list_of["content"]) == ["application/json"]
    assert http.post("/item", content=lines, headers=headers).json() == {"created": 1}


def without_imports(http: httpx.Client) -> None:
    for media_type in ("text/csv", "application/x-ndjson"):
        headers = {"Content-Type": media_type}
        refused = http.post("/item", content=b"name,email\n", headers=headers)

        assert refused.status_code == 415
        assert refused.json()["error"]["message"].endswith("Only `application/json` is allowed.")
    contract = http.get("/openapi.json").json()

    assert list(contract["paths"]["/item"]["post"]["requestBody"]["content"]) == [
        "application/json"
    ]
    assert "CreatedCount" not in contract["components"]["schemas"]
    assert http.get("/item", headers={"Accept": "text/csv"}).text.startswith("id,name,email")


def without_csv(http: httpx.Client) -> None:
    page = http.get("/item", headers={"Accept": "text/csv"})
    refused = http.post("/item", content=b"name,email\n", headers={"Content-Type": "text/csv"})
    ndjson = http.get("/item", headers={"Accept": "application/x-ndjson"})

    assert page.headers["Content-Type"] == "application/json"
    assert refused.status_code == 415
    assert len(ndjson.text.splitlines()) == 1
    assert "text/csv" not in http.get("/openapi.json").text


GONE: dict[str, Callable[[httpx.Client], None]] = {
    "Problem details": without_problems,
    "CORS": without_cors,
    "Idempotency keys": without_idempotency,
    "Docs page": without_docs,
    "Guard": without_guard,
    "Search": without_search,
    "Bulk export (NDJSON, CSV)": without_exports,
    "Bulk import (NDJSON, CSV)": without_imports,
    "CSV alone": without_csv,
}


def test_every_list_has_a_test() -> None:
    assert list(lists()) == [EXAMPLE, *GONE]


TEXT = """\
class A:
    @one
    @two
    def f(
        self,
    ) -> int:
        a = 1

        return a

    x = (
        1,
    )
    y = 2
"""


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("def f(", ["class A:", "", "    x = (", "        1,", "    )", "    y = 2"]),
        ("x = (", [*TEXT.splitlines()[:10], "    y = 2"]),
        ("y = 2", TEXT.splitlines()[:-1]),
        ("class A:", []),
    ],
)
def test_a_line_stands_for_all_that_it_begins(tmp_path: Path, line: str, left: list[str]) -> None:
    path = tmp_path / "a.py"
    path.write_text(TEXT, encoding="utf-8")
    remove(tmp_path, f"a.py: {line}")

    assert path.read_text(encoding="utf-8").splitlines() == left


@pytest.mark.parametrize("feature", GONE)
def test_a_feature_that_is_there_would_be_noticed(
    service: Service, empty_database: None, feature: str
) -> None:
    with httpx.Client(base_url=service.url, headers={"X-API-Key": KEY}) as http:
        check_a_record(http)

        with pytest.raises(AssertionError):
            GONE[feature](http)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """Return a copy of the project."""
    directory = tmp_path / "copy"
    for name in NEEDED:
        # Including compiled files, whose times match those of their sources.
        shutil.copytree(ROOT / name, directory / name)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, directory)
    yield directory
    shutil.rmtree(directory)


@pytest.mark.copies
@pytest.mark.parametrize("feature", GONE)
def test_a_feature_goes_by_its_list(
    copy: Path, feature: str, database_url: str, empty_database: None
) -> None:
    for entry in lists()[feature]:
        remove(copy, entry)

    run(copy, "-m", "ruff", "check", "--no-cache")
    check(copy, database_url, feature, "tests/test_removed.py", "tests/test_layers.py")
    settings = {"SECURE_API_KEY": ""} if feature == "Guard" else {}
    with (
        running(copy, database_url, root=str(copy), APP_ENV="production", **settings) as service,
        httpx.Client(base_url=service.url, headers={"X-API-Key": KEY}) as http,
    ):
        check_a_record(http)
        GONE[feature](http)


# A selection of all tests, which are all imported for it.
GENERIC = (
    "(test_removed or test_layers or test_resources or test_openapi or test_post_stores_a_record"
    " or test_a_record_is_created_read_listed_changed_and_deleted) and not test_rename"
)


@pytest.mark.copies
@pytest.mark.skipif(not HAS_EXAMPLE, reason="the example has been removed")
def test_the_tests_of_what_every_resource_has_need_no_example(
    copy: Path, database_url: str
) -> None:
    for entry in lists()[EXAMPLE]:
        remove(copy, entry)
    run(copy, "-m", "ops", "write-contract")

    run(copy, "-m", "ruff", "check", "--no-cache")
    check(copy, database_url, EXAMPLE, "-k", GENERIC)
    with (
        running(copy, database_url, ("-m", "service"), root=str(copy)) as service,
        httpx.Client(base_url=service.url, headers={"X-API-Key": KEY}) as http,
    ):
        assert [path for path in http.get("/openapi.json").json()["paths"] if "foss" in path] == []


def check_a_record(http: httpx.Client) -> None:
    """Create, read and list a record, and meet two errors."""
    created = http.post("/item", json=item())
    record = created.json()

    assert created.status_code == 201
    assert http.get(created.headers["Location"]).json() == record
    assert http.get("/item").json() == [record]
    assert http.get("/item/999999").json()["error"]["type"] == "RecordNotFound"
    faults = http.post("/item", json={"name": "x"}).json()["error"]["errors"]
    assert {fault["keyword"] for fault in faults} == {"required", "minLength"}
    assert json.loads(http.get("/openapi.json").text)["openapi"].startswith("3.1")
