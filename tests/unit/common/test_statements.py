"""The labels of statements in the metrics."""

import pytest

from service.common.database.statements import labels_of


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
