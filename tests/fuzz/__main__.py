"""`just fuzz`: the long form, with other requests and inputs each time."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from service.common.embedded import start_server
from service.settings import ROOT
from tests.fuzz.costs import parsers, search, seconds_of
from tests.fuzz.runs import KEYS, fuzz
from tests.socket.conftest import running

# An operation's share with each key; without the right one, the guard answers nearly all of them.
EXAMPLES = {"right": "700", "wrong": "150", "missing": "150"}
LEAST = 5000
FIRST_SERVER_ERROR = 500
# The search for expensive inputs: their size, how many are tried, and the cost allowed for one.
SIZE = 1 << 14
INPUTS = 100
SECONDS_A_BYTE = 0.001 / 1024
LEAST_SECONDS = 0.02


def main() -> int:
    """Search for expensive inputs, and fuzz a service on its own PostgreSQL; return 1 on a find."""
    return max(search_costs(), fuzz_service())


def search_costs() -> int:
    """Search for inputs that are expensive to parse, for each parser; return 1 if there is one."""
    found = False
    with parsers() as known:
        for name, parser in known.items():
            dearest = search(parser, SIZE, INPUTS, random=True)
            for what, (share, recipe) in dearest._asdict().items():
                size = min(SIZE, parser.largest)
                once, twice = (seconds_of(parser.read, recipe.of(size * n)) for n in (1, 2))
                expensive = share > 1 or twice > LEAST_SECONDS + SECONDS_A_BYTE * 2 * size
                times = f"{1000 * once:.1f} ms, twice as long {1000 * twice:.1f} ms"
                print(f"{name}: {what} {share:.0%}, {times}", recipe if expensive else "")  # noqa: T201
                found |= expensive
    return int(found)


def fuzz_service() -> int:
    """Send made-up requests; return 1 if an answer is not as documented."""
    passed, cases = True, 0
    with TemporaryDirectory() as name:
        directory = Path(name)
        with start_server(directory / "postgres") as server:
            url = server.url()
            alembic = [sys.executable, "-m", "alembic", "upgrade", "head"]
            environment = {"DATABASE_URL": url, "PATH": ""}
            subprocess.run(alembic, cwd=ROOT, env=environment, check=True)
            with running(directory, url, ("-m", "service"), APP_ENV="production") as service:
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
