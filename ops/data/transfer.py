"""Import and export through the running service: `just import FILE`, `just export FILE`."""

from collections.abc import Iterator
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ops import api, modes
from ops.console import CommandError, file_argument
from ops.files import whole_file
from service.settings import Settings

FORMS = {
    ".csv": "text/csv",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
}
PIECE = 1 << 18
# For the response to an import, as long as nginx waits: records are stored when all have arrived.
STORE_SECONDS = 3600


def import_(settings: Settings, arguments: list[str]) -> int:
    """Store every record of a file, or none."""
    source, form = _file(arguments[:1])
    if not source.is_file():
        raise CommandError(f"There is no file {source}.")
    size = source.stat().st_size
    with (
        api.connect(modes.url(settings), settings.secure_api_key) as client,
        _progress(DownloadColumn(), TransferSpeedColumn()) as bar,
    ):
        collection = _collection(client, arguments[1:])
        task = bar.add_task("Sending", total=size)

        def pieces() -> Iterator[bytes]:
            with source.open("rb") as file:
                while piece := file.read(PIECE):
                    yield piece
                    bar.advance(task, len(piece))

        headers = {"Content-Type": form}
        timeout = httpx.Timeout(api.SECONDS, read=STORE_SECONDS)
        response = client.post(collection, content=pieces(), headers=headers, timeout=timeout)
    if response.status_code != httpx.codes.CREATED:
        raise CommandError(f"{_reason(response)}\nNothing of {source} was stored.")
    print(f"Stored {response.json()['created']} records.")
    return 0


def export(settings: Settings, arguments: list[str]) -> int:
    """Write the records to a file, atomically."""
    target, form = _file(arguments[:1])
    chosen = [argument for argument in arguments[1:] if argument.startswith("/")]
    query = httpx.QueryParams([_parameter(one) for one in arguments[1:] if one not in chosen])
    with (
        api.connect(modes.url(settings), settings.secure_api_key) as client,
        _progress(MofNCompleteColumn()) as bar,
    ):
        collection = _collection(client, chosen)
        asked = client.get(collection, params=query, headers={"Prefer": "count=exact"})
        total = int(_good(asked).headers["X-Total-Count"])
        task = bar.add_task("Receiving", total=total)
        try:
            with (
                whole_file(target) as file,
                client.stream(
                    "GET", collection, params=query, headers={"Accept": form}
                ) as response,
            ):
                for chunk in _good(response).iter_bytes():
                    file.write(chunk)
                    # Nearly: a text may have an end of a line in it, and CSV has a first line.
                    bar.advance(task, chunk.count(b"\n"))
        except httpx.TransportError as error:
            raise CommandError(f"The export was cut off: {error}. Nothing was written.") from error
    print(f"Wrote {target}, {target.stat().st_size} bytes.")
    return 0


def _file(arguments: list[str]) -> tuple[Path, str]:
    path = file_argument(arguments, "records.ndjson")
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise CommandError(f"{path.name}: the name must end in {', '.join(FORMS)}.")
    return path, form


def _parameter(argument: str) -> tuple[str, str]:
    name, equals, value = argument.partition("=")
    if not equals:
        raise CommandError(f"{argument}: write NAME=VALUE, such as q=sql.")
    return name, value


def _collection(client: api.Client, chosen: list[str]) -> str:
    """Return the collection that the user chose, or the only one. Raises CommandError."""
    known = [*api.collections(client)]
    found = chosen or known
    if len(found) != 1 or found[0] not in known:
        names = ", ".join(known) or "none"
        raise CommandError(f"Name a collection after the file; the service has: {names}.")
    return found[0]


def _good(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    response.read()
    raise CommandError(_reason(response))


def _reason(response: httpx.Response) -> str:
    """Return the messages of an error response, one per line."""
    error = response.json()["error"]
    if "errors" not in error:
        return str(error["message"])
    return "\n".join(
        f"line {fault['line']}: {fault['message']}" if "line" in fault else fault["message"]
        for fault in error["errors"]
    )


def _progress(*columns: ProgressColumn) -> Progress:
    # Standard output is for the result.
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
