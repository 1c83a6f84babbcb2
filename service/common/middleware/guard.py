"""The guard: a request without the key is answered 401."""

from hmac import compare_digest

from pydantic import SecretStr
from quart import Request
from werkzeug.datastructures import Headers

from service.common.errors import JSONException, Row
from service.common.web import App, current_request, is_public
from service.name import NAME

SCHEMES = {
    "bearer": {"scheme": "bearer", "type": "http"},
    "key": {"name": "X-API-Key", "in": "header", "type": "apiKey"},
    NAME: {"name": "_secure_key", "in": "header", "type": "apiKey"},
}
DESCRIPTION = {"description": "The key; one of these headers is enough."}


class InvalidPermissions(JSONException):
    """The key is missing or wrong."""

    status_code = 401
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012
    rows = (
        Row(
            401,
            "The key is missing or wrong.",
            "Send `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
            response="WrongKey",
        ),
    )


def register(app: App, key: SecretStr | None) -> None:
    """Guard every route except the public ones; without a key, as in development, none."""
    app.security_schemes |= {name: scheme | DESCRIPTION for name, scheme in SCHEMES.items()}
    if key is None:
        return
    expected = key.get_secret_value().encode()

    def is_open(request: Request) -> bool:
        if request.url_rule is None:
            # No route has this method: the path decides.
            return request.path in app.public_paths
        return is_public(app.view_functions[request.url_rule.endpoint])

    async def check_key() -> None:
        asked = current_request()
        if is_open(asked):
            return
        keys = _given_keys(asked.headers)
        if not any(compare_digest(given.encode("latin-1"), expected) for given in keys):
            raise InvalidPermissions(
                "The key is missing or wrong: send `Authorization: Bearer KEY` or `X-API-Key: KEY`."
            )

    app.before_request(check_key)


def _given_keys(headers: Headers) -> list[str]:
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else None
    keys = [bearer, headers.get("X-API-Key"), headers.get("_secure_key")]
    return [key for key in keys if key]
