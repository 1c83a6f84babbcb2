"""Schemathesis in its short form on every blueprint of the service, also on one's own."""

import json
from pathlib import Path

from service.settings import ROOT
from tests.fuzz.runs import KEYS, fuzz
from tests.socket.conftest import running

METHODS = {"get", "post", "put", "patch", "delete"}


def test_each_operation_of_the_contract_answers_as_documented(
    tmp_path: Path, database_url: str, empty_database: None
) -> None:
    options = ("--max-examples", "5", "--generation-deterministic")
    with running(tmp_path, database_url, ("-m", "service"), APP_ENV="production") as service:
        run = fuzz(service, tmp_path, KEYS["right"], *options)
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    document = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
    operations = [one for path in document["paths"].values() for one in METHODS & path.keys()]

    assert run.passed, run.output
    assert run.operations == len(operations)
    assert [line for line in lines if line["level"] == "error"] == []
