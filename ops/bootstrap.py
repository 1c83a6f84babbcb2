"""What `./just` does before `just` itself: the tools, and the environments of the lock files.

`bootstrap.py --setup [FOLDER LOCK]` creates an environment, `.venv` by default; `bootstrap.py
doctor` runs `just doctor`; other arguments are passed to `just`. It needs only Python, and changes
nothing outside the project's folder.
"""

import fcntl
import os
import platform
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ops.console import CommandError  # noqa: E402  # The path comes first.
from service.failures import guarded  # noqa: E402

TOOLS = ROOT / ".tools"
DEVELOPMENT = (".venv", "requirements/development.txt")
PYTHONS = ("python3", "python3.14", "python3.13", "python3.12", "python3.11", "python")
NEWEST = (3, 14)


def main(arguments: list[str]) -> int:
    """Update the tools, then run `just`, or set up an environment."""
    require_usable()
    give_home()
    if arguments[:1] == ["doctor"]:
        # Without an installation, which may be what fails.
        return examine()
    with alone():
        install_tools()
        if arguments[:1] == ["--setup"]:
            folder, lock = arguments[1:] or DEVELOPMENT
            make_environment(ROOT / folder, ROOT / lock)
            return 0
    program = str(TOOLS / "bin" / "just")
    command = [program, "--justfile", str(ROOT / "justfile"), *arguments]
    return os.execve(program, command, without_foreign(os.environ))


def examine() -> int:
    """Run `just doctor` in the environment as it is. Raises CommandError if there is none."""
    python = str(ROOT / ".venv" / "bin" / "python")
    if not works(Path(python)):
        raise CommandError(
            "The folder .venv is missing, incomplete, or its Python is gone. "
            "Run `./just setup`, then `./just doctor` again."
        )
    os.chdir(ROOT)
    return os.execve(python, [python, "-m", "ops.doctor"], without_foreign(os.environ))


def without_foreign(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without variables that configure `just` or Python."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(("JUST_", "PYTHON")) or name == "JUST_COMMAND"
    }


def require_usable() -> None:
    """Raise CommandError if the project can't work in this folder or on this machine."""
    path = str(ROOT)
    if ":" in path or not path.isprintable():
        raise CommandError(
            f"The path of this folder, {path!r}, has a character that Python's environments do not "
            "allow: `:`, or one that can't be printed. Move the folder, then run this again."
        )
    libc = str(sysconfig.get_config_var("HOST_GNU_TYPE"))
    if sys.platform not in {"linux", "darwin"}:
        raise CommandError("This runs on Linux and macOS; on Windows, run it within WSL.")
    if "musl" in libc or platform.machine() not in {"x86_64", "aarch64", "arm64"}:
        raise CommandError(
            f"There is no PostgreSQL from PyPI for this machine ({platform.machine()}, {libc}), "
            "nor all of the tools. The service itself may run with DATABASE_URL set: install "
            "requirements/production.txt with pip, then `python -m service`."
        )


def give_home() -> None:
    """Set HOME to a folder in the project if the user has none, or a read-only one."""
    home = os.environ.get("HOME", "")
    if not home or not os.access(home, os.W_OK | os.X_OK):
        own = ROOT / ".local" / "home"
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ["HOME"] = str(own)
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            os.environ.pop(name, None)


