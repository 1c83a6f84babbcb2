"""A column that takes the place of another: expand, deploy, contract, as in docs/deploy.md."""

import itertools
import re
import threading
from collections.abc import Iterator
from operator import ge
from pathlib import Path

import httpx
import pytest

from service.settings import ROOT
from tests.conftest import migrate
from tests.databases.servers import Server, run
from tests.factories import item
from tests.socket.conftest import KEY, running
from tests.waiting import SECONDS, wait_until

CLIENTS = 4
# The first may have begun before.
ROUNDS = 3


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """Return the URL of a database at the schema of the old release."""
    url = server.url().replace("/postgres?", "/releases?")
    server.sql("CREATE DATABASE releases")
    migrate(url)
    sql(server, url, "ALTER TABLE item ADD COLUMN legacy text NOT NULL")
    yield url
    server.sql("DROP DATABASE releases WITH (FORCE)")


def sql(server: Server, url: str, script: str) -> str:
    """Run SQL as a migration is run: in a transaction."""
    psql = [server.programs / "psql", "-XAtq1", "-v", "ON_ERROR_STOP=1", "-c", script]
    return run(*psql, url).strip()


def example(heading: str) -> str:
    """Return the SQL below a heading of the page."""
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    found = re.search(rf"\*\*{heading}\*\*.*?```sql\n(.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


class Load:
    """Clients that read and write all the time, at whatever processes serve at the moment."""

    def __init__(self, *urls: str) -> None:
        self.urls = urls
        self.statuses: list[int] = []
        self._stop = threading.Event()
        self._rounds = [0] * CLIENTS
        self._threads = [threading.Thread(target=self._ask, args=[n]) for n in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Return once no request is in flight."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, client: int) -> None:
        with httpx.Client(headers={"X-API-Key": KEY}) as http:
            for number in itertools.count():
                if self._stop.is_set():
                    break
                url = self.urls[number % len(self.urls)]
                created = http.post(f"{url}/item", json=item())
                self.statuses.append(created.status_code)
                path = created.headers.get("Location", "/item/1").rpartition("/item/")[2]
                changed = http.put(f"{url}/item/{path}", json={"name": "Zed"})
                keyed = http.post(
                    f"{url}/item", json=item(), headers={"Idempotency-Key": f"{id(http)}{number}"}
                )
                read = [http.get(f"{url}/{path}") for path in (f"item/{path}", "item", "readyz")]
                self.statuses += [one.status_code for one in (changed, keyed, *read)]
                self._rounds[client] += 1

    def go_on(self) -> None:
        """Return once each client has done some rounds more, only the first with earlier URLs."""
        wanted = [done + ROUNDS for done in self._rounds]
        wait_until(lambda: all(map(ge, self._rounds, wanted)))


def test_no_client_sees_an_error_while_a_column_takes_the_place_of_another(
    server: Server, database: str, tmp_path: Path
) -> None:
    old, new = (("-m", "tests.released", release) for release in ("old", "new"))
    with running(tmp_path, database, old) as first, Load(first.url) as load:
        load.go_on()
        sql(server, database, example("Expand"))
        load.go_on()
        with running(tmp_path, database, new) as second:
            load.urls = (first.url, second.url)
            load.go_on()
            load.urls = (second.url,)
            load.go_on()
            first.process.terminate()
            assert first.process.wait(SECONDS) == 0
            load.go_on()
            sql(server, database, example("Contract"))
            load.go_on()
            load.stop()

    found = sql(server, database, "SELECT DISTINCT priority FROM item ORDER BY 1").split()
    assert set(load.statuses) == {200, 201}
    assert found == ["0", "1"]
    assert "legacy" not in sql(server, database, "SELECT * FROM information_schema.columns")
