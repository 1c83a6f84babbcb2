"""A user's environment: locales, and variables for other programs."""

from pathlib import Path

import pytest

from tests.machines.checkout import succeeded
from tests.machines.conftest import Clone

pytestmark = pytest.mark.machines
MODULES = ("alembic", "json", "ops", "service", "sitecustomize", "supervisor", "usercustomize")
NOWHERE = "/nonexistent"
# Those without a value are NOWHERE.
VARIABLES = """
PYTHONPATH={folder} PYTHONHOME= PYTHONSTARTUP= PYTHONSAFEPATH=1 PYTHONWARNINGS=error
PYTHONOPTIMIZE=2 PYTHONDEVMODE=1 PYTHONUTF8=0 PYTHONIOENCODING=ascii VIRTUAL_ENV= CONDA_PREFIX=
PIP_TARGET={folder} PIP_PREFIX= PIP_CONSTRAINT= PIP_REQUIREMENT= PIP_LOG= PIP_USER=1
PIP_REQUIRE_VIRTUALENV=1 PIP_DRY_RUN=1 PIP_NO_DEPS=1
UV_PROJECT= UV_PYTHON= UV_CONSTRAINT= UV_OVERRIDE= UV_TARGET= UV_PREFIX= UV_WORKING_DIRECTORY=
UV_SYSTEM_PYTHON=1 UV_EXCLUDE_NEWER=2001-01-01 UV_RESOLUTION=lowest
PGDATA= PGHOST= PGPASSFILE= PGSERVICEFILE= PSQLRC= PGUSER=another PGPASSWORD=another
PGDATABASE=another PGSERVICE=another PGPORT=1 PGOPTIONS=-cnonsense=1 PGSSLMODE=verify-full
PGCLIENTENCODING=LATIN1 PGTZ=Nowhere PGTARGETSESSIONATTRS=standby
JUST_JUSTFILE= JUST_WORKING_DIRECTORY= BASH_ENV={folder}/profile ENV={folder}/profile
CDPATH={folder} GREP_OPTIONS=-v ALEMBIC_CONFIG= MYPYPATH={folder}
XDG_RUNTIME_DIR= XDG_CONFIG_HOME= TMPDIR= SHELL= DOCKER_HOST=unix:///nonexistent COMPOSE_FILE=
"""


@pytest.mark.parametrize("locale", [pytest.param("de_DE.UTF-8", marks=pytest.mark.long), "C"])
def test_the_search_folds_letters_in_every_locale(clone: Clone, locale: str) -> None:
    checkout = clone(f"locale-{locale}", LC_ALL=locale)
    checkout.up()
    checkout.create("ÖSTERREICH", "a@example.org")

    assert checkout.find("österreich") == ["ÖSTERREICH"]
    assert succeeded(checkout.just("psql", "-tAc", "select name from foss")) == "ÖSTERREICH\n"
    assert succeeded(checkout.just("export", "a.csv", "q=österreich"))
    assert "ÖSTERREICH" in (checkout.directory / "a.csv").read_text("utf-8")


def foreign_variables(folder: Path) -> dict[str, str]:
    """Return what other projects and programs set, each a value that breaks ours if it is used."""
    for module in MODULES:
        (folder / f"{module}.py").write_text(f"raise SystemExit('{module} of another project')\n")
    (folder / "profile").write_text("echo 'the profile of another project'; exit 9\n")
    pairs = (pair.split("=", 1) for pair in VARIABLES.format(folder=folder).split())
    return {name: value or NOWHERE for name, value in pairs}


def test_variables_for_other_programs_change_nothing(clone: Clone) -> None:
    checkout = clone("foreign", prepared=False)
    folder = checkout.directory.parent / "foreign-modules"
    folder.mkdir(exist_ok=True)
    checkout.environment.update(foreign_variables(folder))
    succeeded(checkout.just("setup"))
    # Packages may come through a proxy; there is none between us and our own stack.
    checkout.environment.update(http_proxy="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9")
    checkout.up()
    checkout.create("Ada", "ada@example.org")

    assert succeeded(checkout.just("psql", "-tAc", "select name from foss")) == "Ada\n"
    succeeded(checkout.just("ps"))
    succeeded(checkout.just("migrate"))
    assert "Nothing is pending" in succeeded(checkout.just("migrate-sql"))
    succeeded(checkout.just("backup", "a.dump"))
    succeeded(checkout.just("restore", "a.dump"))
    succeeded(checkout.just("export", "a.csv"))
    succeeded(checkout.just("test", "tests/unit/settings/test_settings.py", "-q"))
    assert checkout.find("ada") == ["Ada"]
    succeeded(checkout.just("down"))
