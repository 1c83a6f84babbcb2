"""`python -m service.maintenance` as a process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.settings import ROOT
from tests.ports import free_port
from tests.waiting import SECONDS, wait_until


def start(
    directory: Path, url: str, *arguments: str, **settings: str
) -> tuple[subprocess.Popen[bytes], Path]:
    log = directory / "maintenance.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.maintenance", *arguments],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": url, "LOG_FORMAT": "json"} | settings,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return process, log


def test_once_runs_the_jobs_one_time(tmp_path: Path, database_url: str) -> None:
    process, log = start(tmp_path, database_url, "--once")

    assert process.wait(SECONDS) == 0
    [line] = map(json.loads, log.read_text().splitlines())
    assert (line["event"], line["deleted_idempotency_keys"]) == ("maintenance done", 0)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_the_jobs_run_until_a_signal(
    tmp_path: Path, database_url: str, end: signal.Signals
) -> None:
    process, log = start(tmp_path, database_url)
    deadline = time.monotonic() + SECONDS
    while "maintenance done" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)  # Between two looks, not instead of one.
    process.send_signal(end)

    assert process.wait(SECONDS) == 0


def test_a_failed_run_is_logged_and_is_the_exit_code(tmp_path: Path) -> None:
    process, log = start(tmp_path, f"postgresql://x@/x?host={tmp_path}", "--once")

    assert process.wait(SECONDS) == 1
    [line] = map(json.loads, log.read_text().splitlines())
    assert (line["event"], line["level"]) == ("maintenance failed", "warning")


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    process, log = start(tmp_path, "nonsense")

    assert process.wait(SECONDS) == 1
    assert log.read_text().startswith("DATABASE_URL")
    assert log.read_text().count("\n") == 1


def test_the_metrics_have_the_last_success(tmp_path: Path, database_url: str) -> None:
    bind = f"127.0.0.1:{free_port()}"
    process, log = start(tmp_path, database_url, METRICS_BIND=bind)
    try:
        wait_until(lambda: "maintenance done" in log.read_text())
        with urlopen(f"http://{bind}/metrics") as response:  # Of this machine.
            text = response.read().decode()
    finally:
        process.terminate()
        process.wait(SECONDS)

    found = {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("maintenance")
    }
    assert found["maintenance_runs_total"] == 1
    assert found["maintenance_deleted_rows_total"] == 0
    assert "http_server" not in text
    assert time.time() - found["maintenance_last_success_timestamp_seconds"] < SECONDS
