"""The committed contract, docs/openapi.json: generating it, linting it, breaking changes."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from ops.checks import redocly
from ops.checks.breaking import breaks
from ops.console import CommandError, just
from service import create_app
from service.settings import ROOT, Settings

DOCUMENT = ROOT / "docs" / "openapi.json"
# What the last release served: copy DOCUMENT here at each release.
RELEASED = ROOT / "docs" / "openapi-released.json"
CHANGELOG = ROOT / "CHANGELOG.md"


def served() -> dict[str, Any]:
    """Return the document that the current code serves."""
    app = create_app(Settings())
    document: dict[str, Any] = app.extensions["QUART_SCHEMA"].openapi_provider.schema()
    return document


def render(document: dict[str, Any]) -> str:
    """Return a document as it is committed."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write(_settings: Settings, _arguments: list[str]) -> int:
    """Write what the code serves."""
    DOCUMENT.write_text(render(served()), encoding="utf-8")
    return 0


def check(_settings: Settings, _arguments: list[str]) -> int:
    """Check that the document is up to date, valid, and does not break clients.

    Raises CommandError with a line for each fault.
    """
    document = served()
    if not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != render(document):
        raise CommandError(
            "docs/openapi.json is not what the code serves: run "
            f"`{just('fix')}` and review the difference."
        )
    faults = [
        *(str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()),
        *lint(DOCUMENT),
        *unannounced(json.loads(RELEASED.read_bytes()), document, CHANGELOG.read_text("utf-8")),
    ]
    if faults:
        raise CommandError("\n".join(["docs/openapi.json:", *faults]))
    return 0


def lint(path: Path) -> list[str]:
    """Return the violations of Redocly's rules in a document.

    If the linter can't be installed, say so and check nothing, unless REQUIRE_REDOCLY is set: then
    raise CommandError.
    """
    try:
        redocly.install()
    except CommandError as error:
        if os.environ.get("REQUIRE_REDOCLY"):
            raise
        print(f"Skipped: Redocly's rules for {path.name}. {error}", file=sys.stderr)
        return []
    return redocly.lint(path)


def unannounced(old: dict[str, Any], new: dict[str, Any], changelog: str) -> list[str]:
    """Return what breaks clients of the last release, except what the changelog names.

    `* error type` names every place that ends so: what many operations share is named once.
    """
    unreleased = changelog.partition("## [Unreleased]")[2].partition("\n## ")[0]
    shared = tuple(re.findall(r"`\*( [^`]+)`", unreleased))
    return [
        f"{broken} breaks clients. Keep it, or name `{broken}` in CHANGELOG.md under Unreleased."
        for broken in breaks(old, new)
        if f"`{broken}`" not in unreleased and not broken.endswith(shared)
    ]
