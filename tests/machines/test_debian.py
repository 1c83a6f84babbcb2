"""Other Debian systems, with an ordinary user with sudo: `-m debian`.

A system is created once, in /var/tmp, and each test works on a temporary copy.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.machines.debian import SYSTEMS, mirror
from tests.ports import free_port

pytestmark = pytest.mark.debian
PACKAGES = "ca-certificates,curl,git,nginx,python3,python3-pip,python3-venv,sudo"
# How this machine reaches the package indexes.
SHARED = ["/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"]
USER = "dev"
SECONDS = 900

# The mounts and the processes are gone with the namespaces.
ENTER = """
cd "$PLACE"
mount -t overlay overlay -o "lowerdir=$SYSTEM,upperdir=upper,workdir=work" root
mount -t proc proc "root/proc"
mount --rbind /dev "root/dev"
mkdir -p "root/home/dev/.cache"
mount --bind "$SYSTEM.cache" "root/home/dev/.cache"
exec chroot root bash -e -c "$PREPARE
exec su - dev -c 'bash -ex /home/dev/script'"
"""
PREPARE = f"""
useradd --create-home --shell /bin/bash {USER}
echo '{USER} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{USER}
chown -R {USER}: /home/{USER}
"""


@dataclass(frozen=True)
class Output:
    code: int
    text: str


def system(suite: str) -> Path:
    """Return the folder of a Debian system, made if it is missing."""
    if os.getuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip("this takes root and debootstrap")
    target = SYSTEMS / suite
    if not target.exists():
        part = SYSTEMS / f"{suite}.part"
        shutil.rmtree(part, ignore_errors=True)
        options = ["--variant=minbase", f"--include={PACKAGES}"]
        subprocess.run(["debootstrap", *options, suite, part, mirror()], check=True)
        (SYSTEMS / f"{suite}.cache").mkdir(exist_ok=True)
        part.rename(target)
    for name in filter(os.path.exists, SHARED):
        shutil.copy(name, f"{target}{name}")
    return target


def run(suite: str, sources: Path, script: str, prepare: str = "") -> Output:
    """Run a script as an ordinary user of a Debian system, in a clone."""
    found = system(suite)
    with TemporaryDirectory(prefix="copy-", dir=SYSTEMS) as name:
        place = Path(name)
        home = place / "upper" / "home" / USER
        for folder in ("work", "root"):
            (place / folder).mkdir()
        home.mkdir(parents=True)
        shutil.copytree(sources, home / "sources", symlinks=True)
        start = f"umask 002\nexport HTTP_PORT={free_port()}\n"
        start += "git clone --quiet sources clone\ncd clone\n"
        (home / "script").write_text(start + script)
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER],
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "SYSTEM": str(found),
                "PLACE": str(place),
                "PREPARE": PREPARE + prepare,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    assert "Traceback" not in done.stdout, done.stdout
    return Output(done.returncode, done.stdout)


@pytest.mark.parametrize("suite", ["bookworm", "trixie", "sid"])
def test_the_lines_of_the_readme_work(suite: str, sources: Path) -> None:
    done = run(
        suite,
        sources,
        """
        python3 --version
        ./just up local
        curl -sS --fail localhost:$HTTP_PORT/foss
        ./just ps
        ./just down
        ./just test tests/unit/common/test_engine.py tests/ops/test_psql.py -q
        """,
    )

    assert done.code == 0, done.text
    assert re.search(r"nginx +RUNNING", done.text)
    assert re.search(r"\d+ passed", done.text)


def test_after_sudo_the_message_for_an_ordinary_user_has_a_remedy(sources: Path) -> None:
    done = run(
        "trixie",
        sources,
        """
        sudo --preserve-env=HTTP_PORT ./just up local
        sudo --preserve-env=HTTP_PORT ./just down
        ./just up local && exit 9
        sudo chown -R dev: .
        ./just up local
        ./just down
        """,
    )

    assert done.code == 0, done.text
    assert re.search(r"\.(local|tools|venv)\b.*root", done.text), done.text


@pytest.mark.parametrize(
    ("missing", "works"),
    [("python3-venv python3-pip", False), ("python3-venv", True), ("python3-pip", False)],
)
def test_a_missing_package_is_named(sources: Path, missing: str, works: bool) -> None:
    purge = f"dpkg --purge --force-depends {missing} >/dev/null\n"
    done = run("trixie", sources, "./just ps || true\n./just setup", prepare=purge)

    assert (done.code == 0) == works, done.text
    assert works or "apt-get install python3-pip" in done.text or "python3-venv" in done.text
