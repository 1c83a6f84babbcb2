"""The commands behind the justfile: `python -m ops COMMAND`."""

# Before the slow imports: Ctrl-C during them shows no traceback.
import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from importlib import import_module

from ops import environment
from service.failures import guarded
from service.settings import Settings, load_settings

# Where the function of each command is, which takes the settings and the arguments: only what a
# command needs is imported.
COMMANDS = {
    "backup": "data.backup:backup",
    "blueprint": "generate.blueprint.command:write",
    "blueprint-remove": "generate.blueprint.removal:remove",
    "check-contract": "checks.contract:check",
    "check-dashboard": "checks.dashboard:check",
    "check-errors": "checks.errors:check",
    "check-limits": "checks.limits:check",
    "check-locks": "checks.locks:check",
    "check-metrics": "checks.metrics:check",
    "check-migrations": "data.migrations:check",
    "check-picture": "checks.picture:check",
    "deploy": "containers.deploy:run",
    "down": "modes:down",
    "downgrade": "modes:downgrade",
    "export": "data.transfer:export",
    "field": "generate.blueprint.addition:add",
    "import": "data.transfer:import_",
    "logs": "modes:logs",
    "migrate": "modes:migrate",
    "migrate-sql": "modes:migrate_sql",
    "ps": "modes:ps",
    "psql": "modes:sql",
    "rename": "generate.rename:run",
    "restore": "data.backup:restore",
    "revision": "data.migrations:revise",
    "serve": "local.serve:run",
    "up": "modes:up",
    "write-contract": "checks.contract:write",
    "write-dashboard": "checks.dashboard:write",
    "write-errors": "checks.errors:write",
    "write-limits": "checks.limits:write",
    "write-metrics": "checks.metrics:write",
    "write-picture": "checks.picture:write",
}


def main() -> int:
    """Run one command and return its exit code."""
    parser = ArgumentParser(prog="ops", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    command, arguments = parser.parse_known_args(sys.argv[1:2])[0].command, sys.argv[2:]
    environment.clean()
    module, _, name = COMMANDS[command].partition(":")
    run: Callable[[Settings, list[str]], int]
    run = getattr(import_module(f"ops.{module}"), name)
    return run(load_settings(), arguments)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Cleans up like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(guarded(main))
