"""A real Chromium, and a real service for it to visit."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Request,
    ViewportSize,
    async_playwright,
    expect,
)

from service.settings import ROOT
from tests.socket.conftest import KEY, Service, running

Colors = Literal["active", "none"]

# A name, as in production: for `localhost`, browsers and Swagger UI make exceptions.
HOST = "flusk.example"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Long enough for a busy machine; no test waits longer than necessary.
TIMEOUT_MS = 30_000
# What a browser showed in the last run, for people to look at.
ARTIFACTS = ROOT / "tests" / ".artifacts"


@dataclass
class Visit:
    """A page, whom it asked, and what the browser had to complain of."""

    page: Page
    origin: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def note_request(self, request: Request) -> None:
        self.asked.append(request.url)

    def note_message(self, message: ConsoleMessage) -> None:
        """Record console messages, including violations of the page's policy."""
        self.complaints.append(f"{message.type}: {message.text}")

    def note_error(self, error: Error) -> None:
        self.complaints.append(f"uncaught: {error}")

    @property
    def others(self) -> list[str]:
        """Return what was asked of anybody but the page's own origin."""
        return [url for url in self.asked if "://".join(urlsplit(url)[:2]) != self.origin]


def find_chromium() -> str:
    """Return the path of Chromium; skip the tests without it, or fail if it is required."""
    for name in PROGRAMS:
        if path := shutil.which(name):
            return path
    reason = "Chromium is not installed; on Debian: `apt-get install chromium fonts-liberation`."
    if os.environ.get("REQUIRE_CHROMIUM"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Return a browser that knows one host and no other."""
    path = find_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path,
            args=[f"--host-resolver-rules=MAP {HOST} 127.0.0.1, MAP * ~NOTFOUND"],
            # Chromium's sandbox refuses to work for root.
            chromium_sandbox=os.geteuid() != 0,
        )
        yield browser
        await browser.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Service]:
    """Return a service that wants its key, with `APP_ENV=production`."""
    with running(tmp_path_factory.mktemp("docs"), database_url, APP_ENV="production") as service:
        yield service


@pytest.fixture
async def api(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client with the key, in addition to the browser."""
    async with httpx.AsyncClient(base_url=service.url, headers={"X-API-Key": KEY}) as client:
        yield client


@pytest.fixture
def colors() -> Colors:
    """Return whether a person's own colors take the place of the page's."""
    return "none"


@pytest.fixture
async def visit(
    browser: Browser, service: Service, colors: Colors, empty_database: None
) -> AsyncIterator[Visit]:
    """Return the page at `/docs`, opened on empty tables by a new user."""
    size = ViewportSize(width=1280, height=900)
    page = await browser.new_page(viewport=size, forced_colors=colors)
    page.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    visit = Visit(page, f"http://{HOST}:{service.port}")
    page.on("request", visit.note_request)
    page.on("console", visit.note_message)
    page.on("pageerror", visit.note_error)
    await page.goto(f"{visit.origin}/docs")
    yield visit
    await page.close()
