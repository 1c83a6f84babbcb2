"""The file `.env`: its values, or an error that says why it can't be read."""

from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from service.failures import whose
from service.settings.secret_files import SettingsError

# Editors on Windows write a byte order mark.
ENCODING = "utf-8-sig"


def read_env_file(path: Path) -> dict[str, str]:
    """Return the values of the file by their names in upper case; empty if there is no file.

    Raises SettingsError if it can't be read, or if lines of it are not `NAME=value`.
    """
    text = read_text(path)
    wrong = [one.original.line for one in parse_stream(StringIO(text)) if one.error]
    if wrong:
        raise SettingsError("\n".join(f"{path}, line {line}: write NAME=value." for line in wrong))
    values = dotenv_values(stream=StringIO(text))
    return {name.upper(): value for name, value in values.items() if value}


def read_text(path: Path) -> str:
    """Return the text of the file; empty if there is no file. Raises SettingsError."""
    try:
        return path.read_text(encoding=ENCODING)
    except FileNotFoundError:
        return ""
    except IsADirectoryError as error:
        raise SettingsError(f"{path} is a folder. Replace it by a file.") from error
    except PermissionError as error:
        raise SettingsError(f"{path} can't be read: {whose(path)}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}, line {line}: not UTF-8. Save the file as UTF-8.") from error
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}.") from error
