"""The service as it is run, on its own event loop, over TLS."""

from pathlib import Path

import httpx

from tests.databases.servers import Authority, Server
from tests.factories import item
from tests.socket.conftest import KEY, running

SESSIONS = "FROM pg_stat_activity WHERE application_name = 'process'"


def test_connections_over_tls_are_kept_and_replaced_unseen_when_the_server_closes_them(
    tmp_path: Path, tls_server: Server, authority: Authority
) -> None:
    parameters = f"sslmode=verify-full&sslrootcert={authority.root}&application_name=process"
    url = tls_server.url("encrypted", parameters, "localhost")
    with (
        running(tmp_path, url, DATABASE_POOL_SIZE="2") as service,
        httpx.Client(base_url=service.url, headers={"X-API-Key": KEY}) as http,
    ):
        http.get("/readyz")
        first = [http.post("/item", json=item()).status_code for _ in range(3)]
        kept = tls_server.sql(f"SELECT pid {SESSIONS} ORDER BY pid")
        second = [http.get("/readyz").status_code for _ in range(3)]
        still = tls_server.sql(f"SELECT pid {SESSIONS} ORDER BY pid")
        tls_server.sql(f"SELECT pg_terminate_backend(pid, 5000) {SESSIONS}")
        third = [http.post("/item", json=item()).status_code for _ in range(3)]

    assert (first, second, third) == ([201] * 3, [200] * 3, [201] * 3)
    assert kept == still
    assert "WARN" not in service.log.read_text().upper()
