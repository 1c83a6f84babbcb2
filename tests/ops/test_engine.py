"""Docker that is missing, forbidden, hangs or is old: each command says so, and which."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ops import modes
from ops.console import CommandError
from ops.containers import compose, engine, passwords
from ops.containers import stack as containers
from ops.containers.engine import EngineError
from ops.local import stack
from service.settings import ROOT, Settings

Fake = Callable[[str], None]

DENIED = (
    "permission denied while trying to connect to the Docker daemon socket at "
    "unix:///var/run/docker.sock: Get http://%2Fvar%2Frun%2Fdocker.sock/v1.50/containers/json: "
    "dial unix /var/run/docker.sock: connect: permission denied"
)
# Like an engine that hangs: docker waits for its plugin, which waits forever.
HANGS = 'sleep 600 & echo $! >"$0.pid"; wait'
# Fakes that do not answer, each with the message for the user.
SILENT = {
    f"echo '{DENIED}' >&2; exit 1": "permission denied: /var/run/docker.sock",
    HANGS: "did not answer within",
    "echo 'Cannot connect to the Docker daemon at tcp://10.0.0.1:2375. Is the docker daemon "
    "running?' >&2; exit 1": "tcp://10.0.0.1:2375",
    "echo 'error during connect: ssh: Connection refused' >&2; exit 1": "Connection refused",
    "exit 1": "no message",
}
STOPPED = {
    "echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker "
    "daemon running?' >&2; exit 1": "does not run",
    "echo 'failed to connect to the docker API at unix:///var/run/docker.sock; check if the path "
    "is correct and if the daemon is running: dial unix /var/run/docker.sock: connect: no such "
    "file or directory' >&2; exit 1": "does not run",
}
STOPPED[
    "printf '\\nThe command docker could not be found in this WSL 2 distro.\\nhttps://x\\n'; exit 1"
] = "WSL integration"
# An engine that answers, with a compose that will not do.
UNFIT = {
    "[ $1 = ps ] || { echo \"docker: 'compose' is not a docker command.\" >&2; exit 1; }": (
        "plugin compose is not installed"
    ),
    "[ $1 = ps ] || echo 1.29.2": "is 1.29.2",
    "[ $1 = ps ] || echo v2.19.1": "is v2.19.1",
    "[ $1 = ps ] || echo podman": "is podman",
    f"[ $1 = ps ] || {{ {HANGS}; }}": "did not answer within",
}
SERVICES = [
    {"Name": "x-api-1", "Service": "api", "State": "running", "Health": "healthy", "ExitCode": 0},
    {"Name": "x-roles-1", "Service": "roles", "State": "exited", "Health": "", "ExitCode": 0},
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """Return what puts a script in the place of docker, in a project without `.env`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for module in (compose, passwords):
        monkeypatch.setattr(module, "ENV_FILE", tmp_path / ".env")
    monkeypatch.setattr(engine, "ASK_SECONDS", 0.5)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def write(script: str) -> None:
        (programs / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "docker").chmod(0o755)

    return write


@pytest.mark.parametrize("where", ["docker", "observe"])
@pytest.mark.parametrize("script", SILENT | STOPPED | UNFIT)
def test_up_in_containers_says_why_it_is_impossible(
    fake: Fake, settings: Settings, script: str, where: str
) -> None:
    fake(script)

    with pytest.raises(EngineError, match=(SILENT | STOPPED | UNFIT)[script]):
        modes.up(settings, [where])


