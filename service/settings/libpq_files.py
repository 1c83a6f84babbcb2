"""The files that libpq reads connection parameters from: the service file and the password file."""

import re
import stat
from collections.abc import Sequence
from configparser import ConfigParser
from configparser import Error as SyntaxFault
from pathlib import Path

# After the user's own file: the defaults of Debian's and Fedora's libpq.
SYSTEM_SERVICE_FILES = (
    "/etc/postgresql-common/pg_service.conf",
    "/etc/sysconfig/pgsql/pg_service.conf",
)
# host:port:database:user:password; a backslash escapes the next character.
PASSWORD_LINE = re.compile(r"((?:\\.|[^\\:])*):" * 4 + "(.*)")


def home_file(name: str) -> Path | None:
    """Return a file of the user's home directory; None if there is no home or no such file."""
    try:
        path = Path.home() / name
        return path if path.exists() else None
    except (RuntimeError, OSError):
        return None


def read_service(name: str, file: str | None) -> dict[str, str]:
    """Return the parameters of a service. Raises ValueError with a message for the operator."""
    places = [file] if file else [home_file(".pg_service.conf"), *SYSTEM_SERVICE_FILES]
    files = [Path(place) for place in places if place and (file or Path(place).exists())]
    for path in files:
        parser = ConfigParser(
            interpolation=None, delimiters=("=",), comment_prefixes=("#",), strict=False
        )
        parser.optionxform = str  # type: ignore[assignment, method-assign]  # As documented.
        try:
            parser.read_string(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"servicefile={path} can't be read: {error.strerror}") from error
        except (SyntaxFault, UnicodeDecodeError) as error:
            raise ValueError(f"the service file {path} is malformed") from error
        if parser.has_section(name):
            return dict(parser[name])
    tried = ", ".join(map(str, files)) or "~/.pg_service.conf, which does not exist"
    raise ValueError(f"service={name} is not in {tried}: add it, or correct the name")


def password_for(
    file: str | None, hosts: Sequence[str], port: int, database: str, user: str
) -> str | None:
    """Return the password of the first line that matches; None if none does.

    Like libpq, ignore a file that others may read.
    """
    path = Path(file) if file else home_file(".pgpass")
    try:
        if path is None or path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            return None
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        found = PASSWORD_LINE.fullmatch(line)
        if found is None or line.startswith("#"):
            continue
        *fields, password = (re.sub(r"\\(.)", r"\1", field) for field in found.groups())
        wanted = zip(found.groups(), fields, (hosts, [str(port)], [database], [user]), strict=False)
        if all(raw == "*" or field in fitting for raw, field, fitting in wanted):
            return password
    return None
