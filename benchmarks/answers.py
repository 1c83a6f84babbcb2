"""Checks of a server's responses: every measured server must do the same work."""

import time
from typing import Any

import httpx

from benchmarks.collection import PATH
from benchmarks.servers import HEADERS, Server

RECORD = {"id", "name", "email", "created_at", "updated_at"}


def check(server: Server) -> None:
    """Exit where an answer is not what every server has to give."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=HEADERS) as client:
        if "empty" in server.works:
            alive = client.get("/livez")
            _require(server, alive.json() == {"status": "alive"}, alive.text)
        if "read" in server.works:
            found = client.get(f"{PATH}/7").json()
            _require(server, found["id"] == 7 and found.keys() == RECORD, found)  # noqa: PLR2004
        if "list" in server.works:
            page = client.get(f"{PATH}?limit=50").json()
            _require(server, [one["id"] for one in page] == [*range(1, 51)], page)
        if "create" in server.works:
            _check_writes(server, client)


def _check_writes(server: Server, client: httpx.Client) -> None:
    wrong = client.post(PATH, json={"name": "x"})
    _require(server, 400 <= wrong.status_code < 500, wrong.text)  # noqa: PLR2004
    email = f"{time.time_ns()}@example.org"
    created = client.post(PATH, json={"name": "Checked", "email": email})
    _require(server, created.status_code == httpx.codes.CREATED, created.text)
    url = created.headers["Location"]
    changed = client.put(url, json={"name": "Changed"}).json()
    _require(server, client.get(url).json() == changed, changed)
    _require(server, (changed["name"], changed["email"]) == ("Changed", email), changed)


def _require(server: Server, is_right: bool, found: Any) -> None:
    if not is_right:
        raise SystemExit(f"{server.name} answers wrongly: {found}")
