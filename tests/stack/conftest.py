"""The stack of containers that the tests of a file share."""

from collections.abc import Iterator

import pytest

from tests.stack.project import Stack, new_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Return a stack that was brought up from nothing; it is gone afterwards."""
    with new_stack(tmp_path_factory.mktemp("stack")) as stack:
        started = stack.just("up")
        assert started.returncode == 0, started.stdout + started.stderr
        yield stack
