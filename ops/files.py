"""Atomic writing of files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from ops.console import CommandError


@contextmanager
def whole_file(target: Path) -> Iterator[IO[bytes]]:
    """Yield a file, readable only by its owner, that replaces `target` at the end of the block.

    After a failure it is removed, and `target` is unchanged. Raises CommandError.
    """
    target = target.resolve()
    if target.exists() and not target.is_file():
        raise CommandError(f"Can't write {target}: it exists and is not a file.")
    try:
        part = NamedTemporaryFile(  # noqa: SIM115  # It is closed below.
            dir=target.parent, prefix=".", suffix=".part", delete=False
        )
    except OSError as error:
        raise CommandError(f"Can't write {target}: {error.strerror}.") from error
    try:
        with part:
            yield part
            part.flush()
            # Some file systems report only now that they are full.
            os.fsync(part.fileno())
        Path(part.name).rename(target)
    except OSError as error:
        raise CommandError(f"Can't write {target}: {error.strerror}.") from error
    finally:
        Path(part.name).unlink(missing_ok=True)
