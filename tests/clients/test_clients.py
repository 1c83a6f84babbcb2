"""Clients that generators make of the contract of the tests, against a running service."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from ops import node
from ops.checks.contract import render
from ops.console import CommandError
from service.settings import Settings
from tests.app import contract_of, create_app
from tests.socket.conftest import KEY, Service, running

HERE = Path(__file__).parent
TYPESCRIPT = "typescript"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), database_url) as service:
        yield service


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the contract, as `docs/openapi.json` is written."""
    path = tmp_path_factory.mktemp("contract") / "openapi.json"
    path.write_text(render(contract_of(create_app(Settings()))), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory, contract: Path) -> Iterator[str]:
    """Generate the package `api_client`, and return the output of the generator."""
    folder = tmp_path_factory.mktemp("python")
    options = [f"--path={contract}", f"--output-path={folder / 'api_client'}", "--meta=none"]
    done = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield done.stdout


@pytest.fixture
def python(generated: str, service: Service, empty_database: None) -> Iterator[Any]:
    """Return a client with the key, as its author makes one."""
    package = import_module("api_client")
    with package.AuthenticatedClient(base_url=service.url, token=KEY) as client:
        yield client


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory, contract: Path) -> Path:
    """Return a folder with client.ts and the generated types."""
    try:
        node.install(TYPESCRIPT)
    except CommandError as error:
        if os.environ.get("REQUIRE_TYPESCRIPT"):
            raise
        pytest.skip(f"openapi-typescript is not installed. {error}")
    folder = tmp_path_factory.mktemp("typescript")
    for name in ("client.ts", "tsconfig.json"):
        shutil.copy(HERE / name, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(node.modules(TYPESCRIPT))
    output = run_node(
        folder, "node_modules/openapi-typescript/bin/cli.js", contract, "--output=api.ts"
    )
    assert "⚠" not in output
    assert "warn" not in output.lower()
    return folder


def run_node(folder: Path, *command: str | Path) -> str:
    """Run a program on Node.js, and return its output."""
    done = subprocess.run(
        [node.program(), *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def operation(name: str) -> ModuleType:
    return import_module(f"api_client.api.item.{name}")


def test_the_generator_warns_of_the_media_types_of_imports_alone(generated: str) -> None:
    warnings = re.findall(r"WARNING (.+)\n+(.*)", generated)

    assert warnings == [
        ("parsing POST /item within item.", "Unsupported content type application/x-ndjson"),
        ("parsing POST /item within item.", "Unsupported content type text/csv"),
    ]
    assert "ERROR" not in generated


def test_a_python_client_has_the_names_that_its_author_expects(generated: str) -> None:
    package = Path(str(import_module("api_client").__file__)).parent
    modules = {
        folder: {path.stem for path in (package / folder).glob("[!_]*.py")}
        for folder in ("api/item", "api/health")
    }

    assert modules == {
        "api/item": {
            *("create_item", "delete_item", "get_item", "list_item", "update_item"),
            "update_item_put",
        },
        "api/health": {"livez", "readyz"},
    }
    assert {*import_module("api_client.models").__all__} == {
        *("CreatedCount", "CreateItem", "Error", "ErrorDetails", "ErrorType", "Fault", "Item"),
        *(
            "ItemField",
            "ItemFields",
            "ItemSort",
            "Health",
            "HealthChecks",
            "HealthStatus",
            "Message",
            "Problem",
            "UpdateItem",
        ),
    }


def test_a_python_client_creates_reads_changes_and_deletes(python: Any) -> None:
    models = import_module("api_client.models")

    body = models.CreateItem(name="PostgreSQL", email="info@postgresql.example")
    created = operation("create_item").sync(client=python, body=body)
    read = operation("get_item").sync_detailed(created.id, client=python)
    tag = read.headers["ETag"]
    changed = operation("update_item").sync(
        created.id, client=python, body=models.UpdateItem(name="Postgres"), if_match=tag
    )
    stale = operation("update_item").sync(
        created.id, client=python, body=models.UpdateItem(name="Other"), if_match=tag
    )
    deleted = operation("delete_item").sync(created.id, client=python)

    assert isinstance(created, models.Item)
    assert read.parsed == models.ItemFields.from_dict(created.to_dict())
    assert (changed.id, changed.name, changed.email) == (created.id, "Postgres", created.email)
    assert changed.updated_at > changed.created_at
    assert (stale.error.code, stale.error.type_) == (412, "PreconditionFailed")
    assert deleted.message == f"Item with `id: {created.id}` has been deleted."


def test_a_python_client_lists_by_a_filter_page_by_page(python: Any) -> None:
    models, list_item = import_module("api_client.models"), operation("list_item")
    for number in range(3):
        body = models.CreateItem(name=f"Item {number}", email=f"{number}@item.example")
        operation("create_item").sync(client=python, body=body)
    other = models.CreateItem(name="Other", email="other@example.org")
    operation("create_item").sync(client=python, body=other)

    query = {"q": "item", "sort": [models.ItemSort.NAME_DESC], "limit": 2}
    first = list_item.sync_detailed(
        client=python, **query, only=[models.ItemField.NAME], prefer="count=exact"
    )
    [following] = re.findall(r'<([^>]+)>; rel="next"', first.headers["Link"])
    after = httpx.URL(following).params["after"]
    second = list_item.sync_detailed(client=python, **query, after=after)

    assert first.headers["X-Total-Count"] == "3"
    assert [record.to_dict() for record in first.parsed] == [{"name": "Item 2"}, {"name": "Item 1"}]
    assert [record.name for record in second.parsed] == ["Item 0"]
    assert 'rel="next"' not in second.headers["Link"]


def test_a_python_client_meets_errors(python: Any) -> None:
    models = import_module("api_client.models")
    body = models.CreateItem(name="x", email="x")

    invalid = operation("create_item").sync_detailed(client=python, body=body)
    missing = operation("get_item").sync_detailed(7, client=python)

    assert invalid.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    error = invalid.parsed.error
    assert error.type_ is models.ErrorType.INVALID_API_REQUEST
    assert all(isinstance(fault, models.Fault) for fault in error.errors)
    assert {fault.pointer for fault in error.errors} == {"/name", "/email"}
    assert error.message == [fault.message for fault in error.errors]
    assert missing.status_code == HTTPStatus.NOT_FOUND
    assert missing.parsed.error.type_ == "RecordNotFound"
    assert missing.parsed.error.request_id == missing.headers["X-Request-ID"]


def test_a_typescript_client_has_the_types_of_the_contract(typescript: Path) -> None:
    run_node(typescript, "node_modules/typescript/bin/tsc", "--noEmit", "--project", ".")

    program = (typescript / "client.ts").read_text()
    (typescript / "client.ts").write_text(program.replace('"id", "name"]', '"id", "nmae"]'))
    with pytest.raises(AssertionError, match='"nmae"'):
        run_node(typescript, "node_modules/typescript/bin/tsc", "--noEmit", "--project", ".")
    (typescript / "client.ts").write_text(program)


def test_a_typescript_client_works(
    typescript: Path, service: Service, empty_database: None
) -> None:
    seen = json.loads(run_node(typescript, "client.ts", service.url, KEY))

    assert seen == {
        "names": ["nginx", "PostgreSQL"],
        "changed": "NGINX",
        "stale": "PreconditionFailed",
        "deleted": "Item with `id: 1` has been deleted.",
        "gone": "RecordNotFound",
        "refused": ["/name", "/email", "/email"],
    }
