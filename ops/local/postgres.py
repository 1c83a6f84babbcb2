"""Holds the embedded PostgreSQL for the stack: `python -m ops.local.postgres`."""

import signal
import sys
import time

from service.common.embedded import start_server
from service.failures import guarded
from service.settings import load_settings

INTERVAL = 1.0


def main() -> int:
    """Hold the server until SIGTERM (0) or until it dies (1)."""
    # Python runs its exit hooks, which stop the server, only after an exception.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = start_server((load_settings().state_dir / "postgres").resolve())
    print("PostgreSQL is running.", flush=True)
    while server.is_running():
        time.sleep(INTERVAL)
    print("PostgreSQL has exited.", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(guarded(main))