@contextmanager
def alone() -> Iterator[None]:
    """Serialize set-ups of this folder: a second one waits, and then has nothing to do."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def install_tools() -> None:
    """Install `just` and uv into `.tools`."""
    lock = ROOT / "requirements" / "tools.txt"
    if is_current(TOOLS, lock) and all((TOOLS / "bin" / name).exists() for name in ("just", "uv")):
        return
    # Imported here, because most commands install nothing.
    from ops.environment import for_pip, for_uv  # noqa: PLC0415

    print("Installing uv and just into .tools/", file=sys.stderr, flush=True)
    with replacing(TOOLS, lock) as fresh:
        command = [
            "install",
            "--quiet",
            "--require-hashes",
            "--target",
            str(fresh),
            "-r",
            str(lock),
        ]
        if python := python_with_pip():
            pip = [python, "-m", "pip", "--disable-pip-version-check", *command]
            must(pip, for_pip())
        elif uv := shutil.which("uv"):
            must([uv, "pip", *command, "--python", sys.executable], for_uv())
        else:
            raise CommandError(
                f"{sys.executable} has no pip, and uv is not on the PATH. Install one of them "
                "(Debian: `apt-get install python3-pip`), then run this again."
            )


def make_environment(folder: Path, lock: Path) -> None:
    """Recreate an environment if its lock file has changed, or its Python is gone."""
    if is_current(folder, lock) and works(folder / "bin" / "python"):
        return
    from ops.environment import for_uv  # noqa: PLC0415

    name = folder.relative_to(ROOT)
    print(f"Installing the packages of {lock.name} into {name}/", file=sys.stderr, flush=True)
    install_tools()
    uv = str(TOOLS / "bin" / "uv")
    environment = for_uv()
    with replacing(folder, lock) as fresh:
        # Relocatable, because it is created under a temporary name.
        must(
            [uv, "venv", "--quiet", "--relocatable", "--python", base_python(), fresh], environment
        )
        options = ["--quiet", "--compile-bytecode", "--require-hashes"]
        must([uv, "pip", "sync", *options, "--python", fresh / "bin" / "python", lock], environment)


def is_current(folder: Path, lock: Path) -> bool:
    """Return whether the folder was made from the current lock file, whatever its comments say."""
    made = folder / lock.name
    return made.exists() and _packages(made) == _packages(lock)


def _packages(lock: Path) -> list[str]:
    lines = lock.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.lstrip().startswith("#")]


def works(python: Path) -> bool:
    """Return whether an environment's Python finds its packages: its base may be removed.

    Or the base may be a newer version, which searches another folder.
    """
    check = "import os, sysconfig; os.listdir(sysconfig.get_path('purelib'))"
    try:
        done = subprocess.run([python, "-I", "-c", check], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def base_python() -> str:
    """Return the base Python: `.venv` may be active, and is replaced."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def python_with_pip() -> str | None:
    """Return a Python that has pip."""
    for name in (sys.executable, *PYTHONS):
        found = shutil.which(name)
        check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
        if (
            found
            and not subprocess.run(
                [found, "-c", check], capture_output=True, check=False
            ).returncode
        ):
            return found
    return None


@contextmanager
def replacing(folder: Path, lock: Path) -> Iterator[Path]:
    """Yield a path for a new folder, which then replaces the old one atomically."""
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    for left in folder.parent.glob(f"{folder.name}.*.part"):  # By one that was killed.
        shutil.rmtree(left, ignore_errors=True)
    if folder.exists() and folder.stat().st_uid != os.geteuid() and os.geteuid():
        raise PermissionError(13, "It belongs to another user", str(folder))
    with TemporaryDirectory(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent) as place:
        fresh = Path(place) / "new"
        yield fresh
        shutil.copyfile(lock, fresh / lock.name)
        if os.path.lexists(folder):
            folder.rename(Path(place) / "old")
        fresh.rename(folder)


def must(command: Sequence[str | Path], environment: dict[str, str]) -> None:
    """Run a program; if it fails, show its output and raise CommandError."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if not done.returncode:
        return
    if "No space left on device" in done.stdout:
        raise CommandError("The disk is full. Make room, then run this again.")
    print(done.stdout, end="", file=sys.stderr)
    hint = "Check the network and the package index of pip, uv or npm, then run this again."
    if sys.version_info[:2] > NEWEST:
        version = platform.python_version()
        hint = f"Python {version} may be too new: 3.11 to 3.14 are supported."
    raise CommandError(f"The packages could not be installed, for the reason above.\n{hint}")


if __name__ == "__main__":
    # Cleans up like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(guarded(partial(main, sys.argv[1:])))