@pytest.mark.parametrize("script", SILENT | STOPPED | UNFIT)
def test_up_says_why_it_starts_local_processes(
    fake: Fake,
    settings: Settings,
    script: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake(script)
    monkeypatch.setattr(stack, "up", lambda _settings: 0)

    assert modes.up(settings, []) == 0
    printed = capsys.readouterr().out
    assert (SILENT | STOPPED | UNFIT)[script] in printed
    assert "Starting local processes instead." in printed


@pytest.mark.parametrize("script", SILENT)
@pytest.mark.parametrize("command", [modes.down, modes.ps])
def test_running_containers_are_not_guessed(
    fake: Fake,
    settings: Settings,
    command: Callable[[Settings, list[str]], int],
    script: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    fake(script)
    passwords.write(list(passwords.NAMES), {}, tmp_path / ".env")

    with pytest.raises(EngineError, match=SILENT[script]):
        command(settings, [])
    assert "Nothing is running" not in capsys.readouterr().out


@pytest.mark.parametrize("script", SILENT | STOPPED)
def test_in_a_folder_that_was_never_used_for_containers_nothing_runs(
    fake: Fake, settings: Settings, script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(script)

    assert modes.down(settings, []) == 0
    assert "Nothing is running" in capsys.readouterr().out


@pytest.mark.parametrize("script", STOPPED)
def test_on_an_engine_that_is_stopped_nothing_runs(
    fake: Fake, settings: Settings, script: str, tmp_path: Path
) -> None:
    fake(script)
    passwords.write(list(passwords.NAMES), {}, tmp_path / ".env")

    assert modes.down(settings, []) == 0


def test_without_docker_up_starts_local_processes_without_a_word(
    fake: Fake,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(stack, "up", lambda _settings: 0)

    assert modes.up(settings, []) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("script", SILENT)
def test_a_command_takes_no_other_database_than_that_of_the_containers(
    fake: Fake, settings: Settings, script: str, tmp_path: Path
) -> None:
    fake(script)

    assert modes.in_containers(settings) is False
    passwords.write(list(passwords.NAMES), {}, tmp_path / ".env")
    with pytest.raises(EngineError, match=SILENT[script]):
        modes.in_containers(settings)


def test_nothing_stays_of_a_question_without_an_answer(fake: Fake, tmp_path: Path) -> None:
    fake(HANGS)

    with pytest.raises(EngineError):
        engine.containers()
    plugin = int((tmp_path / "bin" / "docker.pid").read_text())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(plugin) and psutil.Process(plugin).status() != "zombie":
        assert time.monotonic() < deadline
        time.sleep(0.01)  # The kernel removes it in its own time.


@pytest.mark.parametrize(
    "listed", [json.dumps(SERVICES), "\n".join(map(json.dumps, SERVICES))], ids=["2.20", "2.21"]
)
def test_ps_reads_what_any_compose_lists(
    fake: Fake, capsys: pytest.CaptureFixture[str], listed: str
) -> None:
    fake(f"echo '{listed}'")

    assert containers.ps() == 0
    assert capsys.readouterr().out.split() == ["x-api-1", "running", "x-roles-1", "exited"]


def test_containers_of_this_folder_without_compose_are_seen(
    fake: Fake, settings: Settings, tmp_path: Path
) -> None:
    passwords.write(list(passwords.NAMES), {}, tmp_path / ".env")
    project = compose.folder_name(ROOT)
    fake(f"[ $1 = ps ] || exit 1; printf '%s\\t%s\\n' '{project}' '{ROOT}'")

    with pytest.raises(CommandError, match="plugin compose is not installed"):
        modes.down(settings, [])


def test_a_container_that_docker_runs_from_the_image_of_a_project_is_not_its_stack(
    fake: Fake, settings: Settings
) -> None:
    """It has the label of the image, and no folder: not that of the command either."""
    fake(f"[ $1 = ps ] || exit 1; printf '%s\\t\\n' '{compose.folder_name(ROOT)}'")

    assert not compose.runs()
    assert not modes.containers_run(settings)


def test_docker_gets_what_it_needs_and_nothing_of_other_projects(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    foreign = {
        *("COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "DATABASE_URL", "PWD"),
        *("POSTGRES_PASSWORD", "API_PASSWORD", "PGPASSWORD", "IMAGE_TAG", "BUILD_ENVIRONMENT"),
        *("DOCKER_BUILDKIT", "PYTHONPATH"),
    }
    needed = {"DOCKER_HOST", "DOCKER_CONTEXT", "HTTPS_PROXY", "no_proxy", "CORS_ORIGINS"}
    for name in foreign | needed:
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("http_port", "81")
    monkeypatch.setenv("LOG_LEVEL", "")
    (tmp_path / ".env").write_text("log_level=debug\nCORS_ORIGINS=x\nCOMPOSE_PROJECT_NAME=own\n")
    fake('env >"$0.env"')
    compose.run("ps")
    lines = (tmp_path / "bin" / "docker.env").read_text().splitlines()
    values = dict(line.partition("=")[::2] for line in lines)

    assert {name for name in foreign if values.get(name) == "elsewhere"} - {"PWD"} == set()
    assert {name for name in needed if values.get(name) != "elsewhere"} == set()
    assert (values["HTTP_PORT"], values["LOG_LEVEL"]) == ("81", "debug")
    assert values["COMPOSE_PROJECT_NAME"] == "own"


@pytest.mark.parametrize(
    ("name", "project"),
    [
        ("flusk", "flusk"),
        ("my-api_2", "my-api_2"),
        ("C#", "c-"),
        ("R&D", "rd-"),
        ("it's", "its-"),
        ("x(1)", "x1-"),
        ("feature%2Fx", "feature2fx-"),
        ("My Project", "myproject-"),
        ("@#$", "flusk-"),
        ("ÄÖ", "flusk-"),
    ],
)
def test_a_folder_of_any_name_is_a_project(name: str, project: str) -> None:
    found = compose.new_name(Path("/a") / name)

    assert found == project or found.startswith(project)
    assert found == compose.new_name(Path("/a") / name)
    if found != name:
        assert found != compose.new_name(Path("/b") / name)
