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

    Raises CommandError.
    """
    response = client.get("/openapi.json")
    if not response.is_success:
        raise CommandError(f"{response.url} can't be read: it answers {response.status_code}.")
    document = response.json()
    return {
        path: _example(document, operations["post"])
        for path, operations in document["paths"].items()
        if {"get", "post"} <= operations.keys()
    }


def _example(document: dict[str, Any], operation: dict[str, Any]) -> Any:
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    return document["components"]["schemas"][reference.rpartition("/")[2]]["examples"][0]
