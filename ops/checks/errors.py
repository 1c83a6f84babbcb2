"""The catalogue of errors in docs/errors.md, and in the maps of nginx, whose own errors it has."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from ops.console import CommandError, just
from ops.local import nginx
from service import create_app
from service.common.errors import Row, error_rows
from service.settings import ROOT, Settings

PAGE = ROOT / "docs" / "errors.md"
# Between which lines of a file its part of the catalogue is.
PLACES = {
    PAGE: ("| --- | --- | --- | --- | --- |\n", "\n## Answers without a request\n"),
    nginx.TEMPLATE: (
        "    # --- The catalogue of errors: `./just fix` writes these maps ---\n\n",
        "\n    # --- The server ---\n",
    ),
}


def write(_settings: Settings, _arguments: list[str]) -> int:
    """Write the catalogue into the files."""
    for path, text in texts():
        path.write_text(text, encoding="utf-8")
    return 0


def check(_settings: Settings, _arguments: list[str]) -> int:
    """Raise CommandError if a file has another catalogue."""
    for path, text in texts():
        if path.read_text(encoding="utf-8") != text:
            raise CommandError(f"{path.relative_to(ROOT)} is stale: run `{just('fix')}`.")
    return 0


def texts() -> Iterator[tuple[Path, str]]:
    """Yield each file with the text that it must have. Raises CommandError: it has no place."""
    # It imports all features: each brings rows of its own.
    create_app(Settings())
    rows = error_rows()
    for path, part in ((PAGE, table(rows)), (nginx.TEMPLATE, maps(rows))):
        begin, end = PLACES[path]
        before, found, rest = path.read_text(encoding="utf-8").partition(begin)
        _, ends, after = rest.partition(end)
        if not (found and ends):
            lines = f"`{begin.strip()}` and `{end.strip()}`"
            raise CommandError(f"{path.relative_to(ROOT)} needs the lines {lines}.")
        yield path, before + begin + part + end + after


def table(rows: list[Row]) -> str:
    """Return the rows of docs/errors.md."""
    lines = (
        [str(row.status), f"`{row.type}`", row.when, row.action, _code(row.headers)] for row in rows
    )
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def maps(rows: list[Row]) -> str:
    """Return nginx's maps from the status of its own error to type, message and `Retry-After`."""
    own = {row.status: row for row in rows if row.proxy}
    default = {"default": own.pop(HTTPStatus.INTERNAL_SERVER_ERROR)}
    cases = {str(status): row for status, row in own.items()} | default
    retries = {f'"{row.status} "': "1" for row in own.values() if "Retry-After" in row.headers}
    return (
        _map("$status", "$error_type", {case: row.type for case, row in cases.items()})
        + _map("$status", "$error_message", {case: f'"{row.proxy}"' for case, row in cases.items()})
        # It adds the header if the answer does not have it: an empty value adds nothing.
        + _map(
            '"$status $sent_http_retry_after"', "$missing_retry_after", retries | {"default": '""'}
        )
    )


def _map(source: str, variable: str, values: dict[str, str]) -> str:
    lines = "".join(f"        {case} {value};\n" for case, value in values.items())
    return f"    map {source} {variable} {{\n{lines}    }}\n"


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
