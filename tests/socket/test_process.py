"""Starting and stopping `python -m service`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from service.common.embedded import start_server
from service.server.run import server_config
from service.settings import ROOT, Settings
from tests.conftest import migrate
from tests.factories import item
from tests.ports import free_port
from tests.socket.conftest import KEY, running
from tests.waiting import SECONDS

AUTH = {"X-API-Key": KEY}


def start(**settings: str) -> subprocess.CompletedProcess[str]:
    """Run a service that is not expected to start."""
    return subprocess.run(
        [sys.executable, "-m", "service"],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


MISSING = (
    "DATABASE_URL: missing. With APP_ENV=production set DATABASE_URL, or DATABASE_URL_FILE.\n"
    "SECURE_API_KEY: missing. With APP_ENV=production set SECURE_API_KEY, or SECURE_API_KEY_FILE."
)
OPEN = (
    "SECURE_API_KEY: is missing, and BIND=0.0.0.0:5000 is open to other machines."
    " Set a key, or use 127.0.0.1."
)
SHORT = {"APP_ENV": "production", "DATABASE_URL": "postgresql://x", "SECURE_API_KEY": "short"}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"APP_ENV": "production"}, MISSING),
        (SHORT, "SECURE_API_KEY: production needs at least 16 characters."),
        ({"BIND": "0.0.0.0:5000"}, OPEN),
        ({"BIND": "nonsense"}, "BIND: write HOST:PORT, [IPV6]:PORT or unix:/path."),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL: must begin with postgresql://."),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(settings: dict[str, str], line: str) -> None:
    result = start(**settings)

    assert result.returncode == 1
    assert (result.stdout, result.stderr) == ("", f"{line}\n")


def test_a_port_that_is_taken_stops_the_start_with_one_line(database_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        result = start(BIND=f"127.0.0.1:0,{bind}", DATABASE_URL=database_url)

    assert result.returncode == 1
    assert result.stderr.startswith(f"BIND: can't listen on {bind}: ")
    assert len(result.stderr.splitlines()) == 1


def test_addresses_that_overlap_stop_the_start_with_one_line(database_url: str) -> None:
    port = free_port()
    result = start(
        BIND=f"127.0.0.1:{port},0.0.0.0:{port}", DATABASE_URL=database_url, SECURE_API_KEY=KEY
    )

    assert result.returncode == 1
    assert result.stderr == f"BIND: can't listen on 0.0.0.0:{port}: Address already in use.\n"


def test_it_listens_on_each_address(tmp_path: Path, database_url: str) -> None:
    path = tmp_path / "socket"
    with running(tmp_path, database_url, more=f"unix:{path}") as service:
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(transport=transport, base_url="http://localhost") as client:
            assert client.get("/livez").status_code == 200
        assert httpx.get(f"{service.url}/livez").status_code == 200
        service.process.terminate()
        service.process.wait(SECONDS)

    assert not path.exists()


def test_a_connection_is_kept_for_as_long_as_is_set() -> None:
    assert server_config(Settings(keep_alive_timeout=620)).keep_alive_timeout == 620


def test_a_restart_loses_nothing(tmp_path: Path, database_url: str, empty_database: None) -> None:
    with running(tmp_path, database_url) as service:
        created = httpx.post(f"{service.url}/item", json=item(), headers=AUTH).json()
    with running(tmp_path, database_url) as service:
        assert httpx.get(f"{service.url}/item", headers=AUTH).json() == [created]


def test_it_listens_on_a_unix_socket(tmp_path: Path, database_url: str) -> None:
    path = tmp_path / "s"
    process = subprocess.Popen(
        [sys.executable, "-m", "service"],
        cwd=ROOT,
        env=os.environ
        | {"BIND": f"unix:{path}", "DATABASE_URL": database_url, "DRAIN_SECONDS": "0"},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for_listener(path, process)
        transport = httpx.HTTPTransport(uds=str(path), retries=0)
        with httpx.Client(transport=transport, base_url="http://localhost") as client:
            response = client.get("/readyz")
        process.terminate()
        code = process.wait(SECONDS)
    finally:
        process.kill()
        process.wait()

    assert response.json()["status"] == "ready"
    assert code == 0


def wait_for_listener(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Return once a service that starts accepts connections."""
    deadline = time.monotonic() + SECONDS
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(path))
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
            else:
                return
        time.sleep(0.02)  # Between two looks, not instead of one.


