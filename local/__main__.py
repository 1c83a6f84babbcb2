"""The commands behind the justfile: `python -m local COMMAND`."""

import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from importlib import import_module

from local import environment
from local.console import CommandError, complain
from local.failures import explain, report
from service.common.embedded import EmbeddedPostgresError
from service.common.private_directories import DirectoryError
from service.settings import Settings, SettingsError, load_settings

# Where the function of each command is, which takes the settings and the arguments: only what a
# command needs is imported.
COMMANDS = {
    "backup": "backup:backup",
    "check-contract": "contract:check",
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
}


def main() -> int:
    """Run one command and return its exit code."""
    parser = ArgumentParser(prog="local", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    # What was begun is taken back, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    command, arguments = parser.parse_known_args(sys.argv[1:2])[0].command, sys.argv[2:]
    environment.clean()
    try:
        module, _, name = COMMANDS[command].partition(":")
        run: Callable[[Settings, list[str]], int]
        run = getattr(import_module(f"local.{module}"), name)
        return run(load_settings(), arguments)
    except (CommandError, SettingsError, EmbeddedPostgresError, DirectoryError) as error:
        return complain(error)
    except OSError as error:
        return complain(explain(error) or report(error))
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  # The last resort: no command shows a traceback.
        return complain(report(error))


if __name__ == "__main__":
    sys.exit(main())
