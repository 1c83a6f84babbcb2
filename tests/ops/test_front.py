"""Which nginx serves, and on which addresses the stack listens."""

import socket
from pathlib import Path

import httpx
import pytest

from ops import executables, ports
from ops.console import CommandError
from ops.local import front, nginx, programs
from service.settings import ROOT, Settings
from tests.ops.project import Project, fake_program, hide_nginx
from tests.ports import free_port

KEY = "k" * 16
REFUSING = """case "$*" in
    -v) echo nginx version: nginx/1.22.1 >&2 ;;
    *) echo 'nginx: [alert] could not open error log file
nginx: [emerg] unknown directive "limit_req" in x
nginx: configuration file x test failed' >&2; exit 1 ;;
esac"""
needs_ipv6 = pytest.mark.skipif(not ports.has_address("::1"), reason="this machine has no IPv6")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the one folder beyond PATH where programs are looked for."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(executables, "MORE_FOLDERS", (str(tmp_path / "sbin"),))
    return tmp_path


def test_nginx_is_found_beyond_path(folders: Path) -> None:
    fake_program(folders / "sbin", "nginx", "echo 'nginx version: nginx/1.22.1' >&2")

    assert nginx.find() == nginx.Nginx(str(folders / "sbin" / "nginx"), (1, 22, 1))


def test_nginx_on_path_comes_first(folders: Path) -> None:
    fake_program(folders / "sbin", "nginx", "echo 'nginx version: nginx/1.22.1' >&2")
    fake_program(folders / "path", "nginx", "echo 'nginx version: nginx/1.30.0' >&2")

    assert nginx.find().version == (1, 30, 0)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "nginx is not installed: it is not on PATH or in the usual folders. "),
        ("echo 'nginx version: nginx/1.16.1' >&2", "is nginx 1.16.1; nginx 1.18.0 or later"),
        ("echo 'nginx: error while loading libssl' >&2; exit 127", "while loading libssl. The"),
        ("exit 1", "it prints no reason. The"),
        (
            REFUSING,
            'rejects its configuration: nginx: [emerg] unknown directive "limit_req" in x. ',
        ),
    ],
)
def test_without_a_usable_nginx_the_service_is_the_front_and_says_why(
    folders: Path, script: str | None, reason: str
) -> None:
    if script is not None:
        fake_program(folders / "path", "nginx", script)
    settings = Settings(http_port=free_port(), http_host="127.0.0.2")
    choice = programs.choose(settings, folders)
    [api] = [program for program in choice.programs if program.name == "api"]

    assert reason in choice.note
    assert choice.note.endswith(programs.WITHOUT_NGINX)
    assert [program.name for program in choice.programs] == ["postgres", "api", "maintenance"]
    assert api.environment["BIND"] == f"127.0.0.2:{settings.http_port}"
    assert "TRUSTED_PROXIES" not in api.environment


def test_a_file_that_is_no_program_is_a_reason(folders: Path) -> None:
    (folders / "path").mkdir()
    (folders / "path" / "nginx").write_bytes(b"\x7fELF of another machine")
    (folders / "path" / "nginx").chmod(0o755)

    with pytest.raises(nginx.UnusableError, match=r"does not run: Exec format error\."):
        nginx.find()


@pytest.mark.parametrize(
    ("version", "options", "newer"),
    [((1, 18, 0), 0, ""), ((1, 22, 1), 2, ""), ((1, 30, 6), 2, nginx.KEEPALIVE_MINIMUM[1])],
)
def test_each_version_gets_directives_that_it_knows(
    tmp_path: Path, version: tuple[int, ...], options: int, newer: str
) -> None:
    found = nginx.Nginx("nginx", version)

    assert found.command(tmp_path).count("-e") == options / 2
    assert found.newer_directives == newer


