"""Programs of this machine."""

import os
import shutil

# Folders that may be missing from PATH: `sbin` for ordinary users of Debian, Homebrew for cron.
MORE_FOLDERS = (
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/sbin",
    "/opt/homebrew/bin",
    "/opt/local/sbin",
)


def find_executable(name: str) -> str | None:
    """Return the path of a program from PATH, else from the folders that PATH may lack."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(MORE_FOLDERS))
