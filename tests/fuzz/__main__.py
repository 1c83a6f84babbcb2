"""`just fuzz`: the long form, with other requests each time."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from service.common.embedded import start_server
from service.settings import ROOT
from tests.fuzz.runs import KEYS, fuzz
from tests.socket.conftest import running

# An operation's share with each key; without the right one, the guard answers nearly all of them.
EXAMPLES = {"right": "700", "wrong": "150", "missing": "150"}
LEAST = 5000
FIRST_SERVER_ERROR = 500


def main() -> int:
    """Fuzz a service on a PostgreSQL of its own; return 1 where anything was found."""
    passed, cases = True, 0
    with TemporaryDirectory() as name:
        directory = Path(name)
        with start_server(directory / "postgres") as server:
            url = server.url()
            alembic = [sys.executable, "-m", "alembic", "upgrade", "head"]
            environment = {"DATABASE_URL": url, "PATH": ""}
            subprocess.run(alembic, cwd=ROOT, env=environment, check=True)
            with running(directory, url, APP_ENV="production") as service:
                for which, key in KEYS.items():
                    run = fuzz(service, directory, key, "--max-examples", EXAMPLES[which])
                    print(run.output, f"{run.cases} cases with the key {which}\n", sep="\n")  # noqa: T201  # This is a command.
                    passed, cases = passed and run.passed, cases + run.cases
                lines = map(json.loads, service.log.read_text().splitlines())
                errors = [line for line in lines if line.get("status", 0) >= FIRST_SERVER_ERROR]
    print(*errors, f"{cases} cases, {'nothing' if passed else 'something'} found", sep="\n")  # noqa: T201
    return 0 if passed and not errors and cases >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
