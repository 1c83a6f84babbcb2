"""The page below the path prefix of a proxy, and without the proxy."""

import json
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import Browser, expect

from ops.local import nginx
from tests.browser.conftest import HOST, TIMEOUT_MS
from tests.browser.test_docs import RECORD, authorize, operation
from tests.contract import ELSEWHERE
from tests.ports import free_port
from tests.socket.conftest import KEY, Service, running
from tests.waiting import SECONDS

pytestmark = pytest.mark.skipif(nginx.executable() is None, reason="nginx is not installed")

PREFIX = "/api"
# The contract that answers are held against has no prefix.
UNCHECKED = {"X-API-Key": KEY, "Host": ELSEWHERE}
CONFIGURATION = """
daemon off; pid {directory}/proxy.pid; error_log stderr; {user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        # Whatever slips out of the prefix finds nothing.
        location / {{ return 404; }}
        location {prefix}/ {{ proxy_pass {service}/; }}
    }}
}}
"""


@contextmanager
def proxy(directory: Path, service: str) -> Iterator[int]:
    """Run an nginx that publishes the service below the prefix, which it strips; yield its port."""
    port, path = free_port(), directory / "proxy.conf"
    user = "user root;" if Path(directory).owner() == "root" else ""
    path.write_text(
        CONFIGURATION.format(
            directory=directory, port=port, prefix=PREFIX, service=service, user=user
        )
    )
    process = subprocess.Popen([nginx.executable() or "", "-e", "stderr", "-c", str(path)])
    try:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}{PREFIX}/openapi.json", headers=UNCHECKED)
                break
            except httpx.TransportError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)  # Between two looks, not instead of one.
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Service]:
    """Return a service that is published below a prefix."""
    directory = tmp_path_factory.mktemp("prefix")
    with running(directory, database_url, PATH_PREFIX=PREFIX) as service:
        yield service


@pytest.fixture(
    params=["proxied", "direct", pytest.param("direct, with the prefix", marks=pytest.mark.long)]
)
async def address(
    request: pytest.FixtureRequest, service: Service, tmp_path: Path
) -> AsyncIterator[str]:
    """Return the address under which a browser finds the service."""
    if request.param == "proxied":
        with proxy(tmp_path, service.url) as port:
            yield f"http://{HOST}:{port}{PREFIX}"
    else:
        yield f"http://{HOST}:{service.port}{'' if request.param == 'direct' else PREFIX}"


async def test_try_it_out_and_its_links_stay_below_the_prefix(
    browser: Browser, service: Service, address: str, empty_database: None
) -> None:
    page = await browser.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{address}/docs")
    await authorize(page, KEY)
    post = operation(page, "post", "/item")
    await post.locator(".opblock-summary-control").click()
    await post.get_by_role("button", name="Try it out").click()
    await post.locator(".body-param__text").fill(json.dumps(RECORD))
    async with page.expect_response(lambda answer: answer.request.method == "POST") as waiting:
        await post.get_by_role("button", name="Execute").click()
    answer = await waiting.value
    location = await answer.header_value("Location")
    # As the client of an HTTP library follows it.
    base_url = f"http://127.0.0.1:{urlsplit(address).port}"
    async with httpx.AsyncClient(base_url=base_url, headers=UNCHECKED) as client:
        record = await client.get(location or "")
    await page.close()

    assert answer.url == f"{address}/item"
    assert (answer.status, location) == (201, f"{PREFIX}/item/1")
    assert record.json().items() >= RECORD.items()
    assert [url for url in asked if not url.startswith(f"{address}/")] == []
