"""The summary of a run: what was skipped, and how to run it."""

import re
from collections import Counter

import pytest

# A word in a skip reason, and how to install what is missing.
REMEDIES = {
    "nginx": "`apt-get install nginx`; on macOS `brew install nginx`",
    "Chromium": "`apt-get install chromium fonts-liberation`",
    "PgBouncer": "`apt-get install pgbouncer`",
    "PostgreSQL": "`apt-get install postgresql`",
    "Redocly": "run `./just check` with a network",
    "curl": "`apt-get install curl`",
    "root": "run the tests as root, on a machine for tests",
    "clone": "run them in a clone made by git",
}
ELSEWHERE = (
    "Not part of this run: containers (`just test-stack`, needs a Docker engine), fresh clones of "
    "other users (`just test-machines`, as root), copies without a feature or with another name "
    "(`just test-copies`), generated requests (`just fuzz`), the longest tests (`just "
    "test-copies -m long` and the like)."
)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print it after a run of all tests, and after one that skipped some."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
    )
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    if not reasons and not whole:
        return
    terminalreporter.section("what did not run, and how to run it")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count} skipped: {reason.rstrip('.')}. {remedy(reason)}".rstrip())
    if whole:
        terminalreporter.line(ELSEWHERE)


def remedy(reason: str) -> str:
    """Return the remedy for a skip reason, unless the reason contains it."""
    if "install " in reason:
        return ""
    for name, what in REMEDIES.items():
        if re.search(rf"\b{name}\b", reason):
            return f"To run it: {what}."
    return ""
