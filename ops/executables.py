"""Programs of this machine."""

import os
import shutil

# Folders of programs that are not on every person's PATH: an ordinary user of Debian has no `sbin`,
# and cron has no Homebrew.
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
