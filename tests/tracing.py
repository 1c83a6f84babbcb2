"""Coverage only of useful tests: tracing halves Python's speed."""

import os
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from pkgutil import walk_packages

import pytest

import service

# These run the service in other processes, or many requests, on code that other tests measure.
UNTRACED = (
    *("tests/integration/test_paging.py", "tests/integration/test_statements.py"),
    *("tests/browser/", "tests/clients/", "tests/faults/", "tests/fuzz/", "tests/migrations/"),
    *("tests/observe/", "tests/ops/", "tests/socket/"),
    *("tests/test_layers.py", "tests/test_limits.py"),
)
# But these alone run what starts and stops those processes.
TRACED = ("tests/socket/test_maintenance.py", "tests/socket/test_process.py")
# By it, coverage traces the Python processes that a test starts.
VARIABLE = "COVERAGE_PROCESS_CONFIG"
# They do their work when they are imported.
PROGRAMS = {"service.__main__", "service.asgi"}


@contextmanager
def untraced() -> Iterator[None]:
    """Run at full speed, without coverage of this process and of those that it starts."""
    tracer, thread_tracer = sys.gettrace(), threading.gettrace()
    variable = os.environ.pop(VARIABLE, None)
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        if variable is not None:
            os.environ[VARIABLE] = variable
        if thread_tracer is not None:
            threading.settrace(thread_tracer)
        sys.settrace(tracer)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Measure what the modules of the service run when they are imported, and nothing else."""
    if sys.gettrace() is not None:
        for module in walk_packages(service.__path__, "service."):
            if module.name not in PROGRAMS:
                import_module(module.name)
    with untraced():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test of `UNTRACED` at full speed."""
    if item.nodeid.startswith(TRACED) or not item.nodeid.startswith(UNTRACED):
        return (yield)
    with untraced():
        return (yield)
