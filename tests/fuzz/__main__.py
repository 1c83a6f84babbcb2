"""`just fuzz`: the long form, with other requests each time."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from service.common.embedded import start_server
from service.settings import ROOT
from tests.fuzz.runs import KEYS, fuzz
from tests.socket.conftest import running

EXAMPLES = "700"
LEAST = 5000


def main() -> int:
    """Fuzz a service on a PostgreSQL of its own; return 1 where anything was found."""
    passed, cases = True, 0
    with TemporaryDirectory() as name:
        directory = Path(name)
        with start_server(directory / "postgres") as server:
            url = str(server.get_uri())
            alembic = [sys.executable, "-m", "alembic", "upgrade", "head"]
            environment = {"DATABASE_URL": url, "PATH": ""}
            subprocess.run(alembic, cwd=ROOT, env=environment, check=True)
            with running(directory, url, APP_ENV="production") as service:
                for which, key in KEYS.items():
                    run = fuzz(service, directory, key, "--max-examples", EXAMPLES)
                    print(run.output, f"{run.cases} cases with the key {which}\n", sep="\n")
                    passed, cases = passed and run.passed, cases + run.cases
                errors = [line for line in service.log.read_text().splitlines() if "500" in line]
    print(*errors, f"{cases} cases, {'nothing' if passed else 'something'} found", sep="\n")
    return 0 if passed and not errors and cases >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
