"""Schemathesis in its short form, with the same requests every time."""

import json
from pathlib import Path

import pytest

from tests.fuzz.runs import KEYS, fuzz
from tests.socket.conftest import running

LEAST = 100


@pytest.mark.long
@pytest.mark.parametrize("which", ["right", "missing", "wrong"])
def test_nothing_but_documented_answers(
    tmp_path: Path, database_url: str, empty_database: None, which: str
) -> None:
    # Without the right key most requests have one answer.
    examples = "20" if which == "right" else "5"
    options = ("--max-examples", examples, "--generation-deterministic")
    with running(tmp_path, database_url, APP_ENV="production") as service:
        run = fuzz(service, tmp_path, KEYS[which], *options)
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    answered = {line["status"] for line in lines if line["event"] == "request"}

    assert run.passed, run.output
    assert run.cases >= LEAST
    assert answered
    assert [line for line in lines if line["level"] == "error"] == []
    assert (answered >= {200, 201, 404, 422}) == (which == "right")
    assert (401 in answered) or which == "right"
