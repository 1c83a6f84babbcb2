"""Which test runs when, if pytest-xdist runs several at a time."""

import re

import pytest
from xdist.scheduler import LoadFileScheduling

# Those that wait most, and take longest, begin; the others fill the time in which they wait.
FIRST = (
    *("tests/ops/test_stack.py", "tests/ops/test_transfer.py", "tests/socket/test_removal.py"),
    *("tests/faults/", "tests/ops/"),
    *("tests/socket/", "tests/clients/", "tests/browser/", "tests/databases/", "tests/migrations/"),
    *("tests/integration/", "tests/foss/", "tests/fuzz/", "tests/unit/", "tests/"),
)
# In these files, tests that share a stack run on one worker; each other test has its own stack.
STACKS = ("tests/ops/test_stack.py", "tests/ops/test_transfer.py")
# All of these share a server and a service.
FAULTS = "tests/faults/"
# Each of these has a copy of the project to itself.
COPIES = "tests/socket/test_removal.py::test_a_feature_goes_by_its_list"
STACK = re.compile(r"[\[-](no nginx|nginx)\b")


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types.
    """A file at a time, or a stack."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if nodeid.startswith(COPIES):
            return nodeid
        if file.startswith(FAULTS):
            return FAULTS
        if file not in STACKS:
            return file
        stack = STACK.search(nodeid)
        return stack[1] if stack else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling | None:
    """Take the place of `loadfile`; other ways to distribute stay as they are."""
    if config.getoption("dist") != "loadfile":
        return None
    # The order is that of `pytest_collection_modifyitems`, not by the number of tests.
    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest first, where several run at a time."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _place(item.nodeid))


def _place(nodeid: str) -> int:
    return next((i for i, first in enumerate(FIRST) if nodeid.startswith(first)), len(FIRST))
