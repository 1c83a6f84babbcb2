"""The development server: the service, restarted after every change."""

import os
import shlex
import sys

import watchfiles

from service.common.embedded import start_server
from service.settings import ROOT, Settings


def run(settings: Settings, _arguments: list[str]) -> int:
    """Run the service until Ctrl-C, and restart it when a file changes."""
    if settings.database_url is None:
        # Held here, PostgreSQL survives restarts of the service.
        start_server(settings.state_dir.resolve() / "postgres")
    # A development server has no proxy in front, so there is nothing to drain.
    os.environ["DRAIN_SECONDS"] = "0"
    paths = [ROOT / "service", ROOT / "schemas"]
    command = shlex.join([sys.executable, "-m", "service"])
    watchfiles.run_process(*paths, target=command, target_type="command")
    return 0
