"""`just up` and what one does with a running stack."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest

from ops.local import processes
from ops.local.readiness import ask
from ops.ports import has_address
from service.common.embedded import start_server
from tests.ops.project import ONE_STACK, Project, serve_items
from tests.ports import refusing_port
from tests.waiting import SECONDS


def eventually(is_true: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_ready(project: Project) -> bool:
    return ask(f"{project.url}/readyz") == "200"


def shell(line: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f"{line} -sS --fail-with-body"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def curl_lines(output: str) -> list[str]:
    return re.findall(r"curl .*", output)


def pid_of(project: Project, program: str) -> int:
    found = re.search(rf"{program} .*pid (\d+)", project.just("ps").stdout)
    return int(found[1]) if found else 0


def runs_nginx(project: Project) -> bool:
    return re.search("nginx +RUNNING", project.just("ps").stdout) is not None


def can_connect(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_the_printed_curl_lines_work_and_a_second_up_is_harmless(running: Project) -> None:
    again = running.just("up", "local")
    create, read = curl_lines(again.stdout)
    created, found = shell(create), shell(read)

    assert again.returncode == 0
    assert running.url in again.stdout
    assert "`./just down`" in again.stdout
    assert (created.returncode, found.returncode) == (0, 0), created.stderr + found.stderr
    assert "info@postgresql.example" in found.stdout


def test_ps_lists_the_programs(running: Project, request: pytest.FixtureRequest) -> None:
    listed = running.just("ps")

    assert listed.returncode == 0
    assert re.search(r"api +RUNNING", listed.stdout)
    assert re.search(r"postgres +RUNNING", listed.stdout)
    assert ("nginx" in listed.stdout) == (request.node.callspec.params["running"] == "nginx")


@ONE_STACK
def test_psql_reads_the_database_of_the_stack(running: Project) -> None:
    found = running.just("psql", "-tAc", "select 'a b', count(*) >= 0 from item")
    refused = running.just("psql", "-c", "select nonsense", "-v", "ON_ERROR_STOP=1")

    assert (found.returncode, found.stdout) == (0, "a b|t\n"), found.stderr
    assert refused.returncode != 0


def test_the_front_listens_on_both_loopback_addresses(running: Project) -> None:
    if not has_address("::1"):
        pytest.skip("this machine has no IPv6")

    assert ask(f"http://[::1]:{running.port}/readyz") == "200"
    assert is_ready(running)


@ONE_STACK
def test_every_program_has_a_log(running: Project) -> None:
    logs = running.directory / ".local" / "logs"

    assert {"api.log", "migrate.log", "postgres.log"} <= {log.name for log in logs.iterdir()}
    assert (logs / "api.log").read_text()


def test_the_log_of_the_service_has_the_address_of_the_client(running: Project) -> None:
    address, name = "127.0.0.2", uuid4().hex
    if not has_address(address):
        pytest.skip(f"this machine has no {address}")
    headers = {"X-Request-ID": name, "X-Forwarded-For": "192.0.2.7"}
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address)) as client:
        client.get(f"http://127.0.0.1:{running.port}/livez", headers=headers)
    log = running.directory / ".local" / "logs" / "api.log"

    assert eventually(lambda: name in log.read_text())
    [line] = [line for line in log.read_text().splitlines() if name in line]
    assert f"client={address} " in line


def test_logs_are_for_their_owner_alone(running: Project) -> None:
    state = running.directory / ".local"
    folders = {name: stat.S_IMODE((state / name).stat().st_mode) for name in ("logs", "postgres")}
    logs = [*(state / "logs").iterdir(), state / "postgres" / "log"]

    assert {stat.S_IMODE(log.stat().st_mode) for log in logs} == {0o600}
    assert set(folders.values()) == {0o700}
    if runs_nginx(running):
        assert stat.S_IMODE((state / "nginx").stat().st_mode) == 0o700


def test_a_value_of_a_record_or_a_query_string_is_in_no_log(running: Project) -> None:
    email = "very-secret@example.org"
    record = {"name": "Secret", "email": email}
    created = httpx.post(f"{running.url}/item", json=record)
    again = httpx.post(f"{running.url}/item", json=record)
    lines = httpx.post(
        f"{running.url}/item",
        content=f"name,email\nSecret,{email}\n",
        headers={"Content-Type": "text/csv"},
    )
    found = httpx.get(f"{running.url}/item", params={"email": email})
    httpx.delete(f"{running.url}{created.headers['Location']}").raise_for_status()
    state = running.directory / ".local"

    assert (created.status_code, again.status_code, lines.status_code) == (201, 409, 422)
    assert len(found.json()) == 1
    for log in (*(state / "logs").iterdir(), state / "postgres" / "log"):
        assert "very-secret" not in log.read_text(), log


def test_logs_that_an_earlier_version_made_become_private(project: Project) -> None:
    logs = project.directory / ".local" / "logs"
    logs.mkdir(parents=True)
    old = [logs / "api.log.1", logs / "migrate.log"]
    for log in old:
        log.write_text("old\n" * 1000)
        log.chmod(0o644)
    started = project.just("up", "local")

    assert started.returncode == 0, started.stderr
    assert [stat.S_IMODE(log.stat().st_mode) for log in old] == [0o600, 0o600]
    assert "old" not in old[1].read_text()


@ONE_STACK
def test_nothing_is_pending_after_up(running: Project) -> None:
    printed = running.just("migrate-sql")

    assert printed.returncode == 0, printed.stderr
    assert "Nothing is pending" in printed.stdout


def test_nginx_refuses_a_huge_body_with_the_envelope(running: Project) -> None:
    if not runs_nginx(running):
        pytest.skip("nginx does not run")
    with socket.create_connection(("127.0.0.1", running.port), timeout=SECONDS) as client:
        client.sendall(b"POST /item HTTP/1.1\r\nHost: a\r\nX-Request-ID: mine\r\n")
        client.sendall(b"Content-Length: 99999999999\r\n\r\n")
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    error = json.loads(body)["error"]

    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"Content-Type: application/json\r\n" in head
    assert b"X-Request-ID: mine" in head
    assert (error["code"], error["type"], error["request_id"]) == (413, "InvalidAPIRequest", "mine")


@ONE_STACK
@pytest.mark.parametrize("program", ["api", "postgres"])
def test_a_killed_program_is_started_again(running: Project, program: str) -> None:
    before = pid_of(running, program)
    os.kill(before, signal.SIGKILL)

    assert eventually(lambda: pid_of(running, program) not in {0, before})
    assert eventually(lambda: is_ready(running))
    assert eventually(lambda: running.just("ps").returncode == 0)


@ONE_STACK
def test_a_killed_database_server_is_started_again(running: Project) -> None:
    postmaster = running.directory / ".local" / "postgres" / "postmaster.pid"
    before = int(postmaster.read_text().splitlines()[0])
    psutil.Process(before).kill()

    assert eventually(
        lambda: str(before) not in postmaster.read_text() if postmaster.exists() else False
    )
    assert eventually(lambda: is_ready(running))

    told = running.just("doctor").stdout
    assert "`postgres` runs, but it ended at" in told
    assert re.search("ok +ready", told)


def test_processes_of_a_killed_supervisor_are_stopped(project: Project) -> None:
    def kill_supervisor() -> None:
        supervisor = int((project.directory / ".local" / "supervisor.pid").read_text())
        psutil.Process(supervisor).kill()

    assert project.just("up", "local").returncode == 0
    well = project.just("doctor")
    kill_supervisor()
    orphans = project.just("doctor")
    again = project.just("up", "local")
    assert (again.returncode, is_ready(project)) == (0, True), again.stderr
    kill_supervisor()
    stopped = project.just("down")

    assert re.search("ok +stack +api, .*\nok +ready .*\nok +port ", well.stdout)
    assert orphans.returncode == 1
    told = "The supervisor of the stack has ended, and these processes"
    # In whole: pytest shows only the beginning and the end of what the command printed.
    assert told in orphans.stdout, f"\n{orphans.stdout}{orphans.stderr}"
    assert stopped.returncode == 0, stopped.stderr
    assert "Stopped processes of an earlier start." in stopped.stdout
    assert project.processes() == []


def test_a_process_of_an_earlier_start_that_ignores_the_signal_has_exited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LEFT_OVER_SECONDS", 1)
    code = "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"
    environment = {**os.environ, "STATE_DIR": str(tmp_path), "SUPERVISOR_ENABLED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE
    ) as ignoring:
        assert ignoring.stdout
        ignoring.stdout.readline()
        ended = processes.end_left_over(tmp_path)
        left = processes.left_over(tmp_path)

    assert ended
    assert left == []


def test_a_folder_of_other_things_is_no_state_directory(project: Project, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    (other / "file").touch()
    refused = project.just("ps", STATE_DIR=str(other))

    assert refused.returncode == 1
    assert "has other content" in refused.stderr
    assert (other.stat().st_mode & 0o777, [*other.iterdir()]) == (0o755, [other / "file"])


def test_the_folder_of_a_service_without_a_stack_is_a_state_directory(
    project: Project, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    start_server(state / "postgres").close()
    listed = project.just("ps", STATE_DIR=str(state))

    assert "has other content" not in listed.stderr


@ONE_STACK
def test_data_survive_down_and_up_and_nothing_is_left_between(running: Project) -> None:
    shell(curl_lines(running.just("up", "local").stdout)[0])
    stopped = running.just("down")
    left, listening = running.processes(), can_connect(running.port)
    idle = running.just("down")
    nothing = running.just("ps")
    started = running.just("up", "local")
    found = shell(curl_lines(started.stdout)[1])

    assert stopped.returncode == 0, stopped.stderr
    assert (left, listening) == ([], False)
    assert (idle.returncode, idle.stdout) == (0, "Nothing is running.\n")
    assert "Nothing is running." in nothing.stdout
    assert started.returncode == 0, started.stderr
    assert "info@postgresql.example" in found.stdout


def test_a_stack_with_a_key_prints_lines_that_work(project: Project) -> None:
    serve_items(project)
    started = project.just("up", "local", SECURE_API_KEY="it's a secret $HOME")
    _create, read = curl_lines(started.stdout)

    assert started.returncode == 0, started.stderr
    assert shell(read).stdout.strip() == "[]"
    assert shell(f"curl {project.url}/item").returncode != 0


def test_a_taken_port_is_named_and_nothing_is_left(project: Project) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", project.port))
        other.listen()
        refused = project.just("up", "local")

    assert refused.returncode == 1
    assert f"Port {project.port} is taken" in refused.stderr
    assert "HTTP_PORT=" in refused.stderr
    assert project.processes() == []


def test_an_unreachable_database_is_a_clear_error_and_nothing_is_left(project: Project) -> None:
    url = f"postgresql://somebody:very-secret@127.0.0.1:{refusing_port()}/somewhere"
    refused = project.just("up", "local", DATABASE_URL=url)

    assert refused.returncode == 1
    assert "DATABASE_URL" in refused.stderr
    assert "very-secret" not in refused.stdout + refused.stderr
    assert project.processes() == []
    assert not can_connect(project.port)


# Supervisor takes a process for started that lives longer than `startsecs`.
@pytest.mark.parametrize("seconds", [0, 3])
def test_a_service_that_does_not_start_shows_its_log_and_leaves_nothing(
    project: Project, seconds: int
) -> None:
    (project.directory / "service" / "__main__.py").write_text(
        f"import time\ntime.sleep({seconds})\nraise SystemExit('Broken on purpose.')\n"
    )
    refused = project.just("up", "local")

    assert refused.returncode == 1
    assert "`api`" in refused.stderr
    assert "Broken on purpose." in refused.stderr
    assert project.processes() == []
    assert not can_connect(project.port)


def test_a_wrong_setting_is_one_line(project: Project) -> None:
    refused = project.just("up", "local", HTTP_PORT="many")

    assert refused.returncode == 1
    assert "HTTP_PORT" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("docker", "Docker engine"),
        ("elsewhere", "Unknown argument 'elsewhere'"),
    ],
)
def test_an_unresolved_reference_is_reported(project: Project, where: str, sentence: str) -> None:
    refused = project.just("up", where, DOCKER_HOST="unix:///nowhere")

    assert refused.returncode == 1
    assert sentence in refused.stderr


def test_without_an_engine_the_stack_is_local_and_its_data_can_be_backed_up(
    project: Project, tmp_path: Path
) -> None:
    serve_items(project)
    started = project.just("up", DOCKER_HOST="unix:///nowhere")
    try:
        shell(curl_lines(started.stdout)[0])
        stored = shell(f"curl {project.url}/item").stdout
        saved = project.just("backup", str(tmp_path / "a.dump"))
        shell(f"curl -X DELETE {project.url}/item/1")
        restored = project.just("restore", str(tmp_path / "a.dump"))

        assert (saved.returncode, restored.returncode) == (0, 0), restored.stderr
        assert "info@postgresql.example" in stored
        assert shell(f"curl {project.url}/item").stdout == stored
        assert project.just("restore", str(tmp_path / "none")).returncode == 1
    finally:
        project.just("down")


def test_a_revision_is_made_without_any_database_of_the_person(project: Project) -> None:
    made = project.just("revision", "nothing new", DATABASE_URL="postgresql://nobody@127.0.0.1:1/x")
    [script] = (project.directory / "migrations" / "versions").glob("*_nothing_new.py")

    assert made.returncode == 0, made.stderr
    assert '"""nothing new.' in script.read_text()
    assert "create_table" not in script.read_text()
