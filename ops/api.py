"""A client of the running service, and the collections that its contract names."""

from typing import Any

import httpx
from pydantic import SecretStr

from ops.console import CommandError

# Longer than the service waits for progress.
SECONDS = 60
UNREACHABLE = "The service at {} can't be reached: {}."


class Client(httpx.Client):
    """A client whose errors are messages for the user."""

    def send(self, *arguments: Any, **options: Any) -> httpx.Response:
        """Send a request. Raises CommandError if there is no response."""
        try:
            return super().send(*arguments, **options)
        except httpx.TransportError as error:
            raise CommandError(UNREACHABLE.format(self.base_url, error)) from error


def connect(url: str, key: SecretStr | None = None) -> Client:
    """Return a client of the service at a URL; the contract needs no key."""
    return Client(
        base_url=url,
        # As bytes: httpx takes only ASCII as text.
        headers={b"X-API-Key": key.get_secret_value().encode()} if key else {},
        timeout=SECONDS,
        # Without a proxy from the environment, which can't reach this machine's loopback address.
        trust_env=False,
    )


def collections(client: Client) -> dict[str, Any]:
    """Return the path of each collection that the service has, with an example of a new record.

    The example is None if the contract has none. Raises CommandError.
    """
    response = client.get("/openapi.json")
    try:
        document = response.raise_for_status().json()
    except (httpx.HTTPStatusError, ValueError) as error:
        raise CommandError(
            f"{response.url} is not the contract of this service: {error}."
        ) from error
    return {
        path: _example(document, operations["post"])
        for path, operations in document["paths"].items()
        if {"get", "post"} <= operations.keys() and "{" not in path
    }


def _example(document: dict[str, Any], operation: dict[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {})
    reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    schema = document["components"]["schemas"].get(reference.rpartition("/")[2], {})
    return next(iter(schema.get("examples", ())), None)
