"""JSON responses: what a view returns is sent as `application/json`, written by orjson."""

from typing import Any

import orjson
from quart.json.provider import JSONProvider
from quart.wrappers import Response

MEDIA_TYPE = "application/json"


class OrjsonProvider(JSONProvider):
    """Quart's JSON provider with orjson."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Return the JSON text of plain values."""
        del kwargs
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Parse a JSON text; request bodies are parsed by `parsing.parse_json` instead."""
        del kwargs
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a response with one value as JSON."""
        value = self._prepare_response_obj(args, kwargs)
        return Response(orjson.dumps(value), content_type=MEDIA_TYPE)


def json_text(text: bytes) -> Response:
    """Return a response with a text that is already JSON, in UTF-8."""
    return Response(text, content_type=MEDIA_TYPE)
