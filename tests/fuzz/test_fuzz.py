"""Schemathesis in its short form, with the same requests every time."""

import json
from pathlib import Path

import httpx
import pytest

from tests.fuzz.runs import KEYS, fuzz
from tests.socket.conftest import running

LEAST = 100
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.mark.parametrize("which", KEYS)
def test_nothing_but_documented_answers(
    tmp_path: Path, database_url: str, empty_database: None, which: str
) -> None:
    # Without the right key most requests have one answer.
    examples = "20" if which == "right" else "5"
    options = ("--max-examples", examples, "--generation-deterministic")
    with running(tmp_path, database_url, APP_ENV="production") as service:
        run = fuzz(service, tmp_path, KEYS[which], *options)
        document = httpx.get(f"{service.url}/openapi.json").json()
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    operations = [one for path in document["paths"].values() for one in METHODS & path.keys()]
    answered = {line["status"] for line in lines if line["event"] == "request"}

    assert run.passed, run.output
    assert run.cases >= LEAST
    assert run.operations == len(operations)
    assert answered
    assert [line for line in lines if line["level"] == "error"] == []
    assert (answered >= {200, 201, 404, 422}) == (which == "right")
    assert (401 in answered) or which == "right"
