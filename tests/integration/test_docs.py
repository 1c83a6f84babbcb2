"""The page at `/docs` and its parts, as they are served."""

import re
from collections.abc import AsyncIterator
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from typing import cast

import pytest
from pydantic import SecretStr

from service.common.errors import error_rows
from service.docs.domain import ASSETS, FOLDER, PAGE
from service.docs.views import POLICY
from service.settings import Settings
from tests.app import create_app
from tests.client import Client
from tests.envelope import error_of

KEY = "k" * 16
SWAGGER_UI = FOLDER / "swagger-ui"
CHECKSUMS = SWAGGER_UI / "SHA256SUMS"
PARTS = [f"/docs/{name}" for name in ASSETS]
PUBLIC_PATHS = create_app(Settings()).public_paths


@pytest.fixture
async def guarded(settings: Settings) -> AsyncIterator[Client]:
    app = create_app(settings.model_copy(update={"secure_api_key": SecretStr(KEY)}))
    async with app.test_app():
        yield cast("Client", app.test_client())


class References(HTMLParser):
    """The references of a page, and its inline content."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: set[str] = set()
        self.inline: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        for name, value in attrs:
            if name in {"href", "src"}:
                self.addresses.add(value or "")
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")

    def handle_data(self, data: str) -> None:
        if self._within in {"script", "style"} and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._within = ""


def selectors_with(text: str, css: str) -> list[str]:
    """Return the selector of each rule with the text, but for those that nothing switches on."""
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", css)
    found = [selector.strip() for selector, declarations in rules if text in declarations]
    return sorted(one for one in found if "debug-grid" not in one and "dark-mode" not in one)


async def test_the_page_needs_no_key_and_lets_nothing_in_from_elsewhere(guarded: Client) -> None:
    response = await guarded.get("/docs")

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Content-Security-Policy"] == (
        "default-src 'self'; frame-ancestors 'none'"
    )
    assert response.headers["Cache-Control"] == "no-cache"
    assert await response.get_data() == (FOLDER / PAGE).read_bytes()


async def test_the_page_has_no_tag_so_that_no_304_changes_its_policy(guarded: Client) -> None:
    response = await guarded.get("/docs", headers={"If-None-Match": "*"})

    assert response.status_code == 200
    assert "ETag" not in response.headers


async def test_the_page_refers_to_its_own_parts_and_has_nothing_inline(guarded: Client) -> None:
    references = References()
    references.feed(await (await guarded.get("/docs")).get_data(as_text=True))

    assert references.inline == []
    assert references.addresses == {
        "openapi.json",
        *(f"docs/{name}" for name in ASSETS if not name.endswith(".svg")),
    }


async def test_the_style_refers_to_the_images_that_are_served() -> None:
    css = (FOLDER / ASSETS["page.css"]).read_text()

    assert set(re.findall(r"url\(\"?(.*?)\"?\)", css)) == {
        name for name in ASSETS if name.endswith(".svg")
    }


async def test_each_image_that_the_policy_would_not_let_in_has_another_in_its_place() -> None:
    theirs = selectors_with("data:", (FOLDER / ASSETS["swagger-ui.css"]).read_text())
    ours = selectors_with("url(", (FOLDER / ASSETS["page.css"]).read_text())

    # Most exist twice: for the usual colors, and for forced colors.
    assert theirs
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("init.js", "text/javascript; charset=utf-8"),
        ("page.css", "text/css; charset=utf-8"),
        ("copy.svg", "image/svg+xml"),
        ("favicon-32x32.png", "image/png"),
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "text/css; charset=utf-8"),
    ],
)
async def test_a_part_is_sent_as_it_is_with_its_type(
    guarded: Client, name: str, content_type: str
) -> None:
    response = await guarded.get(f"/docs/{name}")

    assert response.status_code == 200
    assert response.headers["Content-Type"] == content_type
    assert await response.get_data() == (FOLDER / ASSETS[name]).read_bytes()


@pytest.mark.parametrize("path", PARTS)
async def test_a_part_that_a_browser_has_is_not_sent_again(guarded: Client, path: str) -> None:
    first = await guarded.get(path)
    tag = first.headers["ETag"]
    again = await guarded.get(path, headers={"If-None-Match": tag})
    other = await guarded.get(path, headers={"If-None-Match": '"other"'})

    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, again.headers["ETag"]) == (304, tag)
    assert await again.get_data() == b""
    assert other.status_code == 200


async def test_no_two_parts_have_the_same_tag(guarded: Client) -> None:
    tags = {(await guarded.get(path)).headers["ETag"] for path in PARTS}

    assert len(tags) == len(PARTS)


@pytest.mark.parametrize("path", ["/docs", "/docs/errors", *PARTS])
async def test_head_has_the_headers_of_get(guarded: Client, path: str) -> None:
    got, head = await guarded.get(path), await guarded.head(path)
    names = ("Content-Type", "Content-Length", "Content-Security-Policy", "ETag", "Cache-Control")

    assert head.status_code == 200
    assert [head.headers.get(name) for name in names] == [got.headers.get(name) for name in names]


def test_the_parts_and_no_others_need_no_key() -> None:
    below = {path for path in PUBLIC_PATHS if path.startswith("/docs/")}

    assert below == {*PARTS, "/docs/errors"}


async def test_the_page_of_the_errors_has_every_row_of_the_catalogue(guarded: Client) -> None:
    response = await guarded.get("/docs/errors")
    page = await response.get_data(as_text=True)
    references, words = References(), unescape(re.sub(r"</?code>", "`", page))
    references.feed(page)

    assert references.inline == []
    assert references.addresses == {"../docs", "favicon-32x32.png", "page.css"}
    for row in error_rows():
        assert f'<dt id="{row.type}">{row.type}: {row.title}</dt>' in words
        assert f"<b>{row.status}</b> {row.when} {row.action}" in words
    assert response.headers["Content-Security-Policy"] == POLICY
    assert "<code>Retry-After</code>" in page
    assert "<!--" not in page


UNKNOWN = [
    "/docs/",
    "/docs/index.html",
    "/docs/INIT.JS",
    "/docs/init.js/",
    "/docs/init.js%0A",
    "/docs/init.js%00",
    "/docs/init.jsx",
    "/docs//init.js",
    "/docs/page/init.js",
    "/docs/LICENSE",
    "/docs/SHA256SUMS",
    "/docs/views.py",
    "/docs/swagger-ui-bundle.js.map",
    "/docs/../item",
    "/docs/../docs/init.js",
    "/docs/..%2Fviews.py",
    "/docs/%2e%2e/views.py",
    "/docs/..%5Cviews.py",
    "/docs/page/../../views.py",
    "/docs//etc/passwd",
    "/docs/%2Fetc%2Fpasswd",
]


@pytest.mark.parametrize("path", UNKNOWN)
async def test_whatever_is_no_part_is_not_found(guarded: Client, path: str) -> None:
    response = await guarded.get(path, headers={"X-API-Key": KEY})

    await error_of(response, 404, "InvalidAPIRequest")


@pytest.mark.parametrize("path", UNKNOWN)
async def test_whatever_is_no_part_is_guarded(guarded: Client, path: str) -> None:
    await error_of(await guarded.get(path), 401, "InvalidPermissions")


@pytest.mark.parametrize("path", ["/docs", "/docs/init.js"])
async def test_the_page_takes_no_body(guarded: Client, path: str) -> None:
    posted = await guarded.post(path, json={})

    await error_of(posted, 405, "InvalidAPIRequest")


@pytest.mark.parametrize("query", ["ts=1", "a=1&a=2", "fbclid=%ff", "%", "&&=;", "\\"])
@pytest.mark.parametrize("path", sorted(PUBLIC_PATHS))
async def test_a_public_page_ignores_the_query_string(
    guarded: Client, path: str, query: str
) -> None:
    plain, asked = await guarded.get(path), await guarded.get(f"{path}?{query}")

    assert asked.status_code == 200
    assert await asked.get_data() == await plain.get_data()


async def test_the_page_is_no_part_of_the_contract(guarded: Client) -> None:
    document = await (await guarded.get("/openapi.json")).get_json()

    assert document["paths"]
    assert not [path for path in document["paths"] if path.startswith("/docs")]


def test_swagger_ui_is_unchanged() -> None:
    lines = re.findall(r"^([0-9a-f]{64})  (.+)$", CHECKSUMS.read_text(), re.MULTILINE)
    listed = {name: checksum for checksum, name in lines}
    found = {
        path.name: sha256(path.read_bytes()).hexdigest()
        for path in SWAGGER_UI.iterdir()
        if path != CHECKSUMS
    }

    assert "LICENSE" in found
    assert found == listed


def test_the_version_that_is_noted_is_the_one_that_is_there() -> None:
    noted = re.search(r"swagger-ui-dist (\S+?),", CHECKSUMS.read_text())
    bundle = (SWAGGER_UI / "swagger-ui-bundle.js").read_text()

    assert noted
    assert f'PACKAGE_VERSION:"{noted[1]}"' in bundle
