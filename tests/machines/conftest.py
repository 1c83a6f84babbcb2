"""Clones for an ordinary user, whose home has the caches of pip and uv."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fcntl import LOCK_EX, flock
from pathlib import Path
from pwd import getpwnam, struct_passwd
from tempfile import TemporaryDirectory, gettempdir

import pytest

from service.name import NAME
from tests.machines.checkout import Checkout, copy_sources, succeeded
from tests.ports import free_port

# Names of users have at most 32 characters.
TESTER = f"{NAME[:16]}-tester"
# Debian's PATH for an ordinary user, without /usr/sbin.
PATH = "/usr/local/bin:/usr/bin:/bin"
# What `just setup` makes in a clone, and an empty file of a clone that has it.
TOOLS = (".tools", ".venv")
READY = ".ready"

Clone = Callable[..., Checkout]


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with the working tree's files."""
    directory = tmp_path_factory.mktemp("sources")
    copy_sources(directory)
    return directory


@contextmanager
def _locked() -> Iterator[None]:
    """Keep the other workers out."""
    with (Path(gettempdir()) / f"{TESTER}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


@pytest.fixture(scope="session")
def tester() -> struct_passwd:
    """Return an ordinary user, who stays on the machine for the sake of the caches."""
    if os.getuid() != 0:
        pytest.skip("only root can run commands as other users")
    # Of two workers that add the user at the same time, one could make the home of another uid.
    with _locked():
        try:
            return getpwnam(TESTER)
        except KeyError:
            subprocess.run(["useradd", "--create-home", TESTER], check=True)
            return getpwnam(TESTER)


@pytest.fixture(scope="session")
def base(tester: struct_passwd, sources: Path, testrun_uid: str) -> Iterator[Path]:
    """Return a folder of the user for clones, with `sources` and a clone that is set up."""
    prefix = f"flusk-{testrun_uid[:8]}-"
    with TemporaryDirectory(prefix=prefix, dir=tester.pw_dir) as name:
        base = Path(name)
        base.chmod(0o755)
        subprocess.run(["cp", "-a", sources, base / "sources"], check=True)
        subprocess.run(["chown", "-R", f"{TESTER}:", base], check=True)
        seed = _clone(base, tester, "seed", prepared=False)
        with _locked():
            # The set-up takes half a minute, so one worker does it for all.
            if others := list(Path(tester.pw_dir).glob(f"{prefix}*/seed/{READY}")):
                tools = [others[0].with_name(tool) for tool in TOOLS]
                succeeded(seed.run("cp", "-a", "--link", *map(str, tools), "."))
            succeeded(seed.just("setup"))
            (seed.directory / READY).touch()
        yield base
        with _locked():
            (seed.directory / READY).unlink()


@pytest.fixture
def clone(base: Path, tester: struct_passwd) -> Iterator[Clone]:
    """Return a function that clones; whatever runs in the clones is ended after the test."""
    made: list[Checkout] = []

    def make(name: str, **options: object) -> Checkout:
        made.append(_clone(base, tester, name, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for checkout in made:
        checkout.kill()
        subprocess.run(["rm", "-rf", checkout.directory], check=True)


def _clone(
    base: Path,
    tester: struct_passwd,
    name: str,
    *,
    prepared: bool = True,
    umask: int = 0o022,
    uid: int | None = None,
    **environment: str,
) -> Checkout:
    """Clone into a folder; `prepared` is with the tools of the first clone."""
    shell = {"PATH": PATH, "HOME": tester.pw_dir, "USER": TESTER, "LANG": "C.UTF-8"}
    shell |= {"HTTP_PORT": str(free_port()), "DRAIN_SECONDS": "0"} | environment
    checkout = Checkout(base / name, tester.pw_uid, tester.pw_gid, umask, shell)
    run = replace(checkout, directory=base).run
    succeeded(run("git", "clone", "--quiet", "--no-hardlinks", "sources", name))
    if prepared:
        # A link has the owner of the first clone.
        link = ["--link"] if uid is None else []
        succeeded(run("cp", "-a", *link, *(f"seed/{tool}" for tool in TOOLS), f"{name}/"))
    if uid is not None:
        subprocess.run(["chown", "-hR", f"{uid}:{uid}", checkout.directory], check=True)
        return replace(checkout, uid=uid, gid=uid)
    return checkout
