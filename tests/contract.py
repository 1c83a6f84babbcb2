"""Every answer that a test gets, held against the contract: docs/openapi.json, and `item`.

An application of the tests, with other blueprints, has another contract.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
from jsonschema_rs import Draft202012Validator

from service.settings import ROOT, Settings
from tests.app import contract_of, create_app

# Routes that are not operations of the contract.
PAGES = re.compile(r"/openapi\.json|/docs(/.*)?")
FIRST_ERROR = 400
# Responses without an operation: before routing, by routing, or by a failure.
BESIDE = {400, 401, 404, 405, 413, 414, 415, 422, 431, 500, 501, 503, 504, 505}
# Headers that any response may have; others are in the contract.
ALWAYS = {
    *(
        "Access-Control-Allow-Origin",
        "Access-Control-Expose-Headers",
        "Connection",
        "Content-Length",
    ),
    *("Content-Encoding", "Content-Type", "Date", "Server", "Transfer-Encoding", "Vary"),
    "Server-Timing",
    *("Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options", "Keep-Alive"),
}
# The errors that the test of now has got, as status and type.
got: set[tuple[int, str]] = set()
# A request whose method and path are what they seem.
TARGET = re.compile(rb"([A-Z]+) (/[^ ?#]*)[^ ]* HTTP/1\.1\r\n")
# The hosts by which tests call what is not the service: a fake of it behind nginx, and the build
# server of docs/tutorial.md.
ELSEWHERE = "elsewhere.example"
OUTSIDE = frozenset({ELSEWHERE, "builds.example"})
# Lines, and how each ends.
LINES = {"application/x-ndjson": b"\n", "text/csv": b"\r\n"}
Document = dict[str, Any]
UNDESCRIBED = {"Error": "application/json", "Problem": "application/problem+json"}
# By the contract, which is kept as long as the run, and the text of a schema.
_validators: dict[tuple[int, str], Draft202012Validator] = {}


@cache
def document() -> Document:
    """Return the contract that is committed, which a test compares with the code, with `/item`."""
    found: Document = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
    ours = contract_of(create_app(Settings()))
    found["paths"] |= ours["paths"]
    for kind, components in ours["components"].items():
        found["components"][kind] = found["components"].get(kind, {}) | components
    return found


@cache
def known_errors() -> set[tuple[int, str]]:
    """Return the status and type of each row of docs/errors.md."""
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    return {
        (int(status), kind) for status, kind in re.findall(r"(?m)^\| (\d+) \| `(\w+)` \|", text)
    }


def check_type(status: int, kind: str) -> None:
    """Fail if an error has no row in the catalogue; note that the test has got it."""
    assert (status, kind) in known_errors(), f"{status} {kind} has no row in docs/errors.md"
    got.add((status, kind))


def check(
    method: str,
    path: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    contract: Document | None = None,
) -> None:
    """Fail where an answer is not one that the contract describes."""
    contract = contract or document()
    what = f"{method} {path}: {status}"
    operation = _operation(contract, "GET" if method == "HEAD" else method, path)
    if operation is None:
        _check_beside(what, method, path, status, headers, body)
        return
    answer = operation["responses"].get(str(status))
    assert answer is not None, f"{what} is not in the contract"
    answer = _resolve(contract, answer)
    for name, header in answer.get("headers", {}).items():
        _check_header(contract, what, name, _resolve(contract, header), headers.get(name))
    unknown = {name.title() for name in headers} - {
        *ALWAYS,
        *(name.title() for name in answer.get("headers", {})),
    }
    assert not unknown, f"{what} has {', '.join(unknown)}"
    content = answer.get("content")
    if method == "HEAD" or not content:
        assert body == b"", f"{what} has a body"
        return
    media_type = headers["Content-Type"]
    # Its charset is a matter of the media type, and so not of the contract's key.
    media_type = "text/csv" if media_type == "text/csv; charset=utf-8" else media_type
    assert media_type in content, f"{what} is {media_type}"
    if media_type in LINES:
        assert body == b"" or body.endswith(LINES[media_type]), f"{what} ends within a line"
    value = body.decode() if media_type in LINES else json.loads(body)
    _check_value(contract, what, content[media_type]["schema"], value)
    if status >= FIRST_ERROR:
        _check_facts(what, status, headers, value)


def is_outside(response: httpx.Response) -> bool:
    """Return whether a response comes from a service that a test pretends to be."""
    return response.request.headers["Host"] in OUTSIDE


def check_every_answer() -> None:
    """Have every client of httpx check what it gets, so that no test can forget to."""
    send, send_async = httpx.Client.send, httpx.AsyncClient.send

    def checked(self: httpx.Client, *arguments: Any, **options: Any) -> httpx.Response:
        response = send(self, *arguments, **options)
        # The caller reads a stream, or cancels it.
        if not options.get("stream") and not is_outside(response):
            _check_response(response, response.read())
        return response

    async def checked_async(
        self: httpx.AsyncClient, *arguments: Any, **options: Any
    ) -> httpx.Response:
        response = await send_async(self, *arguments, **options)
        if not options.get("stream") and not is_outside(response):
            _check_response(response, await response.aread())
        return response

    httpx.Client.send = checked  # type: ignore[method-assign]
    httpx.AsyncClient.send = checked_async  # type: ignore[method-assign]


def check_raw(sent: bytes, answered: bytes) -> None:
    """Check the first answer to bytes that begin with a request; others have no path to look up."""
    target = TARGET.match(sent)
    head, _, rest = answered.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = httpx.Headers(
        [(name, value) for name, _, value in (h.partition(": ") for h in lines)]
    )
    # hypercorn's own responses have no request id: an empty 400 or 431.
    if target is None or "X-Request-ID" not in headers:
        return
    method, path = (part.decode("latin-1") for part in target.groups())
    body = rest[: int(headers.get("Content-Length", "0"))]
    check(method, path, int(line.split()[1]), headers, body)


def _check_response(response: httpx.Response, body: bytes) -> None:
    request = response.request
    path = request.url.raw_path.decode("latin-1").partition("?")[0]
    check(request.method, path, response.status_code, response.headers, body)


def _check_beside(
    what: str, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """Check an answer to what no operation is: an error, OPTIONS, or a page."""
    assert headers["X-Request-ID"], what
    if method == "OPTIONS" and status == 204:
        assert body == b"", f"{what} has a body"
        return
    if status < FIRST_ERROR:
        assert method in {"GET", "HEAD"}, f"{what} is not in the contract"
        assert PAGES.fullmatch(path), f"{what} is not in the contract"
        return
    assert status in BESIDE, f"{what} is not in the contract"
    assert status != 405 or headers.get("Allow"), f"{what} has no Allow"
    if method == "HEAD":
        assert body == b"", f"{what} has a body"
        return
    media_type = headers["Content-Type"]
    [title] = [name for name, known in UNDESCRIBED.items() if known == media_type]
    value = json.loads(body)
    _check_value(document(), what, {"$ref": f"#/components/schemas/{title}"}, value)
    _check_facts(what, status, headers, value)


def _check_facts(what: str, status: int, headers: Mapping[str, str], body: Any) -> None:
    """Check that an error says of itself what the head says."""
    facts = body.get("error", body)
    assert facts.get("code", facts.get("status")) == status, f"{what} says another status"
    assert facts["request_id"] == headers["X-Request-ID"], f"{what} says another request id"
    check_type(status, facts["type"].rpartition("#")[2])


def _operation(contract: Document, method: str, path: str) -> Document | None:
    for template, operations in contract["paths"].items():
        if re.fullmatch(template.replace("{id}", "(0|[1-9][0-9]*)"), path):
            found: Document | None = operations.get(method.lower())
            return found
    return None


def _resolve(contract: Document, part: Document) -> Document:
    if "$ref" not in part:
        return part
    target = contract
    for name in part["$ref"].removeprefix("#/").split("/"):
        target = target[name]
    return _resolve(contract, target)


def _check_header(
    contract: Document, what: str, name: str, header: Document, value: str | None
) -> None:
    if value is None:
        assert not header.get("required"), f"{what} has no {name}"
        return
    _check_value(contract, f"{what}, {name}", header["schema"], value)


def _check_value(contract: Document, what: str, schema: Document, value: object) -> None:
    key = (id(contract), json.dumps(schema))
    if key not in _validators:
        whole = {**schema, "components": contract["components"]}
        _validators[key] = Draft202012Validator(whole, validate_formats=True)
    faults = [error.message for error in _validators[key].iter_errors(value)]
    assert not faults, f"{what}: {faults}"
