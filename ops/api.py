"""A client of the running service, and the collections that its contract names."""

from typing import Any

import httpx

from ops.console import CommandError
from service.settings import Settings

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


def connect(settings: Settings, url: str) -> Client:
    """Return a client of the service at a URL."""
    key = settings.secure_api_key
    return Client(
        base_url=url,
        headers={"X-API-Key": key.get_secret_value()} if key else {},
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
