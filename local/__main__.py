"""The commands behind the justfile: `python -m local COMMAND`."""

import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable

from local import (
    backup,
    contract,
    deploy,
    environment,
    locks,
    migrations,
    modes,
    serve,
    transfer,
)
from local.console import CommandError, complain
from local.failures import explain, report
from service.common.embedded import EmbeddedPostgresError
from service.common.private_directories import DirectoryError
from service.settings import Settings, SettingsError, load_settings

COMMANDS: dict[str, Callable[[Settings, list[str]], int]] = {
    "backup": backup.backup,
    "check-contract": lambda _settings, _arguments: contract.check(),
    "check-locks": lambda _settings, _arguments: locks.check(),
    "check-migrations": lambda _settings, _arguments: migrations.check(),
    "deploy": lambda settings, _arguments: deploy.run(settings),
    "down": modes.down,
    "downgrade": lambda settings, _arguments: modes.migrate(settings, ["downgrade"]),
    "export": transfer.export,
    "import": transfer.import_,
    "logs": modes.logs,
    "migrate": lambda settings, arguments: modes.migrate(settings, ["upgrade", *arguments]),
    "migrate-sql": lambda settings, _arguments: modes.migrate(settings, ["pending"]),
    "ps": modes.ps,
    "psql": modes.sql,
    "restore": backup.restore,
    "revision": lambda _settings, arguments: migrations.revise(" ".join(arguments)),
    "serve": lambda settings, _arguments: serve.run(settings),
    "up": modes.up,
    "write-contract": lambda _settings, _arguments: contract.write(),
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
        return COMMANDS[command](load_settings(), arguments)
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
