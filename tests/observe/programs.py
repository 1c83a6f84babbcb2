"""Prometheus of this machine."""

import os
import shutil

import pytest


def program(name: str) -> str:
    """Return the path of `prometheus` or `promtool`; skip the test if it is not installed."""
    found = shutil.which(name)
    if found is None:
        reason = f"`{name}` is not on the PATH: install Prometheus (Debian: prometheus)."
        if os.environ.get("REQUIRE_PROMETHEUS"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found