def test_logs_in_production_are_one_object_a_line(tmp_path: Path, database_url: str) -> None:
    with running(tmp_path, database_url, APP_ENV="production") as service:
        httpx.get(f"{service.url}/item?q", headers=AUTH | {"X-Request-ID": "find-me"})
        service.process.terminate()
        service.process.wait(SECONDS)
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    [line] = [line for line in lines if line.get("request_id") == "find-me"]

    assert line["event"] == "request"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/item", 422)
    assert {"timestamp", "level", "milliseconds", "client"} <= line.keys()


def test_logs_in_development_are_for_reading(tmp_path: Path, database_url: str) -> None:
    with running(tmp_path, database_url) as service:
        httpx.get(f"{service.url}/item/99", headers=AUTH)
        service.process.terminate()
        service.process.wait(SECONDS)
        log = service.log.read_text()

    assert "request" in log
    assert "path=/item/99" in log
    assert not log.startswith("{")


def test_a_drain_answers_everything_and_ends(tmp_path: Path, database_url: str) -> None:
    with running(tmp_path, database_url, DRAIN_SECONDS="30") as service:
        with httpx.Client(base_url=service.url, headers=AUTH) as client:
            assert client.get("/readyz").status_code == 200
            service.process.send_signal(signal.SIGTERM)
            while client.get("/readyz").status_code != 503:
                time.sleep(0.01)
            response = client.get("/item")

            assert response.status_code == 200
            assert response.headers["Connection"] == "close"
        # The second signal ends the drain.
        service.process.send_signal(signal.SIGTERM)

        assert service.process.wait(SECONDS) == 0


def test_a_request_in_flight_is_finished_before_the_stop(tmp_path: Path, database_url: str) -> None:
    with running(tmp_path, database_url) as service:
        body = json.dumps(item()).encode()
        head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nX-API-Key: {KEY}"
        with socket.create_connection(("127.0.0.1", service.port), timeout=SECONDS) as connection:
            connection.sendall(f"POST /item HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
            service.process.terminate()
            service.wait_for("stopping")
            connection.sendall(body)
            answer = connection.recv(65536)

        assert answer.startswith(b"HTTP/1.1 201")
        assert b"connection: close" in answer.lower()
        assert service.process.wait(SECONDS) == 0


ENDLESS = """
import asyncio, sys
from service import create_app
from tests.served import main

def create(settings):
    app = create_app(settings)

    @app.get("/endless")
    async def endless():
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                print("not me", flush=True)

    return app

sys.exit(main(create))
"""


def test_a_handler_that_never_ends_can_not_hold_up_the_stop(
    tmp_path: Path, database_url: str
) -> None:
    program = ("-c", ENDLESS)
    with (
        running(tmp_path, database_url, program=program, REQUEST_TIMEOUT="0.5") as service,
        socket.create_connection(("127.0.0.1", service.port)) as connection,
    ):
        connection.sendall(f"GET /endless HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n".encode())
        service.wait_for("not me")
        service.process.terminate()

        assert service.process.wait(SECONDS) == 1


def test_two_processes_share_the_embedded_database_and_keep_its_data(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with start_server(state / "postgres") as server:
        migrate(server.url())
    with running(tmp_path, "", STATE_DIR=str(state)) as one:
        with running(tmp_path, "", STATE_DIR=str(state)) as two:
            created = httpx.post(f"{one.url}/item", json=item(), headers=AUTH).json()

            assert httpx.get(f"{two.url}/item", headers=AUTH).json() == [created]
            two.process.terminate()
            two.process.wait(SECONDS)
        assert httpx.get(f"{one.url}/item", headers=AUTH).json() == [created]
        one.process.terminate()
        one.process.wait(SECONDS)
    with running(tmp_path, "", STATE_DIR=str(state)) as three:
        assert httpx.get(f"{three.url}/item", headers=AUTH).json() == [created]
        three.process.terminate()
        three.process.wait(SECONDS)

    assert not (state / "postgres" / "postmaster.pid").exists()
