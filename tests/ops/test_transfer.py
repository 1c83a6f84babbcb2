"""`just import` and `just export` against a running stack."""

import csv
from pathlib import Path

import pytest

from tests.factories import item
from tests.ops.project import ONE_STACK, Project


def write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["name", "email"], *rows])


@ONE_STACK
@pytest.mark.parametrize("kind", ["csv", pytest.param("ndjson", marks=pytest.mark.long)])
def test_an_export_can_be_imported_elsewhere(running: Project, tmp_path: Path, kind: str) -> None:
    sql = ("psql", "-qc", "TRUNCATE item RESTART IDENTITY")
    rows = [[record["name"], record["email"]] for record in (item() for _ in range(3000))]
    write(tmp_path / "first.csv", rows)
    running.just(*sql)
    stored = running.just("import", str(tmp_path / "first.csv"))
    exported = running.just("export", str(tmp_path / f"all.{kind}"))
    running.just(*sql)
    again = running.just("import", str(tmp_path / f"all.{kind}"))
    selected = running.just(
        "export", str(tmp_path / "some.csv"), "only=name,email", f"email={rows[7][1]}"
    )

    assert stored.stdout == "Stored 3000 records.\n", stored.stderr
    assert "Sending" in stored.stderr
    assert exported.stdout.startswith(f"Wrote {tmp_path / f'all.{kind}'}, "), exported.stderr
    assert "Receiving" in exported.stderr
    assert again.stdout == stored.stdout, again.stderr
    assert selected.returncode == 0
    found = (tmp_path / "some.csv").read_text("utf-8")
    assert [*csv.reader(found.splitlines())] == [["name", "email"], rows[7]]


@pytest.mark.parametrize("q", ["a+b #=c", "R&D 100%"])
def test_parameters_arrive_as_they_were_written(running: Project, tmp_path: Path, q: str) -> None:
    path = tmp_path / "records.csv"
    write(path, [[f"It has {q} in it", f"{item()['email']}"], ["Not", item()["email"]]])
    assert running.just("import", str(path)).returncode == 0
    exported = running.just("export", str(path), f"q={q}", "only=name", "limit=1")

    assert exported.returncode == 0, exported.stderr
    assert [*csv.reader(path.read_text("utf-8").splitlines())] == [["name"], [f"It has {q} in it"]]


@ONE_STACK
def test_faults_are_reported_by_line_and_nothing_is_stored(
    running: Project, tmp_path: Path
) -> None:
    path = tmp_path / "faulty.csv"
    write(path, [["Fine", "f@example.org"], ["A", "a@example.org"], ["Ada", "no address"]])
    refused = running.just("import", str(path))
    found = running.just("psql", "-tAc", "SELECT count(*) FROM item WHERE name = 'Fine'")

    assert refused.returncode == 1
    assert "line 3: 'A' is too short" in refused.stderr
    assert "line 4: 'no address' is not a valid email" in refused.stderr
    assert f"Nothing of {path} was stored." in refused.stderr
    assert "Traceback" not in refused.stderr
    assert found.stdout.strip() == "0"


@ONE_STACK
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["import", "records.xls"], "the name must end in .csv, .ndjson, .jsonl."),
        (["import", "missing.csv"], "There is no file"),
        (["export", "nowhere/records.csv"], "Can't write"),
        (["export", "records.csv", "colour=red"], "'colour' was unexpected"),
        (["export", "records.csv", "colour"], "colour: write NAME=VALUE, such as q=sql."),
        (
            ["export", "records.csv", "/items"],
            "Name a collection after the file; the service has: /item.",
        ),
    ],
)
def test_unsupported_operations_are_reported(
    running: Project, arguments: list[str], sentence: str
) -> None:
    refused = running.just(*arguments)

    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not list(running.directory.glob("*.csv*"))


def test_without_a_stack_the_message_says_how_to_start_one(project: Project) -> None:
    refused = project.just("export", "records.csv")

    assert refused.returncode == 1
    assert "The stack does not run: run `./just up` first." in refused.stderr
