"""A client that sends `Content-Length`, as every client of HTTP/1.1 does."""

from typing import Any

import orjson
from quart.testing import QuartClient
from quart.wrappers import Response

MISSING = object()


class Client(QuartClient):
    """Quart's client, with the length of each body; its own sends none."""

    async def open(self, path: str, *, json: Any = MISSING, **options: Any) -> Response:
        """Send a request and return its answer."""
        headers = dict(options.pop("headers", None) or {})
        if json is not MISSING:
            options["data"] = orjson.dumps(json)
            headers.setdefault("Content-Type", "application/json")
        if options.get("data"):
            headers["Content-Length"] = str(len(options["data"]))
        return await super().open(path, headers=headers, **options)
