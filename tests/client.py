"""A client that sends `Content-Length`, as every client does, and checks every answer."""

from functools import cache
from typing import Any, ClassVar, cast

import httpx
import orjson
from httpx._transports import default as transports
from quart import Quart
from quart.testing import QuartClient, TestApp
from quart.wrappers import Response

from service.common.web import App
from tests.contract import Document, check
from tests.waiting import SECONDS

MISSING = object()


def read_certificates_once() -> None:
    """Let the clients of httpx share a TLS context: each would read every certificate anew."""
    vars(transports)["create_ssl_context"] = cache(httpx.create_ssl_context)


class Running(TestApp):
    """Quart's, which waits as long as a busy machine needs to start and to stop."""

    def __init__(self, app: Quart) -> None:
        super().__init__(app, startup_timeout=SECONDS, shutdown_timeout=SECONDS)


class Client(QuartClient):
    """Quart's client, which sends the length of each body; the original sends none.

    `contract` is what responses are validated against (None: the published contract).
    """

    contract: ClassVar[Document | None] = None
    app: App

    async def open(self, path: str, *, json: Any = MISSING, **options: Any) -> Response:
        """Send a request and return its answer."""
        headers = dict(options.pop("headers", None) or {})
        if json is not MISSING:
            options["data"] = orjson.dumps(json)
            headers.setdefault("Content-Type", "application/json")
        if options.get("data"):
            headers["Content-Length"] = str(len(options["data"]))
        response = await super().open(path, headers=headers, **options)
        method, target = options.get("method", "GET"), path.partition("?")[0]
        # The server drops the body of an answer to HEAD, and there is none here.
        body = b"" if method == "HEAD" else cast("bytes", await response.get_data())
        answered = httpx.Headers(response.headers.to_wsgi_list())
        check(method, target, response.status_code, answered, body, self.contract)
        return response
