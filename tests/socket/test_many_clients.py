"""More clients than the service has places for, over real connections."""

import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.limits import WAITING_CONNECTIONS
from service.server.run import FEWEST_WAITING, reserve_descriptors
from service.settings.secret_files import SettingsError
from tests.socket.conftest import KEY, Service, running

PLACES = 10


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Service]:
    """Return a service with few places."""
    directory = tmp_path_factory.mktemp("small")
    with running(directory, database_url, MAX_CONNECTIONS=str(PLACES)) as service:
        yield service


@pytest.mark.limit("CONNECTIONS", "QUEUE_SECONDS")
def test_beyond_the_limit_a_request_is_refused_and_health_is_answered(small: Service) -> None:
    headers = {"X-API-Key": KEY}
    clients = [httpx.Client(base_url=small.url, headers=headers) for _ in range(PLACES)]
    served = [client.get("/item").status_code for client in clients]
    beyond = httpx.get(f"{small.url}/item", headers={**headers, "X-Request-ID": "beyond"})
    health = [httpx.get(f"{small.url}{path}").status_code for path in ("/livez", "/readyz")]
    clients[0].close()
    again = httpx.get(f"{small.url}/item", headers=headers)
    for client in clients:
        client.close()

    assert served == [200] * PLACES
    assert beyond.status_code == 503
    assert beyond.headers["Retry-After"] == "1"
    assert beyond.json()["error"]["type"] == "Unavailable"
    assert beyond.json()["error"]["request_id"] == beyond.headers["X-Request-ID"] == "beyond"
    assert health == [200, 200]
    assert again.status_code == 200


def test_unfinished_health_checks_take_no_more_than_other_connections(small: Service) -> None:
    unfinished = [socket.create_connection(("127.0.0.1", small.port)) for _ in range(100)]
    for one in unfinished:
        one.sendall(b"GET /livez ")
    health = [httpx.get(f"{small.url}/livez").status_code for _ in range(5)]
    beyond = httpx.get(f"{small.url}/item", headers={"X-API-Key": KEY}).status_code
    for one in unfinished:
        one.close()

    assert health == [200] * 5
    assert beyond == 503
    assert "Traceback" not in small.log.read_text()


def test_a_connection_that_sends_nothing_makes_room(small: Service) -> None:
    silent = [socket.create_connection(("127.0.0.1", small.port)) for _ in range(PLACES)]
    for one in silent[:5]:
        one.sendall(b"GET / HT")
    answers = []
    while 200 not in answers:
        answers.append(httpx.get(f"{small.url}/item", headers={"X-API-Key": KEY}).status_code)

    assert answers.count(503) < 8
    silent[0].settimeout(5)
    assert silent[0].recv(1) == b""
    for one in silent:
        one.close()


def test_free_memory_is_returned_while_the_service_runs(tmp_path: Path, database_url: str) -> None:
    program = (
        "from service.server import memory\n"
        "from tests import served\n"
        "memory.SECONDS, memory.TRIM = 0.01, lambda _: print('returned', flush=True)\n"
        "served.main()"
    )
    with running(tmp_path, database_url, ("-c", program)) as service:
        service.wait_for("returned", times=3)


def test_the_service_starts_if_few_open_files_are_allowed(
    tmp_path: Path, database_url: str
) -> None:
    start = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1024))\n"
        "from service.server.run import main\n"
        "sys.exit(main())\n"
    )
    with running(tmp_path, database_url, ("-c", start)) as service:
        assert httpx.get(f"{service.url}/readyz").status_code == 200


@pytest.mark.parametrize(
    ("soft", "hard"),
    [
        (1024, 1 << 20),
        (1024, resource.RLIM_INFINITY),
        (1 << 20, 1 << 20),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY),
    ],
)
def test_with_enough_open_files_as_many_connections_can_wait_as_the_limit_says(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int
) -> None:
    allowed = allow(monkeypatch, soft, hard)

    assert reserve_descriptors(500, 10) == WAITING_CONNECTIONS.value
    assert allowed[-1] == resource.RLIM_INFINITY or allowed[-1] > 500 + WAITING_CONNECTIONS.value


def test_with_fewer_open_files_fewer_connections_can_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = allow(monkeypatch, 256, 1024)
    waiting = reserve_descriptors(500, 10)
    # With so many fewer, the minimum can wait.
    spare = waiting - FEWEST_WAITING
    allow(monkeypatch, 256, 1024 - spare)
    fewest = reserve_descriptors(500, 10)

    assert spare > 0
    assert allowed == [256, 1024]
    assert fewest == FEWEST_WAITING

    allow(monkeypatch, 256, 1024 - spare - 1)

    with pytest.raises(SettingsError, match=f"500 need {1024 - spare} open files, the limit is"):
        reserve_descriptors(500, 10)


def allow(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> list[int]:
    """Have the system allow so many open files; return the soft limits that are set."""
    allowed = [soft]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: allowed.append(limit[0]))
    return allowed