@pytest.mark.parametrize(
    ("host", "hosts", "url"),
    [
        pytest.param("127.0.0.1", ["127.0.0.1", "::1"], "http://127.0.0.1:81", marks=needs_ipv6),
        ("127.0.0.2", ["127.0.0.2"], "http://127.0.0.2:81"),
        ("::1", ["::1"], "http://[::1]:81"),
        ("0.0.0.0", ["0.0.0.0"], "http://localhost:81"),
        ("::", ["::"], "http://localhost:81"),
    ],
)
def test_the_front_has_an_address_that_can_be_visited(
    host: str, hosts: list[str], url: str
) -> None:
    settings = Settings(http_host=host, http_port=81, secure_api_key=KEY)

    assert front.hosts(settings) == hosts
    assert front.url(settings) == url


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),
        ("0.0.0.0", "127.0.0.1"),
        pytest.param("127.0.0.1", "::1", marks=needs_ipv6),
        pytest.param("127.0.0.1", "::", marks=needs_ipv6),
        pytest.param("::", "127.0.0.1", marks=needs_ipv6),
        pytest.param("::", "::1", marks=needs_ipv6),
    ],
)
def test_a_port_that_is_taken_on_any_address_of_the_front_is_one_sentence(
    host: str, taken: str
) -> None:
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    with socket.create_server((taken, 0), family=family) as other:
        port = other.getsockname()[1]
        settings = Settings(http_host=host, http_port=port, secure_api_key=KEY)
        with pytest.raises(CommandError, match=f"^Port {port} is taken by another program, on "):
            ports.require_free(port, front.hosts(settings))


def test_a_port_of_grafana_that_is_taken_names_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CommandError, match=r": GRAFANA_PORT=\d+ \S+ up observe$"):
            ports.require_free(port, ["127.0.0.1"], "GRAFANA_PORT", "up observe")


def test_an_address_of_another_machine_is_one_sentence() -> None:
    with pytest.raises(
        CommandError, match=r"^HTTP_HOST: this machine can't listen on 192\.0\.2\.1"
    ):
        ports.require_free(free_port(), ["192.0.2.1"])


@pytest.mark.parametrize("bind", ["127.0.0.1:5000", "unix:/somewhere/it"])
def test_a_configured_address_is_kept_in_addition_to_the_front(folders: Path, bind: str) -> None:
    settings = Settings(bind=(bind,), http_host="127.0.0.2", http_port=81)
    [api] = [it for it in programs.choose(settings, folders).programs if it.name == "api"]

    assert api.environment["BIND"] == f"127.0.0.2:81,{bind}"


def test_an_address_of_the_front_is_not_duplicated(folders: Path) -> None:
    settings = Settings(bind=("127.0.0.2:81",), http_host="127.0.0.2", http_port=81)
    [api] = [it for it in programs.choose(settings, folders).programs if it.name == "api"]

    assert api.environment["BIND"] == "127.0.0.2:81"
    # As in the image.
    variables = api.environment.items() - {("BIND", "127.0.0.2:81")}
    image = (ROOT / "Dockerfile").read_text()
    assert variables
    assert all(f"{name}={value}" in image for name, value in variables)


def answers(host: str, port: int) -> bool:
    headers = {"X-API-Key": KEY}
    return httpx.get(f"http://{host}:{port}/docs", headers=headers).status_code == 200


@needs_ipv6
def test_without_nginx_the_service_answers_on_every_address_and_on_its_own(
    tmp_path: Path, project: Project
) -> None:
    project.environment["PATH"] = hide_nginx(tmp_path, project.environment["PATH"])
    own = free_port()
    settings = {"HTTP_HOST": "::", "BIND": f"127.0.0.1:{own}", "SECURE_API_KEY": KEY}
    started = project.just("up", "local", **settings)

    assert started.returncode == 0, started.stderr
    assert all(answers(*at) for at in (("127.0.0.1", project.port), ("[::1]", project.port)))
    assert answers("127.0.0.1", own)
    assert f"The service runs at http://localhost:{project.port}," in started.stdout
    assert f"http://{socket.gethostname()}:{project.port}" in started.stdout
    assert "is nginx 1.16.1; nginx 1.18.0 or later is needed. The service runs" in started.stdout
