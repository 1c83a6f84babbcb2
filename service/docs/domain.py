"""The files of the documentation page: our own, and those of Swagger UI as published."""

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path

from service.common.errors import Row, rows_by_type

FOLDER = Path(__file__).parent
PAGE = "page/index.html"
ERRORS = "page/errors.html"
# By the name below `/docs/`: no other file in these folders is served.
ASSETS = {
    path.rsplit("/", maxsplit=1)[-1]: path
    for path in (
        "page/arrow-down.svg",
        "page/check.svg",
        "page/chevron-right.svg",
        "page/copy.svg",
        "page/init.js",
        "page/page.css",
        "swagger-ui/favicon-32x32.png",
        "swagger-ui/swagger-ui-bundle.js",
        "swagger-ui/swagger-ui.css",
    )
}
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class File:
    """A file as it is sent."""

    content: bytes
    content_type: str
    tag: str


def get_page() -> File:
    """Return the page itself."""
    return _read(PAGE)


@cache
def get_errors() -> File:
    """Return the page of the catalogue of errors, with an anchor for each type."""
    text = "\n".join(map(_kind, rows_by_type().values()))
    page = (FOLDER / ERRORS).read_text(encoding="utf-8").replace("<!-- kinds -->", text)
    return _file(page.encode(), ERRORS)


def get_asset(name: str) -> File:
    """Return the asset of this name, one of `ASSETS`."""
    return _read(ASSETS[name])


@cache
def _read(path: str) -> File:
    # At the first request: reading 1.9 MB would slow down every start.
    return _file((FOLDER / path).read_bytes(), path)


def _file(content: bytes, path: str) -> File:
    tag = f'"{sha256(content).hexdigest()[:32]}"'
    return File(content, CONTENT_TYPES[Path(path).suffix], tag)


def _kind(rows: list[Row]) -> str:
    first = rows[0]
    lines = [f'<dt id="{first.type}">{first.type}: {_prose(first.title)}</dt>']
    for row in rows:
        headers = f" Headers: {', '.join(f'`{name}`' for name in row.headers)}." * bool(row.headers)
        lines.append(f"<dd><b>{row.status}</b> {_prose(f'{row.when} {row.action}{headers}')}</dd>")
    return "\n".join(lines)


def _prose(text: str) -> str:
    """Return a description as HTML, with text between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
