"""Checks of this folder: owners, `.env`, settings, keys, environments, files for the containers."""

import os
import re
import stat
import tomllib
from difflib import get_close_matches
from pathlib import Path
from shlex import quote

from ops import bootstrap, environment
from ops.console import just
from ops.containers import compose, passwords
from ops.containers import stack as containers
from ops.doctor.checking import Finding, Outcome
from ops.doctor.subject import Subject, was_in_containers
from ops.local import stack
from service.failures import whose
from service.settings import ENV_FILE, ROOT, SECRETS, SHORTEST_KEY, SettingsError, read_env_file

# Programs of containers, and of `./just`.
EXECUTABLE = ("just", "nginx/start.sh", "postgres/roles.sh")


def check_folder(subject: Subject) -> Outcome:
    """Check that this user may write to the folder, and owns the state of the stack."""
    state = subject.state_dir
    # `.env` has a check of its own.
    inside = [path for path in _entries(ROOT) if path != ENV_FILE and not path.is_symlink()]
    wrong = [path for path in (ROOT, *inside) if not os.access(path, os.W_OK)]
    if state.exists() and not wrong:
        stack.require_own(state)
        # Root may use each; the data of PostgreSQL are those of another user then.
        owned = [state, *_entries(state)] if os.geteuid() else []
        wrong = [path for path in owned if path.lstat().st_uid != os.geteuid()]
    findings = [Finding(f"{path} can't be used: {whose(path)}") for path in wrong]
    return findings or f"{ROOT} is yours to write"


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if os.access(folder, os.R_OK | os.X_OK) else []


def check_env_file(_subject: Subject) -> Outcome:
    """Check that `.env` can be read, by its owner alone if it has a secret."""
    if not ENV_FILE.exists():
        return f"there is none; {ENV_FILE.name}.example shows what it may hold"
    try:
        values = read_env_file(ENV_FILE)
    except SettingsError as error:
        return [Finding(line) for line in str(error).splitlines()]
    findings = []
    mode = ENV_FILE.stat().st_mode
    secrets = {*passwords.NAMES, *(name.upper() for name in SECRETS)} & values.keys()
    if secrets and ENV_FILE.is_file() and mode & (stat.S_IRWXG | stat.S_IRWXO):
        findings.append(
            Finding(
                f"{ENV_FILE} holds secrets ({', '.join(sorted(secrets))}), and other users of this "
                f"machine may read or change it: its mode is {_mode(ENV_FILE)}.",
                f"Run `chmod 600 {quote(str(ENV_FILE))}`.",
            )
        )
    known = environment.settings_names() | {*passwords.NAMES, compose.NAME}
    findings += [
        Finding(
            f"{name} in {ENV_FILE} is not a setting, and has no effect.",
            f"Did you mean {close[0]}?",
        )
        for name in values.keys() - known
        # Other names may be for other programs.
        if (close := get_close_matches(name, known, n=1, cutoff=0.85))
    ]
    return findings or f"{len(values)} values, readable"


def check_settings(subject: Subject) -> Outcome:
    """Check every setting, and those that belong together."""
    try:
        settings = subject.settings
    except SettingsError as error:
        return [Finding(line) for line in str(error).splitlines()]
    changed = sorted(name.upper() for name in settings.model_fields_set)
    return f"APP_ENV={settings.app_env}; set: {', '.join(changed) or 'none'}"


def check_keys(subject: Subject) -> Outcome:
    """Check that the key is long enough, and that no password of the containers is missing."""
    settings, findings = subject.settings, []
    key = settings.secure_api_key.get_secret_value() if settings.secure_api_key else ""
    if key and settings.open_addresses and len(key) < SHORTEST_KEY:
        findings.append(
            Finding(
                f"SECURE_API_KEY has {len(key)} characters, and {settings.open_addresses[0]} is "
                "open to other machines, which can guess it.",
                f"Use at least {SHORTEST_KEY} random characters, such as those that `openssl rand "
                "-hex 24` prints.",
            )
        )
    if was_in_containers() and (missing := passwords.missing()):
        findings.append(
            Finding(
                f"{ENV_FILE} has no {', '.join(missing)}, without which the containers don't "
                "start.",
                f"Bring it back, or run `{just('up')}` for new ones.",
            )
        )
    return findings or ("there is one" if key else "none is needed")


def check_environments(_subject: Subject) -> Outcome:
    """Check that `.venv` and `.tools` are those of the lock files, and these of pyproject.toml."""
    findings = [
        Finding(f"{folder} is not what {lock} says.", f"Run `{just('setup')}`.")
        for folder, lock in (bootstrap.DEVELOPMENT, (".tools", "requirements/tools.txt"))
        if not bootstrap.is_current(ROOT / folder, ROOT / lock)
    ]
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    production = declared["dependencies"]
    development = production + declared["optional-dependencies"]["development"]
    for lock, named in (("production.txt", production), ("development.txt", development)):
        text = (ROOT / "requirements" / lock).read_text("utf-8")
        locked = set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE))
        wanted = {re.split(r"[^\w.-]", one)[0].lower().replace("_", "-") for one in named}
        if missing := sorted(wanted - locked):
            findings.append(
                Finding(
                    f"requirements/{lock} lacks {', '.join(missing)}, which pyproject.toml names.",
                    f"Run `{just('lock')}`, then `{just('setup')}`.",
                )
            )
    return findings or ".venv and .tools are those of the lock files"


def check_files(_subject: Subject) -> Outcome:
    """Check the files that containers and shells read: line ends, and who may use them."""
    programs = [ROOT / name for name in EXECUTABLE]
    mounted = [
        path
        for name in containers.MOUNTED
        for path in (ROOT / name, *sorted((ROOT / name).rglob("*")))
        if path.exists()
    ]
    findings = [
        Finding(
            f"{path} can't be executed: its mode is {_mode(path)}.",
            f"Run `chmod +x {quote(str(path))}`.",
        )
        for path in programs
        if path.exists() and not path.stat().st_mode & stat.S_IXUSR
    ]
    findings += [
        Finding(
            f"{path} has the line ends of Windows, which shells and nginx don't read.",
            "Clone the project again, in WSL or on this machine.",
        )
        for path in dict.fromkeys([ROOT / "justfile", *programs, *mounted])
        if path.is_file() and os.access(path, os.R_OK) and b"\r\n" in path.read_bytes()
    ]
    findings += [
        Finding(
            f"{path} must be readable for the users of the containers, and is another user's: its "
            f"mode is {_mode(path)}.",
            f"Run `chmod -R a+rX {' '.join(containers.MOUNTED)}` as its owner.",
        )
        for path in mounted
        # `just up` changes the mode of one's own.
        if os.geteuid() not in {0, path.stat().st_uid}
        and containers.readable_mode(path) != path.stat().st_mode
    ]
    return findings or "line ends and modes are as they should be"


def _mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"
