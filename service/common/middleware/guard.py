"""The guard: a request without the key is answered 401."""

from hmac import compare_digest

from pydantic import SecretStr
from quart import Quart
from werkzeug.datastructures import Headers

from service.common.errors import JSONException, Row
from service.common.web import current_request

PUBLIC_PATHS = frozenset(
    {
        *("/livez", "/readyz", "/openapi.json", "/docs", "/docs/errors"),
        # The assets of these pages: a browser sends no key for them.
        "/docs/arrow-down.svg",
        "/docs/check.svg",
        "/docs/chevron-right.svg",
        "/docs/copy.svg",
        "/docs/favicon-32x32.png",
        "/docs/init.js",
        "/docs/page.css",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
    }
)


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


def register(app: Quart, key: SecretStr | None) -> None:
    """Guard every route except the public ones; without a key, as in development, none."""
    if key is None:
        return
    expected = key.get_secret_value().encode()

    async def check_key() -> None:
        asked = current_request()
        if asked.path in PUBLIC_PATHS:
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
