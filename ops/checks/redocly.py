"""Redocly's linter of OpenAPI documents, an npm package: see `ops.node`."""

import json
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from ops import environment, node
from ops.console import CommandError
from service.settings import ROOT

CONFIGURATION = ROOT / "redocly.yaml"
NAME = "redocly"
PROGRAM = node.modules(NAME) / "@redocly" / "cli" / "bin" / "cli.js"
# Without its check for updates and its telemetry.
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


def lint(document: Path) -> list[str]:
    """Return the violations of Redocly's rules in a document.

    Raises CommandError if the linter is not installed, or fails. See `install`.
    """
    with TemporaryDirectory() as directory:
        # It finds its configuration in the current folder, and in a path of simple characters
        # everything that it makes a URL of.
        copy = shutil.copy(document, directory)
        shutil.copy(CONFIGURATION, directory)
        done = subprocess.run(
            [node.program(), PROGRAM, "lint", Path(copy).name, "--format=json"],
            cwd=directory,
            env={**environment.kept(()), **QUIET},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    try:
        problems = json.loads(done.stdout)["problems"]
    except (ValueError, KeyError) as error:
        raise CommandError(f"Redocly's linter failed: {done.stderr.strip()}") from error
    return [
        f"{problem['location'][0]['pointer']}: {problem['message']} ({problem['ruleId']})"
        for problem in problems
    ]


def install() -> None:
    """Install the linter if it is missing or stale against its lock file.

    Raises CommandError without a network, or without a package for this machine.
    """
    node.install(NAME)
