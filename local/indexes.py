"""Where packages come from: the index that a person has set for pip or uv serves both.

It needs nothing but Python.
"""

import ast
import os
import subprocess
from pathlib import Path

from local.environment import kept

# Where packages come from and how they are reached; all else of pip and uv stays out.
PIP = frozenset(
    f"PIP_{name}"
    for name in (
        *("CACHE_DIR", "CERT", "CLIENT_CERT", "CONFIG_FILE", "DEFAULT_TIMEOUT", "EXTRA_INDEX_URL"),
        *("FIND_LINKS", "INDEX_URL", "KEYRING_PROVIDER", "NO_CACHE_DIR", "NO_INDEX", "PROXY"),
        *("RETRIES", "TIMEOUT", "TRUSTED_HOST"),
    )
)
UV_INDEXES = frozenset(
    f"UV_{name}"
    for name in (
        *("CONFIG_FILE", "DEFAULT_INDEX", "EXTRA_INDEX_URL", "FIND_LINKS", "INDEX", "INDEX_URL"),
        "NO_INDEX",
    )
)
UV = UV_INDEXES | {
    f"UV_{name}"
    for name in (
        *("CACHE_DIR", "CONCURRENT_DOWNLOADS", "HTTP_TIMEOUT", "INDEX_STRATEGY", "INSECURE_HOST"),
        *("KEYRING_PROVIDER", "LINK_MODE", "NATIVE_TLS", "NO_CACHE", "OFFLINE", "SYSTEM_CERTS"),
    )
}


def for_pip() -> dict[str, str]:
    """Return pip's environment."""
    # A person's own --user or --require-virtualenv would refuse an install into a folder.
    return kept(PIP) | {
        "PIP_USER": "0",
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_ROOT_USER_ACTION": "ignore",
    }


def for_uv(python: str | None) -> dict[str, str]:
    """Return uv's environment, with the index of `python -m pip` if uv has none of its own."""
    names = [name for name in os.environ if name.startswith("UV_INDEX_")]  # Credentials.
    environment = kept({*UV, *names})
    # Like pip and git, uv trusts the authorities that this machine trusts.
    own = {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "true"}
    if UV_INDEXES & environment.keys() or any(path.exists() for path in uv_files()):
        return own | environment
    found = pip_settings(python)
    if index := found.get("index-url"):
        own["UV_DEFAULT_INDEX"] = index
    if more := [url for url in found.get("extra-index-url", "").split() if url.startswith("http")]:
        own["UV_INDEX"] = " ".join(more)
        # As pip does; the hashes of the lock files decide what is taken.
        own["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if hosts := found.get("trusted-host"):
        own["UV_INSECURE_HOST"] = " ".join(hosts.split())
    if certificates := found.get("cert"):
        own["SSL_CERT_FILE"] = certificates
    return own | environment


def uv_files() -> list[Path]:
    """Return where uv looks for settings of the person and of the machine."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path(os.environ.get("HOME", "/")) / ".config"
    return [Path(home) / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]


def pip_settings(python: str | None) -> dict[str, str]:
    """Return what pip is set to, by its files and variables; the latter win."""
    if python is None:
        return {
            name.removeprefix("PIP_").lower().replace("_", "-"): value
            for name, value in kept(PIP).items()
            if name in PIP
        }
    listed = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "config", "list"],
        env=for_pip(),
        capture_output=True,
        text=True,
        check=False,
    )
    ranks = ("global", "install", ":env:")
    found: dict[str, dict[str, str]] = {rank: {} for rank in ranks}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        rank, _, key = name.rpartition(".")
        if rank in found:
            found[rank][key] = ast.literal_eval(value)
    return {**found["global"], **found["install"], **found[":env:"]}
