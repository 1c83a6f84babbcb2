"""JSON responses: what a view returns leaves as `application/json`, written by orjson."""

from typing import Any

import orjson
from quart.json.provider import JSONProvider
from quart.wrappers import Response

MEDIA_TYPE = "application/json"


class OrjsonProvider(JSONProvider):
    """Quart's way to and from JSON, by orjson."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Return the JSON text of plain values."""
        del kwargs
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read a JSON text; request bodies go through `parsing.parse_json` instead."""
        del kwargs
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a response that holds one value as JSON."""
        value = self._prepare_response_obj(args, kwargs)
        return Response(orjson.dumps(value), content_type=MEDIA_TYPE)


def json_text(text: str) -> Response:
    """Return a response of what is JSON already."""
    return Response(text.encode(), content_type=MEDIA_TYPE)
