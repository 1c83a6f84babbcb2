"""The commands behind the justfile: `python -m local COMMAND`."""

# Before the imports: Ctrl-C while they take their time is no traceback.
import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from importlib import import_module

from local import environment
from service.failures import guarded
from service.settings import Settings, load_settings

# Where the function of each command is, which takes the settings and the arguments: only what a
# command needs is imported.
COMMANDS = {
    "backup": "backup:backup",
    "check-contract": "contract:check",
    "check-errors": "errors:check",
    "check-limits": "limits:check",
    "check-locks": "locks:check",
    "check-migrations": "migrations:check",
    "deploy": "deploy:run",
    "down": "modes:down",
    "downgrade": "modes:downgrade",
    "export": "transfer:export",
    "import": "transfer:import_",
    "logs": "modes:logs",
    "migrate": "modes:migrate",
    "migrate-sql": "modes:migrate_sql",
    "ps": "modes:ps",
    "psql": "modes:sql",
    "restore": "backup:restore",
    "revision": "migrations:revise",
    "serve": "serve:run",
    "up": "modes:up",
    "write-contract": "contract:write",
    "write-errors": "errors:write",
    "write-limits": "limits:write",
}


def main() -> int:
    """Run one command and return its exit code."""
    parser = ArgumentParser(prog="local", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    command, arguments = parser.parse_known_args(sys.argv[1:2])[0].command, sys.argv[2:]
    environment.clean()
    module, _, name = COMMANDS[command].partition(":")
    run: Callable[[Settings, list[str]], int]
    run = getattr(import_module(f"local.{module}"), name)
    return run(load_settings(), arguments)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # What was begun is taken back, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(guarded(main))
