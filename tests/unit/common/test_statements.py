"""The labels of statements in the metrics."""

import asyncio
from contextlib import suppress

import asyncpg
import pytest

from service.common.database.statements import labels_of, measured_copy
from service.metrics import REGISTRY


@pytest.mark.parametrize(
    ("statement", "operation", "table"),
    [
        ("SELECT foss.id \nFROM foss \nWHERE foss.id = $1", "SELECT", "foss"),
        ("SELECT 1", "SELECT", ""),
        ("SELECT id FROM foss FOR NO KEY UPDATE OF foss", "SELECT", "foss"),
        ("SELECT id FROM foss FOR UPDATE SKIP LOCKED", "SELECT", "foss"),
        ("SELECT x FROM (SELECT id FROM foss) AS y", "SELECT", "foss"),
        ("SELECT x FROM unnest($1) AS given JOIN foss ON true", "SELECT", ""),
        ("INSERT INTO foss (a) SELECT a FROM unnest($1)", "INSERT", "foss"),
        ("INSERT INTO foss (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 1", "INSERT", "foss"),
        ("WITH free AS (SELECT id FROM foss) UPDATE foss SET a = 1", "UPDATE", "foss"),
        ('INSERT INTO "order" (a) VALUES (1)', "INSERT", "order"),
        ("TRUNCATE foss", "OTHER", ""),
        ("DELETE FROM idempotencykey WHERE ctid = any($1)", "DELETE", "idempotencykey"),
    ],
)
def test_a_statement_is_labeled_by_operation_and_table(
    statement: str, operation: str, table: str
) -> None:
    assert labels_of(statement) == (operation, table)


@pytest.mark.parametrize(
    ("error", "label"),
    [
        (asyncpg.QueryCanceledError(), "57"),
        (asyncpg.ConnectionDoesNotExistError(), "08"),
        (TimeoutError(), "timeout"),
        (asyncio.CancelledError(), "canceled"),
        (ConnectionResetError(), "connection"),
        (asyncpg.InterfaceError("closed"), "connection"),
        (asyncpg.InternalClientError(), "connection"),
        (ValueError(), "other"),
        (None, None),
    ],
)
def test_a_copy_is_measured_or_its_failure_counted(
    error: BaseException | None, label: str | None
) -> None:
    before = counts()
    with suppress(BaseException), measured_copy("_lines"):
        if error is not None:
            raise error

    after = counts()

    grown = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert grown == {label or "COPY": 1}


def counts() -> dict[str, float]:
    """Return the number of measured COPYs, and of errors by class."""
    name = "db_client_operation_duration_seconds_count"
    copies = REGISTRY.get_sample_value(name, {"operation": "COPY", "table": "_lines"})
    errors = {
        label: REGISTRY.get_sample_value("db_client_errors_total", {"class": label}) or 0
        for label in ("57", "08", "timeout", "canceled", "connection", "other")
    }
    return errors | {"COPY": copies or 0}
